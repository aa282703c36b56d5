//! Numbers that are no tampering: inputs that are too large, and infinities and NaN that a network has by design.

use deepring::receipt::Require;
use deepring::receipt::SampleRate;
use deepring::{Check, Coverage, TensorValue};
use deepring_infer::inputs::InputError;
use deepring_infer::{CutPolicy, RunError, Session};

use crate::graphs::{self, FLOAT, Net};
use crate::live_memory::asked_with_flip;
use crate::zoo::{Sealed, answer, floats, images, network, tensor};

fn every_check() -> [Check; 6] {
    let spot = Check::Spot(SampleRate::new(0.5).unwrap());
    [Check::None, Check::Load, spot, Check::Run, Check::Auto, Check::Compute]
}

fn refused(session: &Session, input: &TensorValue) -> InputError {
    match session.run(vec![input.clone()]).unwrap_err() {
        RunError::Input(error) => error,
        other => panic!("refused as something else: {other}"),
    }
}

/// One pixel of 10^25 raised a false alarm once, and switched its host off.
#[test]
fn a_pixel_that_is_too_large_is_an_input_error_under_every_check() {
    let ring = Sealed::new(&network("fashion-lenet5"), CutPolicy::Op);
    let mut pixels = floats(&images(0, 1));
    pixels[99] = 1e25;
    let bad = tensor("image", &[1, 1, 28, 28], &pixels);
    for check in every_check() {
        let session = ring.session(check);
        for _ in 0..5 {
            let error = refused(&session, &bad);
            assert!(matches!(error, InputError::TooLarge { at: 99, .. }), "{check}: {error}");
            answer(&session, &images(1, 2));
        }
        assert!(session.alarms().is_empty(), "{check}");
        // In a batch, the others are answered, and the decision is about them.
        let batch = [0, 1, 2, 3].map(|i| vec![if i == 2 { bad.clone() } else { images(i, i + 1) }]);
        let outcome = session.run_batch(batch.to_vec()).unwrap();
        assert_eq!(outcome.rejected.iter().map(|r| r.query).collect::<Vec<_>>(), [2], "{check}");
        let wanted = [0, 1, 3].map(|i| answer(&session, &images(i, i + 1)));
        let found: Vec<_> = outcome.outputs.into_iter().map(|mut o| o.remove(0)).collect();
        assert_eq!(found, wanted, "{check}");
        assert_eq!(
            outcome
                .decision
                .verify(session.ring().outline(), Require::AsDealt)
                .unwrap()
                .items()
                .len(),
            3
        );
    }
}

/// `y = x⁸ W`, every weight 1: what is within range at the input leaves it on the way.
fn power() -> Net {
    let mut net = Net::new(21);
    net.input("x", FLOAT, &["1", "8"]).output("y", FLOAT);
    let w = net.floats("w", &[8, 3], &[1.0; 24]);
    net.node("Mul", &["x", "x"], "x2");
    net.node("Mul", &["x2", "x2"], "x4");
    net.node("Mul", &["x4", "x4"], "x8");
    net.node("MatMul", &["x8", &w], "y");
    net
}

#[test]
fn what_overflows_on_its_way_is_an_input_error_wherever_it_is_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let ring = Sealed::new(&power().save(folder.path()), CutPolicy::Auto);
    // 2.8e38 is a number, and eight of them are none.
    let (good, bad) = (tensor("x", &[1, 8], &[0.5; 8]), tensor("x", &[1, 8], &[6.4e4; 8]));
    let session = ring.session(Check::Compute);
    for _ in 0..6 {
        let error = refused(&session, &bad);
        assert!(matches!(error, InputError::OutOfRange { .. }), "{error}");
        answer(&session, &good);
    }
    assert!(session.alarms().is_empty());
    let batch = vec![vec![bad.clone()], vec![good.clone()], vec![bad.clone()]];
    let outcome = session.run_batch(batch).unwrap();
    assert_eq!(outcome.rejected.iter().map(|r| r.query).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(outcome.outputs[0][0], answer(&session, &good));
    let nothing = session.run_batch(vec![vec![bad.clone()], vec![bad.clone()]]).unwrap_err();
    assert!(matches!(nothing, RunError::Input(_)), "{nothing}");
    // Where every byte of the weights was compared, it is what the network computes, drawn or not.
    for check in [Check::Run, Check::Auto] {
        let session = ring.session(check);
        for _ in 0..100 {
            assert!(floats(&answer(&session, &bad)).iter().all(|v| v.is_infinite()), "{check}");
        }
        assert!(session.alarms().is_empty(), "{check}");
    }
}

/// Squares and sums of large activations leave 32-bit floats where the activations do not. They are verified all the same.
#[test]
fn large_activations_are_verified_and_neither_refused_nor_believed() {
    let folder = tempfile::tempdir().unwrap();
    let mut wide = Net::new(24);
    wide.input("x", FLOAT, &["1", "4"]).output("y", FLOAT);
    let signs: Vec<f32> = (0..4096).map(|i| if i % 3 == 0 { -1.0 } else { 1.0 }).collect();
    let w = wide.floats("w", &[4, 1024], &signs);
    wide.node("MatMul", &["x", &w], "y");
    for (name, net, input) in [
        ("power", power(), tensor("x", &[1, 8], &[1e4; 8])),
        ("wide", wide, tensor("x", &[1, 4], &[1.1e18, 0.0, 0.0, 0.0])),
    ] {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        let ring = Sealed::new(&net.save(&path), CutPolicy::Auto);
        let wanted = answer(&ring.session(Check::None), &input);
        for check in [Check::Auto, Check::Compute] {
            let mut session = ring.session(check);
            (0..40).for_each(|_| assert_eq!(answer(&session, &input), wanted, "{name} {check}"));
            assert!(session.alarms().is_empty(), "{name} {check}");
            // An edit of a large product is as much of an edit.
            let header = ring.ring().layers()[0].clone();
            let part = header.parts.iter().find(|p| p.label() == "w").unwrap();
            let edit = (header.index, part.offset as usize + 3, 0x80);
            assert!(asked_with_flip(&mut session, edit, &input).is_some(), "{name} {check}");
        }
    }
}

/// A mask of infinities has bytes compared in place of sums; whoever compares bytes beside the engine counts them once.
#[test]
fn beside_the_engine_infinities_raise_no_alarm() {
    let folder = tempfile::tempdir().unwrap();
    let ring = Sealed::new(&attention().save(folder.path()), CutPolicy::Auto);
    let x = tensor("x", &[1, 4, 8], &Net::new(23).randoms(32, 1.0));
    let mask: Vec<f32> =
        (0..16).map(|i| if i / 4 == 2 { f32::NEG_INFINITY } else { 0.0 }).collect();
    let mask = tensor("mask", &[1, 4, 4], &mask);
    for check in [Check::Auto, Check::Compute] {
        let mut session = ring.session_of(&[1], check, 1);
        session.set_background_check(true);
        (0..100).for_each(|_| drop(session.run(vec![x.clone(), mask.clone()]).unwrap()));
        assert!(session.alarms().is_empty(), "{check}");
    }
}

/// Attention over four places, with a mask that is added to the scores.
fn attention() -> Net {
    let mut net = Net::new(22);
    net.input("x", FLOAT, &["1", "4", "8"])
        .input("mask", FLOAT, &["1", "4", "4"])
        .output("y", FLOAT);
    let [q, k, v, o] = ["q", "k", "v", "o"].map(|name| net.param(name, &[8, 8]));
    net.node("MatMul", &["x", &q], "xq");
    net.node("MatMul", &["x", &k], "xk");
    net.node("MatMul", &["x", &v], "xv");
    net.node("Transpose", &["xk"], "xkt").attribute = vec![graphs::ints("perm", &[0, 2, 1])];
    net.node("MatMul", &["xq", "xkt"], "scores");
    net.node("Add", &["scores", "mask"], "masked");
    net.node("Softmax", &["masked"], "weights").attribute = vec![graphs::int("axis", -1)];
    net.node("MatMul", &["weights", "xv"], "mixed");
    net.node("MatMul", &["mixed", &o], "y");
    net
}

#[test]
fn masks_of_infinity_run_under_every_check() {
    let folder = tempfile::tempdir().unwrap();
    let path = attention().save(folder.path());
    let ring = Sealed::new(&path, CutPolicy::Auto);
    let x = Net::new(23).randoms(32, 1.0);
    let x = tensor("x", &[1, 4, 8], &x);
    let masked = |rows: &[usize]| -> Vec<f32> {
        let hidden = |i: usize| rows.contains(&(i / 4)) || i % 4 > i / 4;
        (0..16).map(|i| if hidden(i) { f32::NEG_INFINITY } else { 0.0 }).collect()
    };
    // A causal mask; and one that hides everything from a row, which so is NaN.
    for (rows, nan) in [(&[][..], 0), (&[2][..], 8)] {
        let mask = tensor("mask", &[1, 4, 4], &masked(rows));
        let model = deepring_infer::PlainModel::unaltered(&path, 2.try_into().ok()).unwrap();
        let wanted = floats(&model.run(&[x.clone(), mask.clone()]).unwrap()[0]);
        assert_eq!(wanted.iter().filter(|v| v.is_nan()).count(), nan);
        for check in every_check() {
            let session = ring.session(check);
            for _ in 0..6 {
                let outcome = session.run(vec![x.clone(), mask.clone()]).unwrap();
                for (found, wanted) in floats(&outcome.outputs[0][0]).iter().zip(&wanted) {
                    let same = (found - wanted).abs() <= 1e-5 || found.is_nan() && wanted.is_nan();
                    assert!(same, "{check}: {found} {wanted}");
                }
                if check == Check::Compute {
                    let decision = outcome
                        .decision
                        .verify(session.ring().outline(), Require::AsDealt)
                        .unwrap();
                    let had = &decision.chain().legs()[0].receipt().coverage;
                    let headers = session.ring().layers().iter().zip(had);
                    let mut parts = headers.flat_map(|(h, had)| h.parts.iter().zip(had));
                    let (_, o) = parts.find(|(p, _)| p.label() == "o").unwrap();
                    // Where its input is NaN, too: its output is verified term by term there.
                    assert!(matches!(o, Coverage::Product | Coverage::Both), "{o}");
                }
            }
            assert!(session.alarms().is_empty(), "{check}");
        }
    }
}

/// Running sums of nearly equal terms round one way at each. The check adds up in blocks; of an engine that does not, what is
/// beyond the bound is looked at term by term and computed anew.
#[test]
fn equal_weights_on_even_inputs_raise_no_alarm() {
    let even = |net: &mut Net, dims: &[i64], value: f32| {
        net.floats("w", dims, &vec![value; dims.iter().product::<i64>() as usize])
    };
    let conv = |x: &[&str], weight: &[i64], value: f32| {
        let mut net = Net::new(31);
        net.input("x", FLOAT, x).output("y", FLOAT);
        let w = even(&mut net, weight, value);
        let group = x[1].parse::<i64>().unwrap() / weight[1];
        net.node("Conv", &["x", &w], "y").attribute = vec![graphs::int("group", group)];
        net
    };
    let rows = |inner: i64, value: f32| {
        let mut net = Net::new(32);
        net.input("x", FLOAT, &["2", &inner.to_string()]).output("y", FLOAT);
        let w = even(&mut net, &[inner, 3], value);
        net.node("MatMul", &["x", &w], "y");
        net
    };
    let nets = [
        (conv(&["1", "1", "64", "64"], &[1, 1, 48, 48], 1.0 / 2304.3), vec![1, 1, 64, 64]),
        (conv(&["1", "1", "5000"], &[1, 1, 4095], 1.0 / 4095.0), vec![1, 1, 5000]),
        (conv(&["1", "12", "50", "50"], &[2, 12, 48, 48], 0.013), vec![1, 12, 50, 50]),
        (conv(&["1", "24000", "2", "2"], &[2, 24000, 1, 1], 0.007), vec![1, 24_000, 2, 2]),
        (rows(200_000, 0.003), vec![2, 200_000]),
        (conv(&["1", "1", "100", "100"], &[1, 1, 96, 96], 1.0 / 9216.7), vec![1, 1, 100, 100]),
        (conv(&["1", "1", "16500"], &[1, 1, 16383], 1.0 / 16383.7), vec![1, 1, 16_500]),
        // One input channel for each output: the engine has a way of its own for these.
        (conv(&["1", "12", "50", "50"], &[12, 1, 48, 48], 0.013), vec![1, 12, 50, 50]),
        (conv(&["1", "12", "5000"], &[12, 1, 4095], 0.000_3), vec![1, 12, 5000]),
    ];
    let mut beyond = false;
    for (i, (net, dims)) in nets.iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let ring = Sealed::new(&net.save(folder.path()), CutPolicy::Auto);
        for seed in 0..3 {
            // Secrets are drawn anew for each.
            let session = ring.session(Check::Compute);
            let value = 0.7 + 0.113 * seed as f32;
            let input = tensor("x", dims, &vec![value; dims.iter().product::<u64>() as usize]);
            let ran = session.run(vec![input.clone()]);
            assert!(ran.is_ok(), "network {i}, {value}: {}", ran.unwrap_err());
            let margins = session.margins(vec![input], &mut || 0).unwrap();
            beyond |= margins.iter().any(|margin| margin.max_residual > 1.0);
        }
    }
    assert!(beyond, "the engine's own sums are beyond the bound of independent errors somewhere");
}

/// `Gemm` multiplies a sum, which may have left the floats or vanished before.
#[test]
fn a_factor_on_a_sum_raises_no_alarm() {
    let gemm = |alpha: f32, weight: f32| {
        let mut net = Net::new(33);
        net.input("x", FLOAT, &["1", "8"]).output("y", FLOAT);
        let values: Vec<f32> = net.randoms(24, 0.3).iter().map(|v| weight * (1.0 + v)).collect();
        let w = net.floats("w", &[8, 3], &values);
        net.node("Gemm", &["x", &w], "y").attribute = vec![graphs::float("alpha", alpha)];
        let folder = tempfile::tempdir().unwrap();
        Sealed::new(&net.save(folder.path()), CutPolicy::Auto)
    };
    // Beyond the floats, and back by the factor.
    let ring = gemm(0.01, 1e21);
    for check in every_check() {
        let session = ring.session(check);
        let large = tensor("x", &[1, 8], &[1.1e18; 8]);
        match session.run(vec![large]) {
            Ok(_) | Err(RunError::Input(InputError::OutOfRange { .. })) => {}
            Err(other) => panic!("{check}: {other}"),
        }
        answer(&session, &tensor("x", &[1, 8], &[1e12; 8]));
    }
    for alpha in [100.0, 1e4, 1e12] {
        for size in [1e-30, 1e-33, 1e-38] {
            let ring = gemm(alpha, 1e-8);
            let values: Vec<f32> = (0..8).map(|i| size * (1.0 + 0.3 * i as f32)).collect();
            for _ in 0..4 {
                let session = ring.session(Check::Compute);
                answer(&session, &tensor("x", &[1, 8], &values));
            }
        }
    }
}

/// A difference that rounding brings beyond the bound, in sums that are large and within the floats, is right all the same.
#[test]
fn equal_terms_whose_sum_is_nearly_too_large_raise_no_alarm() {
    let mut net = Net::new(34);
    net.input("x", FLOAT, &["1", "200000"]).output("y", FLOAT);
    let large = net.floats("large", &[1], &[1e20]);
    let w = net.floats("w", &[200_000, 1], &vec![1.0 / 3.0; 200_000]);
    net.node("Mul", &["x", &large], "z");
    net.node("MatMul", &["z", &w], "y");
    let folder = tempfile::tempdir().unwrap();
    let ring = Sealed::new(&net.save(folder.path()), CutPolicy::Auto);
    for (value, fits) in
        [(1.3e13, true), (2.6e13, true), (3.1e13, true), (4.5e13, true), (6e13, false)]
    {
        for _ in 0..4 {
            let session = ring.session(Check::Compute);
            let input = tensor("x", &[1, 200_000], &vec![value; 200_000]);
            match session.run(vec![input]) {
                Ok(_) => assert!(fits, "{value}"),
                Err(RunError::Input(InputError::OutOfRange { .. })) => assert!(!fits, "{value}"),
                Err(other) => panic!("{value}: {other}"),
            }
        }
    }
}
