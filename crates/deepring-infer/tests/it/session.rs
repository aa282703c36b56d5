//! Sessions answer as the plain network does, and refuse inputs that it does not take.

use std::fs;
use std::path::Path;
use std::process::Command;

use deepring::receipt::Require;
use deepring::receipt::SampleRate;
use deepring::{Check, DType, TensorValue};
use deepring_infer::inputs::{InputError, write_npy};
use deepring_infer::{CutPolicy, PlainModel, RunError};

use crate::graphs::{self, FLOAT, Net};
use crate::zoo::{
    NETWORKS, SAMPLE, Sealed, answer, classes, difference, floats, images, labels, network, noise,
    owner, plain, shared, tensor,
};

/// A ring folds batch normalisation and fuses within a block only, the plain network over all of it: as a
/// share of the output's peak, rounding differs by no more than this.
const BOUND: f32 = 1e-5;
/// Against another engine, as the project promises.
const OTHER_ENGINE: f32 = 1e-4;

fn every_check() -> [Check; 6] {
    let half = SampleRate::new(0.5).unwrap();
    [Check::None, Check::Load, Check::Spot(half), Check::Run, Check::Auto, Check::Compute]
}

#[test]
fn a_ring_answers_as_the_plain_network_however_it_is_cut_and_checked() {
    let input = images(0, 32);
    for (name, _) in NETWORKS {
        let wanted = plain(&network(name), &input);
        let mut worst = 0f32;
        for cut in ["auto", "op", "1", "3"] {
            let ring = Sealed::new(&network(name), cut.parse().unwrap());
            for threads in [1, 2] {
                let answers = every_check()
                    .map(|check| answer(&ring.session_of(&[1], check, threads), &input));
                for (check, other) in every_check().iter().zip(&answers) {
                    assert_eq!(&answers[0], other, "{name}, cut {cut}, {threads} threads, {check}");
                }
                assert_eq!(classes(&answers[0]), classes(&wanted));
                worst = worst.max(difference(&answers[0], &wanted));
            }
        }
        println!("{name}: largest difference to the plain run {worst:e} of the peak");
        assert!(worst <= BOUND, "{name}: {worst:e}");
    }
}

#[test]
fn a_ring_is_as_accurate_as_the_model_card_says() {
    let right = labels();
    for (name, wanted) in NETWORKS {
        let ring = Sealed::new(&network(name), CutPolicy::Auto);
        let session = ring.session(Check::Run);
        let mut found = Vec::new();
        for from in (0..SAMPLE).step_by(100) {
            found.extend(classes(&answer(&session, &images(from, from + 100))));
        }
        let hits = found.iter().zip(&right).filter(|(a, b)| a == b).count();
        assert_eq!(hits, wanted, "{name}");
        let plain = plain(&network(name), &images(0, SAMPLE));
        assert_eq!(found, classes(&plain), "{name}");
    }
}

#[test]
fn a_batch_of_queries_gives_what_each_query_gives_and_one_decision() {
    let ring = Sealed::new(&network("fashion-lenet5"), CutPolicy::Auto);
    let session = ring.session(Check::Run);
    let batch: Vec<_> = [(0, 1), (1, 4), (4, 5)].map(|(a, b)| vec![images(a, b)]).into();
    let outcome = session.run_batch(batch.clone()).unwrap();
    for (inputs, outputs) in batch.iter().zip(&outcome.outputs) {
        assert_eq!(outputs[0], answer(&session, &inputs[0]));
    }
    let decision = outcome.decision.verify(ring.ring().outline(), Require::AsDealt).unwrap();
    assert_eq!(decision.items().len(), 3);
    assert_eq!(decision.check(), Check::Run);
}

#[test]
fn a_decision_states_the_check_that_was_made() {
    let ring = Sealed::new(&network("fashion-lenet5"), CutPolicy::Auto);
    for check in every_check() {
        let outcome = ring.session(check).run(vec![images(0, 1)]).unwrap();
        assert_eq!(
            outcome.decision.verify(ring.ring().outline(), Require::AsDealt).unwrap().check(),
            check
        );
    }
}

#[test]
fn several_inputs_and_outputs_come_and_go_by_name_in_the_order_of_the_network() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(7);
    net.input("left", FLOAT, &["n", "6"]).input("right", FLOAT, &["n", "4"]);
    net.output("zeta", FLOAT).output("alpha", FLOAT);
    net.dense("left", "a", 6, 5);
    net.dense("right", "b", 4, 5);
    net.node("Add", &["a", "b"], "sum");
    net.node("Relu", &["sum"], "alpha");
    net.dense("alpha", "zeta", 5, 3);
    let path = net.save(folder.path());
    let left = tensor("left", &[2, 6], &[0.5; 12]);
    let right = tensor("right", &[2, 4], &[-0.25, 1.0, 0.0, 2.0, 1.0, 1.0, 1.0, 1.0]);
    let wanted =
        PlainModel::unaltered(&path, None).unwrap().run(&[left.clone(), right.clone()]).unwrap();
    assert_eq!(wanted.iter().map(TensorValue::name).collect::<Vec<_>>(), ["zeta", "alpha"]);
    for cut in ["op", "1"] {
        let session = Sealed::new(&path, cut.parse().unwrap()).session(Check::Run);
        // In either order.
        for inputs in [vec![left.clone(), right.clone()], vec![right.clone(), left.clone()]] {
            let outputs = session.run(inputs).unwrap().outputs.remove(0);
            assert_eq!(outputs.len(), 2);
            for (found, wanted) in outputs.iter().zip(&wanted) {
                assert!(difference(found, wanted) <= BOUND, "cut {cut}");
            }
        }
        let one = session.run(vec![left.clone()]).unwrap_err();
        assert!(
            matches!(&one, RunError::Input(InputError::Missing { name, .. }) if name == "right")
        );
        // Both dimensions are called the same, and that promises nothing: one row goes with every row.
        let uneven = vec![left.clone(), tensor("right", &[1, 4], &[0.0; 4])];
        assert_eq!(session.run(uneven).unwrap().outputs[0][0].dims()[0], 2);
        let narrow = session.run(vec![left.clone(), tensor("right", &[2, 3], &[0.0; 6])]);
        let narrow = narrow.unwrap_err();
        assert!(
            matches!(&narrow, RunError::Input(InputError::Shape { name, .. }) if name == "right")
        );
    }
}

#[test]
fn inputs_that_the_network_does_not_take_are_refused_by_ring_and_plain_run_alike() {
    let path = network("fashion-lenet5");
    let session = Sealed::new(&path, CutPolicy::Auto).session(Check::Run);
    let model = PlainModel::unaltered(&path, None).unwrap();
    let refused = |inputs: &[TensorValue]| {
        let errors = [session.run(inputs.to_vec()).unwrap_err(), model.run(inputs).unwrap_err()];
        errors.map(|e| match e {
            RunError::Input(e) => e,
            other => panic!("refused as something else: {other}"),
        })
    };
    let good = images(0, 1);
    let mut broken = floats(&good);
    broken[99] = f32::NAN;
    let mut endless = floats(&good);
    endless[7] = f32::NEG_INFINITY;
    let shape = [1, 1, 28, 28];
    // A linear operator reads it as it is, and nothing could be verified of what it gives.
    let broken = session.run(vec![tensor("image", &shape, &broken)]).unwrap_err();
    let is_named = matches!(&broken, RunError::Input(InputError::NotANumber { at: 99, .. }));
    assert!(is_named, "{broken}");
    let endless = session.run(vec![tensor("image", &shape, &endless)]).unwrap_err();
    let too_large = InputError::TooLarge { name: "image".into(), at: 7, value: f32::NEG_INFINITY };
    assert!(matches!(&endless, RunError::Input(e) if *e == too_large), "{endless}");
    let wide = TensorValue::new("image", DType::F64, shape.to_vec(), vec![0; 28 * 28 * 8]).unwrap();
    for e in refused(&[wide]) {
        assert!(matches!(e, InputError::DType { found: "f64", expected: "f32", .. }), "{e}");
    }
    for dims in [&[28, 28][..], &[1, 28, 28, 1], &[1, 1, 1, 28, 28]] {
        for e in refused(&[tensor("image", dims, &[0.0; 28 * 28])]) {
            assert!(matches!(e, InputError::Shape { .. }), "{e}");
        }
    }
    for e in refused(&[tensor("picture", &shape, &[0.0; 28 * 28])]) {
        assert!(matches!(&e, InputError::Unknown { name, .. } if name == "picture"), "{e}");
    }
    for e in refused(&[good.clone(), tensor("extra", &[1], &[0.0])]) {
        assert!(matches!(&e, InputError::Unknown { name, .. } if name == "extra"), "{e}");
    }
    for e in refused(&[good.clone(), good.clone()]) {
        assert!(matches!(e, InputError::Twice { .. }), "{e}");
    }
    for e in refused(&[]) {
        assert!(matches!(e, InputError::Nothing { .. } | InputError::Missing { .. }), "{e}");
    }
    let none = session.run_batch(Vec::new()).unwrap_err();
    assert!(matches!(none, RunError::Input(InputError::Nothing { .. })));
    // None of it spoilt the session.
    assert_eq!(answer(&session, &good), plain(&path, &good));
}

#[test]
fn a_batch_of_nothing_is_answered_or_refused_but_does_not_end_the_session() {
    let path = network("fashion-lenet5");
    let session = Sealed::new(&path, CutPolicy::Auto).session(Check::Run);
    match session.run(vec![tensor("image", &[0, 1, 28, 28], &[])]) {
        Ok(outcome) => assert_eq!(outcome.outputs[0][0].dims(), [0, 10]),
        Err(e) => println!("refused: {e}"),
    }
    assert_eq!(answer(&session, &images(0, 1)), plain(&path, &images(0, 1)));
}

#[test]
fn a_ring_file_that_changes_after_the_opening_changes_no_answer_but_a_reload_refuses_it() {
    let ring = Sealed::new(&network("fashion-lenet5"), CutPolicy::Op);
    let mut session = ring.session(Check::Run);
    let input = images(0, 4);
    let before = answer(&session, &input);
    let parts = session.ring().headers()[3].parts.clone();
    let at = session.ring().stored_at(3, parts[0].offset + 100).unwrap();
    let mut bytes = fs::read(&ring.path).unwrap();
    bytes[usize::try_from(at).unwrap()] ^= 1;
    // In place, as an attacker would: the session holds this very file.
    fs::write(&ring.path, &bytes).unwrap();
    assert_eq!(answer(&session, &input), before);
    let refused = session.reload_block(3).unwrap_err();
    let finding = refused.finding().unwrap();
    assert_eq!(finding.block, Some(3));
    assert_eq!(finding.tensor.as_deref(), parts[0].parameter_name());
    let [start, end] = finding.bytes.unwrap();
    assert!((start..end).contains(&at));
    // What is in memory is as good as before, and other blocks can still be reloaded.
    assert_eq!(answer(&session, &input), before);
    session.reload_block(2).unwrap();
    fs::File::create(&ring.path).unwrap();
    let gone = session.reload_block(2).unwrap_err();
    assert_eq!(gone.finding().unwrap().block, Some(2));
    assert_eq!(answer(&session, &input), before);
}

#[test]
fn a_session_can_be_used_from_several_threads() {
    let path = network("fashion-lenet5");
    let session = Sealed::new(&path, CutPolicy::Auto).session(Check::Run);
    let wanted = answer(&session, &images(0, 1));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    assert_eq!(answer(&session, &images(0, 1)), wanted);
                }
            });
        }
    });
}

#[test]
fn residual_networks_with_several_live_tensors_answer_as_the_plain_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = graphs::residual(5).save(folder.path());
    let values: Vec<f32> = (0..2 * 3 * 64).map(|i| ((i * 37 % 101) as f32) / 50.0 - 1.0).collect();
    let input = tensor("x", &[2, 3, 8, 8], &values);
    let wanted = plain(&path, &input);
    for cut in ["auto", "op", "2"] {
        let session = Sealed::new(&path, cut.parse().unwrap()).session(Check::Run);
        assert!(difference(&answer(&session, &input), &wanted) <= BOUND, "cut {cut}");
    }
}

#[test]
fn efficientnet_answers_as_the_plain_network() {
    let Some(path) = shared("efficientnet-lite0.onnx") else {
        deepring_testkit::skip::skip("networks", "efficientnet-lite0.onnx is not at hand");
        return;
    };
    let input = noise();
    let wanted = plain(&path, &input);
    for cut in ["auto", "op"] {
        let ring = Sealed::new(&path, cut.parse().unwrap());
        let session = ring.session(Check::Run);
        let gap = difference(&answer(&session, &input), &wanted);
        let blocks = session.ring().layers().len();
        println!("efficientnet-lite0, cut {cut}: {blocks} blocks, {gap:e} of the peak");
        assert!(gap <= BOUND, "cut {cut}: {gap:e}");
    }
}

/// Runs a network in onnxruntime: argv is model, input.npy, output.npy.
const ONNXRUNTIME: &str = "
import sys, numpy, onnxruntime
s = onnxruntime.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider'])
y = s.run(None, {s.get_inputs()[0].name: numpy.load(sys.argv[2])})[0]
numpy.save(sys.argv[3], y)
";

#[test]
fn rings_agree_with_onnxruntime() {
    let python =
        std::env::var("DEEPRING_ONNXRUNTIME_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let there = Command::new(&python).args(["-c", "import onnxruntime, numpy"]).output();
    if !there.is_ok_and(|o| o.status.success()) {
        deepring_testkit::skip::skip(
            "packages",
            format_args!(
                "`{python}` has no onnxruntime; DEEPRING_ONNXRUNTIME_PYTHON can name another"
            ),
        );
        return;
    }
    let mut cases: Vec<_> =
        NETWORKS.iter().map(|(name, _)| (network(name), images(0, SAMPLE))).collect();
    match shared("efficientnet-lite0.onnx") {
        Some(path) => cases.push((path, noise())),
        None => deepring_testkit::skip::skip("networks", "efficientnet-lite0.onnx is not at hand"),
    }
    for (path, input) in cases {
        let wanted = onnxruntime(&python, &path, &input);
        for cut in [CutPolicy::Auto, CutPolicy::Op] {
            let session = Sealed::new(&path, cut).session(Check::Run);
            let gap = difference(&answer(&session, &input), &wanted);
            println!("{}, {cut:?}: {gap:e} of the peak", path.file_name().unwrap().display());
            assert!(gap <= OTHER_ENGINE, "{gap:e}");
        }
    }
}

fn onnxruntime(python: &str, model: &Path, input: &TensorValue) -> TensorValue {
    let folder = tempfile::tempdir().unwrap();
    let (x, y) = (folder.path().join("x.npy"), folder.path().join("y.npy"));
    write_npy(&x, input).unwrap();
    let ran =
        Command::new(python).args(["-c", ONNXRUNTIME]).args([model, &x, &y]).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    deepring_infer::inputs::read_npy(&y, "logits").unwrap()
}

#[test]
fn another_owner_or_an_upgrade_of_the_file_is_seen_by_the_next_session_only() {
    let ring = Sealed::new(&network("fashion-lenet5"), CutPolicy::Auto);
    let session = ring.session(Check::Run);
    let before = answer(&session, &images(0, 1));
    let other = owner(9);
    let resealed = deepring_infer::Seal::new(&network("fashion-resnet8"), &other)
        .host(deepring_infer::sealing::Blocks::All, crate::zoo::host(1).public())
        .write(&ring.path, &|_| ());
    resealed.unwrap();
    // The file under the name is another one now; the session's is still there.
    assert_eq!(answer(&session, &images(0, 1)), before);
    let trust = deepring::Trust::owner(ring.owner.public());
    let opened = deepring::UnverifiedRing::open(&ring.path).unwrap();
    assert!(opened.authenticate(&trust).is_err());
}
