//! Rings on onnxruntime. Without its library, named by `DEEPRING_ORT_LIBRARY`, there is nothing to test.
//!
//! A binary of its own, so that `scripts/step tests-ort` builds nothing else with the feature.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly"
)]

mod memory;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use deepring::receipt::Require;
use deepring::receipt::SampleRate;
use deepring::{Check, Coverage, DType, Finding, PartKind, TensorValue};
use deepring_infer::engine::{
    Elements, Engine, EngineError, Input, Parameters, Race, Racing, View,
};
use deepring_infer::{CutPolicy, Ort, PlainModel, RunError, Session, SessionOptions};
use deepring_onnx::PARAMS_FILE;

use deepring_testkit::graphs::{self, FLOAT, INT64, Net};
use deepring_testkit::zoo::{
    NETWORKS, Sealed, answer, classes, difference, host, images, network, noise, plain, shared,
    tensor,
};

#[cfg(target_os = "linux")]
use crate::memory::{Memory, flip};

/// Against another engine, as the project promises.
const OTHER_ENGINE: f32 = 1e-4;
/// The checks that say something of a run where parameters are copied.
const CHECKS: [Check; 3] = [Check::None, Check::Load, Check::Compute];

fn library() -> Option<PathBuf> {
    let path = std::env::var_os("DEEPRING_ORT_LIBRARY").map(PathBuf::from);
    if path.is_none() {
        deepring_testkit::skip::skip(
            "packages",
            "DEEPRING_ORT_LIBRARY does not name onnxruntime's library",
        );
    }
    path
}

fn engine(library: &Path, threads: usize) -> Ort {
    Ort::load_library(library, threads.try_into().ok()).unwrap()
}

fn session(ring: &Sealed, hosts: &[u8], ort: Ort, check: Check) -> Result<Session<Ort>, RunError> {
    let keys: Vec<_> = hosts.iter().map(|seed| host(*seed)).collect();
    Session::open_on(
        ort,
        ring.ring(),
        &keys,
        SessionOptions { check, ..SessionOptions::default() },
        &|_| (),
    )
}

fn run(session: &Session<Ort>, inputs: &[TensorValue]) -> TensorValue {
    session.run(inputs.to_vec()).unwrap().outputs.remove(0).remove(0)
}

#[test]
fn a_ring_answers_as_it_does_on_the_other_engine_however_it_is_cut_and_checked() {
    let Some(library) = library() else { return };
    let input = images(0, 8);
    for (name, _) in NETWORKS {
        for cut in ["auto", "op", "1"] {
            let ring = Sealed::new(&network(name), cut.parse().unwrap());
            let wanted = answer(&ring.session(Check::Load), &input);
            for threads in [1, 2] {
                for check in CHECKS {
                    let session = session(&ring, &[1], engine(&library, threads), check).unwrap();
                    let found = run(&session, std::slice::from_ref(&input));
                    let gap = difference(&found, &wanted);
                    assert!(gap <= OTHER_ENGINE, "{name}, cut {cut}, {check}: {gap:e}");
                    assert_eq!(classes(&found), classes(&wanted));
                }
            }
        }
    }
}

#[test]
fn the_plain_network_answers_as_on_the_other_engine() {
    let Some(library) = library() else { return };
    for (name, _) in NETWORKS {
        let path = network(name);
        let model = PlainModel::unaltered_on(engine(&library, 2), &path).unwrap();
        let found = model.run(&[images(0, 8)]).unwrap().remove(0);
        assert!(difference(&found, &plain(&path, &images(0, 8))) <= OTHER_ENGINE, "{name}");
    }
}

#[test]
fn decisions_verify_and_say_what_was_checked() {
    let Some(library) = library() else { return };
    let ring = Sealed::new(&network("fashion-resnet8"), CutPolicy::Auto);
    for check in CHECKS {
        let session = session(&ring, &[1], engine(&library, 2), check).unwrap();
        for _ in 0..20 {
            let outcome = session.run_batch(vec![vec![images(0, 1)], vec![images(1, 3)]]).unwrap();
            let decision =
                outcome.decision.verify(ring.ring().outline(), Require::AsDealt).unwrap();
            assert_eq!((decision.check(), decision.items().len()), (check, 2));
            let receipts = decision.chain().receipts();
            let parts = receipts.flat_map(|r| r.coverage.iter().flatten());
            let by_product = parts.filter(|c| **c == Coverage::Product).count();
            assert_eq!(by_product > 0, check == Check::Compute);
        }
    }
}

/// Rows of a table too small for tags of its rows, through a dense layer, and through one with a softmax behind it: a block each.
fn small_embedding() -> Net {
    let mut net = Net::new(7);
    net.input("ids", INT64, &["n", "4"]).output("y", FLOAT);
    let table = net.param("table", &[50, 8]);
    net.node("Gather", &[&table, "ids"], "rows");
    net.node("Sigmoid", &["rows"], "even");
    let (first, second) = (net.param("first", &[8, 6]), net.param("second", &[6, 4]));
    net.node("MatMul", &["even", &first], "h");
    net.node("MatMul", &["h", &second], "logits");
    net.node("Softmax", &["logits"], "y");
    net
}

/// The coverage of each block's graph that the receipt states.
fn of_graphs<E: Engine>(session: &Session<E>, input: &TensorValue) -> Vec<(String, Coverage)> {
    let outcome = session.run(vec![input.clone()]).unwrap();
    let decision = outcome.decision.verify(session.ring().outline(), Require::AsDealt).unwrap();
    let coverage = decision.chain().receipts().flat_map(|r| r.coverage.clone());
    let graph = |header: &deepring::Header| {
        header.parts.iter().position(|p| p.kind == PartKind::Graph).unwrap()
    };
    let blocks = session.ring().layers().iter().zip(coverage);
    blocks.map(|(header, parts)| (header.name.clone(), parts[graph(header)])).collect()
}

/// Where there is a product, only the rest of the block is without evidence; where there is none, all of it would be.
#[test]
fn a_block_without_products_is_computed_twice_and_its_receipt_says_so() {
    let Some(library) = library() else { return };
    let folder = tempfile::tempdir().unwrap();
    let ring = Sealed::new(&small_embedding().save(folder.path()), CutPolicy::Op);
    let session = session(&ring, &[1], engine(&library, 1), Check::Compute).unwrap();
    let found = of_graphs(&session, &ids(&[0, 49, 7, 17]));
    let words: Vec<Coverage> = found.iter().map(|(_, c)| *c).collect();
    assert_eq!(words, [Coverage::Recomputed, Coverage::Recomputed, Coverage::Bytes], "{found:?}");
}

/// Whatever of the block's first program gives another output, the second program does not.
#[test]
fn a_block_without_products_that_computes_something_else_is_detected() {
    let Some(library) = library() else { return };
    let folder = tempfile::tempdir().unwrap();
    let ring = Sealed::new(&small_embedding().save(folder.path()), CutPolicy::Op);
    for program in [0, 1] {
        let (ort, attacks) = (engine(&library, 1), Arc::new(AtomicBool::new(false)));
        let (inside, on) = (ort.clone(), Arc::clone(&attacks));
        let raced = Racing::new(ort, move |race| {
            let Race::After { program: ran, outputs, .. } = race else { return };
            if ran != program || !on.load(Ordering::Relaxed) {
                return;
            }
            let View { dims, elements: Elements::F32(values) } = inside.view(&outputs[0]).unwrap()
            else {
                panic!("floats")
            };
            let mut values = values.into_owned();
            values[3] = f32::from_bits(values[3].to_bits() ^ 1);
            let dims: Vec<u64> = dims.into_iter().map(|d| d as u64).collect();
            outputs[0] = inside.import(&tensor("even", &dims, &values)).unwrap();
        });
        let options = SessionOptions { check: Check::Compute, ..SessionOptions::default() };
        let session = Session::open_on(raced, ring.ring(), &[host(1)], options, &|_| ()).unwrap();
        session.run(vec![ids(&[0, 49, 7, 17])]).unwrap();
        attacks.store(true, Ordering::Relaxed);
        let refused = session.run(vec![ids(&[0, 49, 7, 17])]).unwrap_err();
        let finding = refused.finding().unwrap_or_else(|| panic!("{refused}"));
        assert_eq!((finding.block, finding.tensor.as_deref()), (Some(1), Some("even")));
        assert!(finding.reason.contains("second program"), "{finding}");
    }
}

#[test]
fn values_are_the_same_in_type_shape_and_every_bit() {
    let Some(library) = library() else { return };
    let ort = engine(&library, 1);
    let value = |dtype: DType, dims: &[u64], data: &[u8]| {
        ort.import(&TensorValue::new("v", dtype, dims.to_vec(), data.to_vec()).unwrap()).unwrap()
    };
    let types = [DType::F32, DType::F64, DType::I8, DType::U8, DType::I16, DType::U16, DType::I32];
    for dtype in types.into_iter().chain([DType::U32, DType::I64, DType::U64]) {
        // Integers of 64 bits among them are beyond 32.
        let data: Vec<u8> = (1..).take(2 * dtype.size()).collect();
        let mut other = data.clone();
        other[0] ^= 1;
        let first = value(dtype, &[2, 1], &data);
        assert!(ort.same(&first, &value(dtype, &[2, 1], &data)), "{}", dtype.name());
        assert!(!ort.same(&first, &value(dtype, &[2, 1], &other)), "{}", dtype.name());
        assert!(!ort.same(&first, &value(dtype, &[1, 2], &data)), "{}", dtype.name());
    }
    let (one, truth) = (value(DType::I32, &[1], &[1, 0, 0, 0]), value(DType::Bool, &[1], &[1]));
    assert!(!ort.same(&one, &truth) && !ort.same(&truth, &one) && ort.same(&truth, &truth));
    let nan = |sign: u8| value(DType::F32, &[1], &[0, 0, 0xc0, 0x7f | sign]);
    assert!(ort.same(&nan(0), &nan(0x80)));
    let zero = |sign: u8| value(DType::F64, &[1], &[0, 0, 0, 0, 0, 0, 0, sign]);
    assert!(!ort.same(&zero(0), &zero(0x80)));
}

#[test]
fn checks_that_compare_bytes_are_refused() {
    let Some(library) = library() else { return };
    let ring = Sealed::new(&network("fashion-lenet5"), CutPolicy::Auto);
    let share = SampleRate::new(0.5).unwrap();
    for check in [Check::Run, Check::Auto, Check::Spot(share)] {
        let refused = session(&ring, &[1], engine(&library, 1), check).unwrap_err();
        assert!(matches!(refused, RunError::CheckNeedsBytes { check: c } if c == check));
        assert!(refused.finding().is_none());
    }
}

#[test]
fn what_passes_between_hosts_is_the_same() {
    let Some(library) = library() else { return };
    let spread = [("1,3,5", 1), ("2,4", 2)];
    let ring = Sealed::for_hosts(&network("fashion-lenet5"), CutPolicy::Op, &spread);
    let input = images(0, 3);
    let wanted = plain(&network("fashion-lenet5"), &input);
    let session = session(&ring, &[1, 2], engine(&library, 2), Check::Compute).unwrap();
    let outcome = session.run(vec![input]).unwrap();
    assert!(difference(&outcome.outputs[0][0], &wanted) <= OTHER_ENGINE);
    let decision = outcome.decision.verify(ring.ring().outline(), Require::AsDealt).unwrap();
    assert_eq!(decision.chain().receipts().len(), 5);
}

/// Rows of a table, normalised, through a dense layer: what transformers begin with.
fn embedding() -> Net {
    let mut net = Net::new(3);
    net.input("ids", INT64, &["n", "4"]).output("y", FLOAT);
    let table = net.param("table", &[600, 64]);
    net.node("Gather", &[&table, "ids"], "rows");
    let (scale, shift) = (net.param("scale", &[64]), net.param("shift", &[64]));
    net.node("LayerNormalization", &["rows", &scale, &shift], "even");
    let weight = net.param("weight", &[64, 48]);
    net.node("MatMul", &["even", &weight], "y");
    net
}

fn ids(values: &[i64]) -> TensorValue {
    let data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    TensorValue::new("ids", DType::I64, vec![values.len() as u64 / 4, 4], data).unwrap()
}

#[test]
fn integers_of_64_bits_come_in_and_choose_rows() {
    let Some(library) = library() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = embedding().save(folder.path());
    let input = ids(&[0, 599, -1, 17, 3, 3, -600, 4]);
    let wanted = plain(&path, &input);
    for cut in ["auto", "op"] {
        let ring = Sealed::new(&path, cut.parse().unwrap());
        for check in CHECKS {
            let session = session(&ring, &[1], engine(&library, 1), check).unwrap();
            let found = run(&session, std::slice::from_ref(&input));
            assert!(difference(&found, &wanted) <= OTHER_ENGINE, "cut {cut}, {check}");
            // A row that there is not is an error, or else a fault; never an answer.
            assert!(session.run(vec![ids(&[0, 1, 2, 600])]).is_err());
            let beyond = i64::from(i32::MAX) + 1;
            assert!(session.run(vec![ids(&[0, 1, 2, beyond])]).is_err());
            run(&session, std::slice::from_ref(&input));
        }
    }
}

#[test]
fn integers_of_64_bits_and_truths_go_out_as_the_network_declares_them() {
    let Some(library) = library() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(5);
    net.input("x", FLOAT, &["n", "6"]).output("best", INT64).output("above", graphs::BOOL);
    net.dense("x", "h", 6, 4);
    net.dense("h", "y", 4, 3);
    net.node("ArgMax", &["y"], "best").attribute = vec![graphs::int("axis", 1)];
    net.node("Greater", &["y", "h0"], "above");
    net.floats("h0", &[1], &[0.0]);
    let path = net.save(folder.path());
    let values: Vec<f32> = (0..12).map(|i| (i * 5 % 7) as f32 / 3.0 - 1.0).collect();
    let input = tensor("x", &[2, 6], &values);
    let model = PlainModel::unaltered(&path, None).unwrap();
    let wanted = model.run(std::slice::from_ref(&input)).unwrap();
    let ring = Sealed::new(&path, CutPolicy::Op);
    let session = session(&ring, &[1], engine(&library, 1), Check::Compute).unwrap();
    assert_eq!(session.run(vec![input]).unwrap().outputs.remove(0), wanted);
}

#[test]
fn residual_networks_with_several_live_tensors_answer_as_the_plain_one() {
    let Some(library) = library() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = graphs::residual(5).save(folder.path());
    let values: Vec<f32> = (0..2 * 3 * 64).map(|i| ((i * 37 % 101) as f32) / 50.0 - 1.0).collect();
    let input = tensor("x", &[2, 3, 8, 8], &values);
    let wanted = plain(&path, &input);
    for cut in ["auto", "op", "2"] {
        let ring = Sealed::new(&path, cut.parse().unwrap());
        let session = session(&ring, &[1], engine(&library, 2), Check::Compute).unwrap();
        let found = run(&session, std::slice::from_ref(&input));
        assert!(difference(&found, &wanted) <= OTHER_ENGINE, "cut {cut}");
    }
}

#[test]
fn efficientnet_answers_as_the_plain_network() {
    let Some(library) = library() else { return };
    let Some(path) = shared("efficientnet-lite0.onnx") else {
        deepring_testkit::skip::skip("networks", "efficientnet-lite0.onnx is not at hand");
        return;
    };
    let input = noise();
    let wanted = plain(&path, &input);
    let ring = Sealed::new(&path, CutPolicy::Auto);
    let session = session(&ring, &[1], engine(&library, 2), Check::Compute).unwrap();
    let found = run(&session, std::slice::from_ref(&input));
    assert!(difference(&found, &wanted) <= OTHER_ENGINE);
}

#[test]
fn another_library_or_none_is_refused() {
    let Some(library) = library() else { return };
    let folder = tempfile::tempdir().unwrap();
    engine(&library, 1);
    let other = folder.path().join("other.so");
    let absent = Ort::load_library(&other, None).unwrap_err();
    assert!(matches!(absent, EngineError::Library { path, .. } if path == other));
    std::fs::write(&other, b"no library").unwrap();
    let refused = Ort::load_library(&other, None).unwrap_err();
    assert!(matches!(refused, EngineError::Library { reason, .. } if reason.contains("already")));
}

fn finding(session: &Session<Ort>, input: &TensorValue) -> Finding {
    let refused = session.run(vec![input.clone()]).unwrap_err();
    refused.finding().unwrap_or_else(|| panic!("refused as something else: {refused}")).clone()
}

/// A graph with one parameter of four floats, added to its input; in place where the parameter is an input too.
#[cfg(target_os = "linux")]
fn adding(in_place: bool) -> Vec<u8> {
    let mut net = Net::new(1);
    net.input("x", FLOAT, &["4"]).output("y", FLOAT);
    net.node("Add", &["x", "w"], "y");
    net.floats("w", &[4], &[0.0; 4]);
    graphs::external(net.graph.initializer.last_mut().unwrap(), PARAMS_FILE, 64, Some(16));
    if in_place {
        net.input("w", FLOAT, &["4"]);
    }
    net.bytes()
}

#[test]
#[cfg(target_os = "linux")]
fn parameters_that_are_inputs_besides_are_read_in_place_and_others_are_not() {
    let Some(library) = library() else { return };
    let Some(memory) = Memory::of_this_process() else { return };
    let ort = engine(&library, 1);
    let x = ort.import(&tensor("x", &[4], &[1.0; 4])).unwrap();
    for (in_place, after) in [(true, 1.25), (false, 1.5)] {
        let mut bytes: Vec<u8> = vec![0; 64];
        bytes.extend([0.5f32; 4].iter().flat_map(|v| v.to_le_bytes()));
        // In a place of its own: alignment is the owner's business, as that of a block's buffer is.
        let aligned: &'static mut [u64] = vec![0u64; bytes.len() / 8].leak();
        let live: &'static mut [u8] = bytemuck::cast_slice_mut(aligned);
        live.copy_from_slice(&bytes);
        let live: &'static [u8] = live;
        let parameters = Parameters { bytes: live, shared_from: live.len() };
        let program = ort.load(&adding(in_place), parameters, &["x"], &["y"]).unwrap();
        let sum = || {
            let out = ort.run(&program, vec![Input::Borrowed(&x)]).unwrap().remove(0);
            match ort.view(&out).unwrap().elements {
                Elements::F32(v) => v.to_vec(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(sum(), [1.5; 4]);
        // 0.5 becomes 0.25.
        (0..4).for_each(|i| memory.flip_at(live.as_ptr() as u64 + 64 + 4 * i + 3, 0x01));
        (0..4).for_each(|i| memory.flip_at(live.as_ptr() as u64 + 64 + 4 * i + 2, 0x80));
        assert_eq!(sum(), [after; 4], "in place: {in_place}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_changed_byte_of_what_is_read_in_place_is_refused_by_name() {
    let Some(library) = library() else { return };
    let folder = tempfile::tempdir().unwrap();
    let ring = Sealed::new(&embedding().save(folder.path()), "1".parse().unwrap());
    let mut session = session(&ring, &[1], engine(&library, 1), Check::Compute).unwrap();
    let input = ids(&[0, 599, 1, 17]);
    let wanted = run(&session, std::slice::from_ref(&input));
    let parts = session.ring().headers()[1].parts.clone();
    let at = |name: &str| {
        parts.iter().find(|p| p.parameter_name() == Some(name)).unwrap().offset as usize
    };
    // A byte of row 17, which the query reads.
    for (name, at) in
        [("scale", at("scale")), ("shift", at("shift")), ("table", at("table") + 17 * 256)]
    {
        flip(session.live_bytes(1).unwrap(), at, 0x10);
        assert_eq!(finding(&session, &input).tensor.as_deref(), Some(name));
        session.reload_block(1).unwrap();
        assert_eq!(run(&session, std::slice::from_ref(&input)), wanted);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_change_of_the_librarys_own_copy_is_refused_by_what_it_computes() {
    const ALONE: &str = "DEEPRING_TEST_ALONE";
    let Some(library) = library() else { return };
    // Among what is found are places that were freed; another test of this process could be given them meanwhile.
    if std::env::var_os(ALONE).is_none() {
        let this = "a_change_of_the_librarys_own_copy_is_refused_by_what_it_computes";
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        let ran = alone.args(["--exact", this]).env(ALONE, "1").output().unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let Some(memory) = Memory::of_this_process() else { return };
    let folder = tempfile::tempdir().unwrap();
    let ring = Sealed::new(&embedding().save(folder.path()), "1".parse().unwrap());
    let mut session = session(&ring, &[1], engine(&library, 1), Check::Compute).unwrap();
    let input = ids(&[0, 599, 1, 17]);
    let wanted = run(&session, std::slice::from_ref(&input));
    let parts = session.ring().headers()[1].parts.clone();
    let weight = parts.iter().find(|p| p.parameter_name() == Some("weight")).unwrap();
    let live = session.live_bytes(1).unwrap();
    let own = live.as_ptr() as u64..live.as_ptr() as u64 + live.len() as u64;
    // Eight neighbours in a row stay neighbours however a matrix is packed for vectors.
    let start = weight.offset as usize;
    let needle = &live[start..start + 32];
    let copies: Vec<u64> =
        memory.find(needle).into_iter().filter(|address| !own.contains(address)).collect();
    assert!(!copies.is_empty(), "the library reads weights in place after all");
    copies.iter().for_each(|address| memory.flip_at(address + 3, 0x01));
    assert_eq!(finding(&session, &input).tensor.as_deref(), Some("weight"));
    // Back before they are freed: whose they are next is not known.
    copies.iter().for_each(|address| memory.flip_at(address + 3, 0x01));
    session.reload_block(1).unwrap();
    assert_eq!(run(&session, std::slice::from_ref(&input)), wanted);
}
