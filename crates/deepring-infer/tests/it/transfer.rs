//! Blocks that change hands: whatever the network and however its blocks are spread, the answer is that of one host.

use deepring::receipt::Require;
use deepring::{Check, DType, TensorValue};
use deepring_infer::CutPolicy;

use crate::graphs::{FLOAT, INT64, Net, int, ints};
use crate::zoo::{NETWORKS, SAMPLE, Sealed, answer, difference, images, network, shared, tensor};

#[test]
fn however_blocks_are_spread_two_hosts_agree_with_one() {
    let input = images(0, 3);
    for (name, _) in NETWORKS {
        let path = network(name);
        let single = Sealed::new(&path, CutPolicy::Op);
        let wanted = answer(&single.session(Check::Compute), &input);
        let count = single.ring().layers().len();
        let numbers = |first: usize, step: usize| -> String {
            let all: Vec<_> = (first..=count).step_by(step).map(|b| b.to_string()).collect();
            all.join(",")
        };
        let half = count / 2;
        let spreads = [
            [numbers(1, 2), numbers(2, 2)],
            [format!("1-{half}"), format!("{}-{count}", half + 1)],
            [format!("1-{half},{count}"), format!("{}-{}", half + 1, count - 1)],
            [format!("1,{count}"), format!("2-{}", count - 1)],
        ];
        for [a, b] in &spreads {
            let ring = Sealed::for_hosts(&path, CutPolicy::Op, &[(a, 1), (b, 2)]);
            let session = ring.session_of(&[1, 2], Check::Compute, 2);
            assert_eq!(answer(&session, &input), wanted, "{name}: {a} and {b}");
            let batch = vec![vec![images(0, 1)], vec![images(1, 4)]];
            let outcome = session.run_batch(batch.clone()).unwrap();
            outcome.decision.verify(ring.ring().outline(), Require::AsDealt).unwrap();
            for (inputs, outputs) in batch.iter().zip(&outcome.outputs) {
                assert_eq!(outputs[0], answer(&single.session(Check::Compute), &inputs[0]));
            }
        }
        // Larger blocks, with several linear operators and residual sums in one.
        let cut = CutPolicy::Count(3.try_into().unwrap());
        let ring = Sealed::for_hosts(&path, cut, &[("1,3", 1), ("2", 2)]);
        let session = ring.session_of(&[1, 2], Check::Compute, 2);
        assert!(difference(&answer(&session, &input), &wanted) < 1e-5, "{name} in three blocks");
    }
}

/// Embeddings by integer ids, attention, normalisations, and shapes that each query decides.
fn transformer() -> Net {
    let mut net = Net::new(11);
    net.input("ids", INT64, &["n", "t"]).output("y", FLOAT);
    let table = net.param("table", &[50, 8]);
    net.node("Gather", &[&table, "ids"], "e");
    let norm = |net: &mut Net, x: &str, y: &str| {
        let (scale, shift) =
            (net.param(&format!("{y}.s"), &[8]), net.param(&format!("{y}.b"), &[8]));
        net.node("LayerNormalization", &[x, &scale, &shift], y);
    };
    norm(&mut net, "e", "n1");
    for (i, name) in ["q", "k", "v"].into_iter().enumerate() {
        let (w, b) =
            (net.param(&format!("w{name}"), &[8, 8]), net.param(&format!("b{name}"), &[8]));
        net.node("MatMul", &["n1", &w], &format!("{name}0"));
        net.node("Add", &[&format!("{name}0"), &b], &format!("{name}1"));
        // Heads: n × t × 8 to n × t × 2 × 4, sizes taken from the value itself.
        net.node("Shape", &[&format!("{name}1")], &format!("{name}s"));
        let (from, to) =
            (net.ints(&format!("{name}0i"), &[0]), net.ints(&format!("{name}2i"), &[2]));
        net.node("Slice", &[&format!("{name}s"), &from, &to], &format!("{name}nt"));
        let heads = net.ints(&format!("{name}h"), &[2, 4]);
        net.node("Concat", &[&format!("{name}nt"), &heads], &format!("{name}r")).attribute =
            vec![int("axis", 0)];
        net.node("Reshape", &[&format!("{name}1"), &format!("{name}r")], &format!("{name}2"));
        let order: &[i64] = if i == 1 { &[0, 2, 3, 1] } else { &[0, 2, 1, 3] };
        net.node("Transpose", &[&format!("{name}2")], name).attribute = vec![ints("perm", order)];
    }
    net.node("MatMul", &["q", "k"], "scores");
    let half = net.floats("half", &[], &[0.5]);
    net.node("Mul", &["scores", &half], "scaled");
    net.node("Softmax", &["scaled"], "weights").attribute = vec![int("axis", -1)];
    net.node("MatMul", &["weights", "v"], "mixed");
    net.node("Transpose", &["mixed"], "back").attribute = vec![ints("perm", &[0, 2, 1, 3])];
    let joined = net.ints("joined", &[0, 0, 8]);
    net.node("Reshape", &["back", &joined], "flat");
    let wo = net.param("wo", &[8, 8]);
    net.node("MatMul", &["flat", &wo], "o");
    net.node("Add", &["o", "e"], "r");
    norm(&mut net, "r", "n2");
    let (up, down) = (net.param("up", &[8, 16]), net.param("down", &[16, 8]));
    net.node("MatMul", &["n2", &up], "u");
    net.node("Sigmoid", &["u"], "g");
    net.node("Mul", &["u", "g"], "a");
    net.node("MatMul", &["a", &down], "d");
    net.node("Add", &["d", "r"], "z");
    net.node("ReduceMean", &["z"], "pooled").attribute =
        vec![ints("axes", &[1]), int("keepdims", 0)];
    net.dense("pooled", "y", 8, 3);
    net
}

#[test]
fn a_transformer_passes_between_two_hosts() {
    let folder = tempfile::tempdir().unwrap();
    let path = transformer().save(folder.path());
    let three = CutPolicy::Count(3.try_into().unwrap());
    for (cut, wanted) in [(CutPolicy::Op, 8), (three, 3)] {
        let single = Sealed::new(&path, cut);
        let count = single.ring().layers().len();
        assert_eq!(count, wanted);
        let turns = |from: usize| -> String {
            (from..=count).step_by(2).map(|b| b.to_string()).collect::<Vec<_>>().join(",")
        };
        let turning = Sealed::for_hosts(&path, cut, &[(&turns(1), 1), (&turns(2), 2)]);
        let (one, two) =
            (single.session(Check::Compute), turning.session_of(&[1, 2], Check::Compute, 2));
        for (n, t) in [(1u64, 7u64), (2, 3), (3, 1)] {
            let data = (0..n * t).flat_map(|i| (i as i64 * 17 % 50).to_le_bytes()).collect();
            let ids = TensorValue::new("ids", DType::I64, vec![n, t], data).unwrap();
            let gap = difference(&answer(&two, &ids), &answer(&one, &ids));
            assert!(gap < 1e-5, "{n} by {t}: {gap}");
        }
    }
}

/// Where the network is at hand: depthwise convolutions, bounds of one element, residual sums.
#[test]
fn a_larger_network_passes_between_two_hosts() {
    let Some(path) = shared("efficientnet-lite0.onnx") else {
        deepring_testkit::skip::skip("networks", "efficientnet-lite0.onnx is not at hand");
        return;
    };
    let single = Sealed::new(&path, CutPolicy::Op);
    let count = single.ring().layers().len();
    let turns = |from: usize| -> String {
        (from..=count).step_by(2).map(|b| b.to_string()).collect::<Vec<_>>().join(",")
    };
    let ring = Sealed::for_hosts(&path, CutPolicy::Op, &[(&turns(1), 1), (&turns(2), 2)]);
    let spec = ring.ring().inputs()[0].clone();
    let dims: Vec<u64> = spec
        .dims
        .unwrap()
        .iter()
        .map(|d| if let deepring::Dim::Fixed(n) = d { *n } else { 1 })
        .collect();
    let values: Vec<f32> = (0..dims.iter().product::<u64>())
        .map(|i| ((i * 7919 % 255) as f32 - 127.0) / 128.0)
        .collect();
    let input = tensor(&spec.name, &dims, &values);
    let start = std::time::Instant::now();
    let wanted = answer(&single.session(Check::Compute), &input);
    let one = start.elapsed();
    let found = answer(&ring.session_of(&[1, 2], Check::Compute, 2), &input);
    println!("one host {one:?}, two in turns {:?}", start.elapsed() - one);
    assert_eq!(found, wanted);
}

#[test]
fn many_pictures_pass_between_two_hosts() {
    for (name, pictures) in [("fashion-lenet5", SAMPLE), ("fashion-resnet8", 60)] {
        let path = network(name);
        let single = Sealed::new(&path, CutPolicy::Op);
        let count = single.ring().layers().len();
        let turns = |from: usize| -> String {
            (from..=count).step_by(2).map(|b| b.to_string()).collect::<Vec<_>>().join(",")
        };
        let ring = Sealed::for_hosts(&path, CutPolicy::Op, &[(&turns(1), 1), (&turns(2), 2)]);
        let batch: Vec<_> = (0..pictures).step_by(10).map(|i| vec![images(i, i + 10)]).collect();
        let outputs = |session: deepring_infer::Session| {
            let start = std::time::Instant::now();
            let outputs = session.run_batch(batch.clone()).unwrap().outputs;
            (outputs, start.elapsed())
        };
        let (wanted, alone) = outputs(single.session(Check::Compute));
        let (found, in_turns) = outputs(ring.session_of(&[1, 2], Check::Compute, 2));
        println!("{name}: {pictures} pictures, one host {alone:?}, two in turns {in_turns:?}");
        assert_eq!(found, wanted, "{name}");
    }
}
