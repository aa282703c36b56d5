//! Checks by what was computed: every shape of operator is covered, edits are detected at their first use, and right
//! answers are never refused.
#![cfg(target_os = "linux")]

mod bytes;
mod without;

use deepring::receipt::Require;
use deepring::receipt::SampleRate;
use deepring::{Check, Coverage, DType, Finding, TensorValue};
use deepring_infer::{CutPolicy, Session};
use deepring_onnx::proto::NodeProto;

use crate::graphs::{self, FLOAT, INT64, Net};
use crate::live_memory::{asked_with_flip, flip};
use crate::zoo::{Sealed, answer, difference, floats, images, network, tensor};

const UINT8: i32 = 2;
const INT8: i32 = 3;

fn sealed(net: &Net) -> Sealed {
    let folder = tempfile::tempdir().unwrap();
    Sealed::new(&net.save(folder.path()), CutPolicy::Auto)
}

/// The coverage that each parameter of the ring had in a query, by name.
fn coverage(session: &Session, input: &TensorValue) -> Vec<(String, Coverage)> {
    let outcome = session.run(vec![input.clone()]).unwrap();
    let decision = outcome.decision.verify(session.ring().outline(), Require::AsDealt).unwrap();
    let receipt = &decision.chain().legs()[0].receipt();
    let layers = session.ring().layers().iter().zip(&receipt.coverage);
    let parts = layers.flat_map(|(header, had)| header.parts.iter().zip(had));
    parts.map(|(part, had)| (part.label().to_owned(), *had)).collect()
}

/// Whether a product was verified; a small tensor's bytes may all have had their turn besides.
fn is_product(coverage: Coverage) -> bool {
    matches!(coverage, Coverage::Product | Coverage::Both)
}

fn place_of(session: &Session, tensor: &str) -> (u32, usize, usize) {
    let headers = session.ring().layers().iter();
    let all = headers.flat_map(|h| h.parts.iter().map(move |p| (h.index, p)));
    let (block, part) = all.into_iter().find(|(_, p)| p.label() == tensor).unwrap();
    (block, part.offset as usize, part.end() as usize)
}

fn refusal(session: &Session, input: &TensorValue) -> Option<Finding> {
    match session.run(vec![input.clone()]) {
        Ok(_) => None,
        Err(e) => {
            Some(e.finding().unwrap_or_else(|| panic!("refused as something else: {e}")).clone())
        }
    }
}

struct Shape {
    x: &'static [u64],
    weight: &'static [i64],
    attributes: fn(&mut NodeProto),
}

const SHAPES: &[Shape] = &[
    Shape { x: &[1, 6, 9, 7], weight: &[10, 6, 1, 1], attributes: |_| () },
    Shape { x: &[3, 6, 9, 7], weight: &[10, 6, 3, 3], attributes: |n| pads(n, &[1, 1, 1, 1]) },
    Shape { x: &[1, 12, 9, 7], weight: &[5, 12, 3, 2], attributes: |n| pads(n, &[2, 0, 1, 1]) },
    Shape {
        x: &[2, 16, 11, 8],
        weight: &[4, 16, 3, 3],
        attributes: |n| {
            pads(n, &[1, 1, 1, 1]);
            set(n, "strides", &[2, 3]);
        },
    },
    Shape {
        x: &[1, 9, 13, 12],
        weight: &[4, 9, 3, 3],
        attributes: |n| {
            pads(n, &[2, 3, 2, 3]);
            set(n, "dilations", &[2, 3]);
        },
    },
    Shape { x: &[1, 12, 8, 8], weight: &[6, 4, 3, 3], attributes: |n| group(n, 3) },
    // Depthwise, twice as many channels out as in.
    Shape {
        x: &[2, 10, 8, 8],
        weight: &[20, 1, 3, 3],
        attributes: |n| {
            group(n, 10);
            pads(n, &[1, 1, 1, 1]);
        },
    },
    // A first layer: few channels, many taps.
    Shape {
        x: &[2, 3, 20, 23],
        weight: &[8, 3, 7, 7],
        attributes: |n| {
            pads(n, &[3, 3, 3, 3]);
            set(n, "strides", &[2, 2]);
        },
    },
    Shape {
        x: &[1, 2, 17, 16],
        weight: &[5, 2, 5, 3],
        attributes: |n| {
            pads(n, &[1, 2, 3, 0]);
            set(n, "strides", &[3, 2]);
            set(n, "dilations", &[2, 1]);
        },
    },
    Shape { x: &[1, 1, 9, 9], weight: &[3, 1, 3, 3], attributes: |n| text(n, "SAME_UPPER") },
    Shape {
        x: &[1, 20, 10, 9],
        weight: &[3, 20, 2, 4],
        attributes: |n| {
            text(n, "SAME_LOWER");
            set(n, "strides", &[2, 2]);
        },
    },
    Shape { x: &[1, 20, 10, 9], weight: &[3, 20, 4, 4], attributes: |n| text(n, "VALID") },
    // One dimension.
    Shape { x: &[2, 5, 30], weight: &[7, 5, 4], attributes: |n| pads(n, &[2, 1]) },
    Shape { x: &[1, 16, 30], weight: &[7, 16, 3], attributes: |n| set(n, "strides", &[2]) },
];

fn set(node: &mut NodeProto, name: &str, values: &[i64]) {
    node.attribute.push(graphs::ints(name, values));
}

fn pads(node: &mut NodeProto, values: &[i64]) {
    set(node, "pads", values);
}

fn group(node: &mut NodeProto, n: i64) {
    node.attribute.push(graphs::int("group", n));
}

fn text(node: &mut NodeProto, auto_pad: &str) {
    let mut attribute = graphs::int("auto_pad", 0);
    (attribute.i, attribute.s, attribute.r#type) = (None, Some(auto_pad.into()), Some(3));
    node.attribute.push(attribute);
}

/// Positive inputs, so that every weight that meets a pixel at all has an effect.
fn positive(name: &str, dims: &[u64], seed: u64) -> TensorValue {
    let count = dims.iter().product::<u64>() as usize;
    let values: Vec<f32> =
        Net::new(seed).randoms(count, 0.5).into_iter().map(|v| 1.0 + v).collect();
    tensor(name, dims, &values)
}

#[test]
fn every_shape_of_convolution_is_checked_by_its_product_and_every_edit_is_detected() {
    for (i, shape) in SHAPES.iter().enumerate() {
        let mut net = Net::new(i as u64 + 1);
        let dims: Vec<String> = shape.x.iter().map(ToString::to_string).collect();
        let dims: Vec<&str> = dims.iter().map(String::as_str).collect();
        net.input("x", FLOAT, &dims).output("y", FLOAT);
        let (w, b) = (net.param("w", shape.weight), net.param("b", &shape.weight[..1]));
        (shape.attributes)(net.node("Conv", &["x", &w, &b], "sum"));
        net.node("Relu", &["sum"], "y");
        let mut session = sealed(&net).session(Check::Compute);
        let input = positive("x", shape.x, 99);
        assert_eq!(refusal(&session, &input), None, "shape {i}: a false alarm");
        let had = coverage(&session, &input);
        assert!(had.iter().any(|(t, c)| t == "w" && is_product(*c)), "{i}: {had:?}");
        let wanted = answer(&session, &input);
        for seed in 0..20 {
            let found = refusal(&session, &positive("x", shape.x, seed));
            assert_eq!(found, None, "shape {i}, seed {seed}: a false alarm");
        }
        let (block, start, end) = place_of(&session, "w");
        // The sign, and the exponent's highest bit, of weights all over the tensor.
        for at in (start..end).step_by(4).step_by(((end - start) / 4 / 40).max(1)) {
            for mask in [0x80, 0x40] {
                let found = asked_with_flip(&mut session, (block, at + 3, mask), &input);
                let found = found.unwrap_or_else(|| panic!("shape {i}, byte {at}: accepted"));
                assert_eq!((found.block, found.tensor.as_deref()), (Some(block), Some("w")), "{i}");
                assert_eq!(found.bytes, Some([at as u64 + 3, at as u64 + 4]), "{i}");
            }
        }
        assert_eq!(answer(&session, &input), wanted, "{i}: put back");
    }
}

#[test]
fn products_of_matrices_are_checked_in_every_form() {
    let mut net = Net::new(5);
    net.input("x", FLOAT, &["2", "3", "8"]).output("y", FLOAT);
    let (a, b, c) = (net.param("a", &[8, 12]), net.param("b", &[12]), net.param("c", &[12, 5]));
    net.node("MatMul", &["x", &a], "xa");
    net.node("Add", &[&b, "xa"], "sum");
    net.node("Relu", &["sum"], "lit");
    net.node("MatMul", &["lit", &c], "z");
    let shape = net.ints("shape", &[6, 5]);
    net.node("Reshape", &["z", &shape], "flat");
    let (d, e) = (net.param("d", &[4, 5]), net.param("e", &[4]));
    net.node("Gemm", &["flat", &d, &e], "y").attribute =
        vec![graphs::int("transB", 1), graphs::float("alpha", 0.5), graphs::float("beta", 2.0)];
    let mut session = sealed(&net).session(Check::Compute);
    let input = positive("x", &[2, 3, 8], 1);
    let had = coverage(&session, &input);
    for (tensor, wanted) in [
        ("a", Coverage::Product),
        ("b", Coverage::Bytes),
        ("c", Coverage::Product),
        ("d", Coverage::Product),
        ("e", Coverage::Bytes),
    ] {
        let as_wanted = |(t, c): &(String, Coverage)| {
            t == tensor && (*c == wanted || wanted == Coverage::Product && is_product(*c))
        };
        assert!(had.iter().any(as_wanted), "{tensor}: {had:?}");
        let (block, start, _) = place_of(&session, tensor);
        let found = asked_with_flip(&mut session, (block, start + 3, 0x40), &input);
        let found = found.unwrap_or_else(|| panic!("{tensor}: accepted"));
        assert_eq!((found.block, found.tensor.as_deref()), (Some(block), Some(tensor)));
    }
    for seed in 0..200 {
        session.run(vec![positive("x", &[2, 3, 8], seed)]).unwrap();
    }
}

/// The engine takes `SAME_LOWER` for `SAME_UPPER`; this check is what showed it.
#[test]
fn padding_at_the_lower_end_is_padding_at_the_lower_end() {
    let (x, weight) = ([1, 3, 10, 9], [4, 3, 2, 4]);
    let build = |attributes: &dyn Fn(&mut NodeProto)| {
        let mut net = Net::new(6);
        net.input("x", FLOAT, &["1", "3", "10", "9"]).output("y", FLOAT);
        let w = net.param("w", &weight);
        attributes(net.node("Conv", &["x", &w], "y"));
        sealed(&net).session(Check::Compute)
    };
    let lower = build(&|n| text(n, "SAME_LOWER"));
    let explicit = build(&|n| pads(n, &[1, 2, 0, 1]));
    let upper = build(&|n| text(n, "SAME_UPPER"));
    let input = positive("x", &x, 3);
    assert_eq!(answer(&lower, &input), answer(&explicit, &input));
    assert!(difference(&answer(&upper, &input), &answer(&explicit, &input)) > 0.01);
}

#[test]
fn a_transposed_convolution_is_cut_off_at_the_lower_end() {
    let build = |attributes: &dyn Fn(&mut NodeProto)| {
        let mut net = Net::new(6);
        net.input("x", FLOAT, &["1", "2", "h", "w"]).output("y", FLOAT);
        let w = net.param("w", &[2, 3, 3, 4]);
        let node = net.node("ConvTranspose", &["x", &w], "y");
        set(node, "strides", &[2, 3]);
        attributes(node);
        sealed(&net).session(Check::Compute)
    };
    let lower = build(&|n| text(n, "SAME_LOWER"));
    let explicit = build(&|n| pads(n, &[1, 1, 0, 0]));
    let input = positive("x", &[1, 2, 4, 5], 3);
    assert_eq!(answer(&lower, &input), answer(&explicit, &input));
}

#[test]
fn of_a_table_the_rows_that_are_read_are_checked() {
    let mut net = Net::new(12);
    net.input("ids", INT64, &["1", "n"]).output("y", FLOAT);
    let (table, w) = (net.param("table", &[500, 48]), net.param("w", &[48, 6]));
    net.node("Gather", &[&table, "ids"], "rows");
    net.node("MatMul", &["rows", &w], "y");
    let ring = sealed(&net);
    let ids = |ids: &[i64]| {
        let data = ids.iter().flat_map(|i| i.to_le_bytes()).collect();
        TensorValue::new("ids", DType::I64, vec![1, ids.len() as u64], data).unwrap()
    };
    for check in [Check::Auto, Check::Compute] {
        let mut session = ring.session(check);
        let had = coverage(&session, &ids(&[3, 3, 499]));
        assert!(had.contains(&("table".to_owned(), Coverage::Rows)), "{check}: {had:?}");
        (0..4).for_each(|_| drop(session.run(vec![ids(&[1])]).unwrap()));
        let (block, start, _) = place_of(&session, "table");
        let row = start + 7 * 48 * 4;
        // The lowest bit of a fraction: only the tag sees it.
        let edit = (block, row + 20, 0x01);
        let unread = asked_with_flip(&mut session, edit, &ids(&[6, 8]));
        assert!(unread.is_none(), "rows that are not read do not matter");
        for query in [&[7][..], &[1, 7, 2], &[-493]] {
            let found = asked_with_flip(&mut session, edit, &ids(query)).unwrap();
            assert_eq!((found.block, found.tensor.as_deref()), (Some(block), Some("table")));
        }
        session.run(vec![ids(&[7])]).unwrap();
    }
    // `run` promises every byte.
    let session = ring.session(Check::Run);
    let (block, start, _) = place_of(&session, "table");
    flip(session.live_bytes(block).unwrap(), start, 0x01);
    assert!(refusal(&session, &ids(&[6, 8])).is_some());
}

#[test]
fn beside_the_engine_every_change_is_detected_too() {
    let ring = Sealed::new(&network("fashion-resnet8"), CutPolicy::Auto);
    let input = images(0, 1);
    let wanted = answer(&ring.session(Check::Run), &input);
    for check in [Check::Run, Check::Auto, Check::Compute] {
        let mut session = ring.session_of(&[1], check, 1);
        session.set_background_check(true);
        (0..5).for_each(|_| assert_eq!(answer(&session, &input), wanted, "{check}"));
        for header in ring.ring().layers() {
            for part in &header.parts {
                let edit = (header.index, part.offset as usize + 3, 0x40);
                let found = asked_with_flip(&mut session, edit, &input);
                // Such a change of a weight shows in what is computed; of all else, in its tag.
                let found = found.unwrap_or_else(|| panic!("{check}, {}: accepted", part.label()));
                assert_eq!(found.block, Some(header.index), "{check}, {}", part.label());
            }
        }
        assert_eq!(answer(&session, &input), wanted, "{check}");
    }
}

#[test]
fn a_spot_check_detects_what_was_changed_as_often_as_its_rate_says() {
    let ring = Sealed::new(&network("fashion-lenet5"), CutPolicy::Op);
    let mut session = ring.session(Check::Spot(SampleRate::new(0.3).unwrap()));
    let queries = 400;
    let mut asked = |_| asked_with_flip(&mut session, (2, 3, 0x01), &images(0, 1)).is_some();
    let met = (0..queries).map(&mut asked).filter(|met| *met).count();
    // Five standard deviations of 400 draws with probability 0.3.
    assert!((75..=165).contains(&met), "{met} of {queries}");
}

#[test]
fn a_receipt_says_of_a_spot_check_which_blocks_were_looked_at() {
    let ring = Sealed::new(&network("fashion-lenet5"), CutPolicy::Op);
    let session = ring.session(Check::Spot(SampleRate::new(0.5).unwrap()));
    let (mut looked_at, mut not) = (0, 0);
    for _ in 0..40 {
        for (_, had) in coverage(&session, &images(0, 1)) {
            match had {
                Coverage::Bytes => looked_at += 1,
                Coverage::Opened => not += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(looked_at > 0 && not > 0);
}

#[test]
fn sums_that_are_no_numbers_are_never_accepted() {
    let mut net = Net::new(3);
    net.input("x", FLOAT, &["1", "8"]).output("y", FLOAT);
    let w = net.param("w", &[8, 3]);
    net.node("Sqrt", &["x"], "root");
    net.node("MatMul", &["root", &w], "y");
    let ring = sealed(&net);
    // The network itself computes NaN: its answer, whatever is checked.
    let bad = tensor("x", &[1, 8], &[1.0, 1.0, 1.0, -1.0, 1.0, 1.0, 1.0, 1.0]);
    assert!(floats(&answer(&ring.session(Check::Run), &bad))[0].is_nan());
    let session = ring.session(Check::Compute);
    assert!(floats(&answer(&session, &bad)).iter().all(|v| v.is_nan()));
    let had = coverage(&session, &bad);
    assert!(had.contains(&("w".to_owned(), Coverage::Product)), "{had:?}");
    // Roots whose squares fit are checked.
    session.run(vec![tensor("x", &[1, 8], &[1e37; 8])]).unwrap();
    // Where they overflow, sums of scaled values are.
    session.run(vec![tensor("x", &[1, 8], &[f32::MAX; 8])]).unwrap();
    assert!(session.alarms().is_empty());
    session.run(vec![positive("x", &[1, 8], 1)]).unwrap();
}

#[test]
fn right_answers_stay_far_from_the_bound_and_the_detection_thresholds_are_real() {
    let ring = Sealed::new(&network("fashion-resnet8"), CutPolicy::Auto);
    let mut session = ring.session(Check::Compute);
    let mut state = 7usize;
    let mut random = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let mut worst = 0f32;
    let mut floors = std::collections::BTreeMap::new();
    for image in 0..100 {
        for margin in session.margins(vec![images(image, image + 1)], &mut random).unwrap() {
            worst = worst.max(margin.max_residual);
            assert!(margin.places > 0 && margin.rms > 0.0);
            if image == 0 {
                let mut found = margin.detection_thresholds;
                found.sort_by(f32::total_cmp);
                floors.insert((margin.block, margin.tensor), (found[found.len() / 2], margin.rms));
            }
        }
    }
    println!("largest gap: {worst} of what is allowed");
    assert!(worst > 0.0 && worst < 0.5, "{worst}");
    // An edit a hundred times the median threshold is detected in every layer, for the weight whose threshold is near it.
    let input = images(0, 1);
    for ((block, name), (floor, rms)) in floors {
        println!("{name}: floor {:e} of the weights' root mean square", floor / rms);
        if !floor.is_finite() {
            continue;
        }
        let (_, start, end) = place_of(&session, &name);
        let step = 4 * ((end - start) / 4 / 24).max(1);
        let met = (start..end).step_by(step).filter(|at| {
            let live = session.live_bytes(block).unwrap();
            let old: [u8; 4] = live[*at..at + 4].try_into().unwrap();
            let new = (f32::from_le_bytes(old) + 100.0 * floor).to_le_bytes();
            assert!(deepring_infer::tamper(live, *at, &new));
            let found = refusal(&session, &input);
            session.reload_block(block).unwrap();
            found.is_some()
        });
        let met = met.count();
        assert!(met >= 12, "{name}: {met}");
    }
}
