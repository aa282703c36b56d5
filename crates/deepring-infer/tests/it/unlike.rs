//! Copies of a leg that compute with unlike engines: their last bits differ, and nothing else may.

use std::sync::Arc;

use deepring::deal::Copies;
use deepring::receipt::{ComputedWith, DecidedLeg, Deviation, Require};
use deepring::replication::CopyFault;
use deepring::{Check, Digest};
use deepring_infer::engine::{Race, Racing};
use deepring_infer::{CutPolicy, RingHost, Rten, RunError, Session, SessionOptions};
use rten::Value;

use crate::graphs::{FLOAT, Net};
use crate::zoo::{Sealed, answer, classes, copies, floats, host, images, network, start, tensor};

const LEGS: [(u32, u32, u8); 4] = [(1, 1, 1), (2, 2, 2), (3, 4, 3), (5, 5, 4)];

/// The bits that an element of a program's outputs gets, by program, element and value.
type Bits = fn(usize, usize, f32) -> f32;

/// As another order of sums would have them: up to two units in the last place more or less.
fn last_bits(program: usize, element: usize, value: f32) -> f32 {
    let mixed = (program * 31 + element).wrapping_mul(0x9e37_79b9) >> 7;
    value * (1.0 + (mixed % 5) as f32 * f32::EPSILON - 2.0 * f32::EPSILON)
}

/// LeNet in four legs, whose hosts 2 and 4 have an engine that gives other bits.
fn session(ring: &Sealed, bits: [Option<Bits>; 4]) -> Session<Racing<Rten>> {
    let keys = [1, 2, 3, 4].map(host);
    let engine = |key: &deepring::PublicKey<deepring::Host>| {
        let place = keys.iter().position(|k| k.public() == *key).unwrap();
        let bits = bits[place];
        let engine = Racing::new(Rten::new(1.try_into().ok()), move |race| {
            let (Race::After { program, outputs, .. }, Some(bits)) = (race, bits) else { return };
            for output in outputs {
                let Value::FloatTensor(tensor) = output else { continue };
                let values = tensor.iter_mut().enumerate();
                values.for_each(|(element, value)| *value = bits(program, element, *value));
            }
        });
        let states = format!("engine {place}");
        let states = ComputedWith::new(&states, Digest::NONE, "processor", 1).unwrap();
        Arc::new(match bits {
            Some(_) => engine.stating(states),
            None => engine,
        })
    };
    let options = SessionOptions { check: Check::Run, ..SessionOptions::default() };
    Session::open_each(&engine, ring.ring(), &keys, options, &|_| ()).unwrap()
}

fn legs(ring: &Sealed, session: &Session<Racing<Rten>>, from: usize) -> Vec<DecidedLeg> {
    let outcome = session.run(vec![images(from, from + 2)]).unwrap();
    assert!(outcome.named.is_empty(), "{:?}", outcome.named);
    outcome.decision.verify(ring.ring().outline(), Require::AsDealt).unwrap().legs().to_vec()
}

#[test]
fn copies_of_unlike_engines_validate_each_other_within_a_tolerance() {
    for of in [Copies::Two, Copies::Three] {
        let ring = Sealed::dealt(&network("fashion-lenet5"), &LEGS, copies(of));
        let alike = session(&ring, [None; 4]);
        assert!(legs(&ring, &alike, 0).iter().all(|leg| leg.near.is_none()));
        let unlike = session(&ring, [None, Some(last_bits), None, Some(last_bits)]);
        for from in 0..20 {
            let mut near = 0;
            for leg in legs(&ring, &unlike, from) {
                let Some(Deviation { largest, bound }) = leg.near else { continue };
                assert!(0.0 < largest && largest <= bound, "{leg}");
                // The logits reach 10, what is between the legs less.
                assert!(bound < 1e-4, "{leg}");
                assert!(leg.to_string().contains("near: deviates by "), "{leg}");
                near += 1;
            }
            assert!(near > 0, "the engines gave the same bits: the test tests nothing");
            let input = images(from, from + 1);
            let (one, other) = (alike.run(vec![input.clone()]), unlike.run(vec![input]));
            let [one, other] = [one, other].map(|outcome| classes(&outcome.unwrap().outputs[0][0]));
            assert_eq!(one, other);
        }
    }
}

#[test]
fn one_seed_gives_one_tolerance_and_another_one_of_the_same_size() {
    let ring = Sealed::dealt(&network("fashion-lenet5"), &LEGS, copies(Copies::Two));
    let session = session(&ring, [None, Some(last_bits), None, Some(last_bits)]);
    let outcome = session.run(vec![images(0, 1)]).unwrap();
    let verified = outcome.decision.verify(ring.ring().outline(), Require::AsDealt).unwrap();
    let legs = verified.legs().to_vec();
    assert!(legs.iter().any(|leg| leg.near.is_some()));
    let alone = RingHost::open(
        Arc::new(ring.ring()),
        Arc::new(Rten::new(1.try_into().ok())),
        host(1),
        1..2,
        Check::Run,
        &|_| (),
    );
    let alone = alone.unwrap();
    let input = [images(0, 1)];
    let salt = start().salt;
    let own = alone.compute(&salt, &[input.to_vec()], 1..2).unwrap().outputs.remove(0);
    let of = |seed| alone.tolerances(&input, &(1..2), &own, seed).unwrap();
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
    // Of another query the errors are others.
    let again = session.run(vec![images(0, 1)]).unwrap();
    let again =
        again.decision.verify(ring.ring().outline(), Require::AsDealt).unwrap().legs().to_vec();
    let bounds = |legs: &[DecidedLeg]| -> Vec<_> {
        legs.iter().map(|leg| leg.near.map(|near| near.bound)).collect()
    };
    assert_ne!(bounds(&legs), bounds(&again));
    for (one, other) in bounds(&legs).into_iter().zip(bounds(&again)) {
        let (Some(one), Some(other)) = (one, other) else { continue };
        assert!(
            (0.2..5.0).contains(&(one / other)),
            "{one} and {other}: what is measured is noise"
        );
    }
}

/// An element a thousandth of itself away: far below what anybody would see, far above rounding.
fn a_lie(_: usize, element: usize, value: f32) -> f32 {
    if element == 7 { value * 1.001 + 0.001 } else { value }
}

#[test]
fn whoever_states_another_engine_lies_within_its_tolerance_and_no_further() {
    for of in [Copies::Two, Copies::Three] {
        let ring = Sealed::dealt(&network("fashion-lenet5"), &LEGS, copies(of));
        let honest = session(&ring, [None; 4]);
        let input = images(0, 1);
        let liar = session(&ring, [None, Some(a_lie), None, None]);
        match (liar.run(vec![input.clone()]), of) {
            (Err(RunError::Disputed { named, .. }), Copies::Two) => {
                assert_eq!(named.len(), 2, "neither is believed against the other: {named:?}");
            }
            (Ok(outcome), Copies::Three) => {
                assert_eq!(outcome.outputs[0][0], answer_of(&honest, &input));
                // In each of its legs.
                assert!(!outcome.named.is_empty());
                for named in &outcome.named {
                    assert_eq!(named.host, host(2).public());
                    let CopyFault::Outvoted(evidence) = &named.fault else { panic!("{named:?}") };
                    evidence.verify(ring.ring().outline()).unwrap();
                    assert!(!evidence.is_proof(), "its statement differs: an accusation");
                }
            }
            (other, _) => panic!("{other:?}"),
        }
    }
}

/// The tolerances of what leaves a network whose first block begins with `inputs`.
fn tolerances_of(net: &Net, inputs: &[deepring::TensorValue]) -> (Vec<f32>, Vec<f64>) {
    let folder = tempfile::tempdir().unwrap();
    let ring = Sealed::new(&net.save(folder.path()), CutPolicy::Op);
    let ring = Arc::new(ring.ring());
    let all = 1..u32::try_from(ring.layers().len()).unwrap() + 1;
    let engine = Arc::new(Rten::new(1.try_into().ok()));
    let alone = RingHost::open(ring, engine, host(1), all.clone(), Check::Load, &|_| ()).unwrap();
    let own = alone.compute(&start().salt, &[inputs.to_vec()], all.clone()).unwrap();
    let own = own.outputs.into_iter().next().unwrap();
    let tolerances = alone.tolerances(inputs, &all, &own, 1).unwrap();
    (floats(&own[0]), tolerances.into_iter().next().unwrap())
}

/// Engines subtract ones from ones alike: a mask makes no tolerance, though a hundred millionth of it would
/// decide the answer.
#[test]
fn a_mask_that_is_exact_makes_no_network_unstable() {
    let mut net = Net::new(3);
    net.input("mask", FLOAT, &["1", "4"]).input("x", FLOAT, &["1", "4"]);
    net.dense("x", "scores", 4, 4);
    net.floats("one", &[1], &[1.0]);
    net.floats("far", &[1], &[-1e9]);
    net.node("Sub", &["one", "mask"], "hidden");
    net.node("Mul", &["hidden", "far"], "away");
    net.node("Add", &["scores", "away"], "masked");
    net.node("Softmax", &["masked"], "y");
    net.output("y", FLOAT);
    let inputs = |mask: [f32; 4]| {
        [tensor("mask", &[1, 4], &mask), tensor("x", &[1, 4], &[0.3, -0.7, 0.2, 0.9])]
    };
    let (values, tolerances) = tolerances_of(&net, &inputs([1.0, 1.0, 1.0, 0.0]));
    assert!(values[..3].iter().all(|v| *v > 0.01) && values[3] == 0.0, "{values:?}");
    assert!(tolerances.iter().all(|t| *t < 1e-4), "{tolerances:?}");
    // One that is not exact is none: the answer hangs on its last bits, and the tolerance says so.
    let (_, tolerances) = tolerances_of(&net, &inputs([1.0, 1.0, 0.999_999, 0.0]));
    assert!(tolerances.iter().any(|t| *t > 0.1), "{tolerances:?}");
}

#[test]
fn a_vast_output_widens_no_other() {
    let mut net = Net::new(5);
    let mut weights: Vec<f32> = net.randoms(40, 1.0);
    weights[..4].copy_from_slice(&[1e6, 2e6, 3e6, 4e6]);
    net.input("x", FLOAT, &["1", "4"]);
    net.floats("w", &[4, 10], &transposed(&weights));
    net.node("MatMul", &["x", "w"], "y");
    net.output("y", FLOAT);
    let (values, tolerances) = tolerances_of(&net, &[tensor("x", &[1, 4], &[0.3, 0.7, 0.2, 0.9])]);
    assert!(values[0] > 1e6 && values[1..].iter().all(|v| v.abs() < 4.0), "{values:?}");
    assert!(tolerances[0] > 1.0, "{tolerances:?}");
    assert!(tolerances[1..].iter().all(|t| *t < 1e-4), "{tolerances:?}");
}

/// Ten rows of four as four rows of ten.
fn transposed(rows: &[f32]) -> Vec<f32> {
    (0..4).flat_map(|column| (0..10).map(move |row| rows[4 * row + column])).collect()
}

fn answer_of(
    session: &Session<Racing<Rten>>,
    input: &deepring::TensorValue,
) -> deepring::TensorValue {
    session.run(vec![input.clone()]).unwrap().outputs.remove(0).remove(0)
}

#[test]
fn three_copies_of_three_engines_settle_and_outvote_a_liar() {
    let ring = Sealed::dealt(&network("fashion-lenet5"), &LEGS, copies(Copies::Three));
    let all = [Some(last_bits as Bits), Some(|p, e, v| last_bits(p + 9, e, v)), Some(a_lie), None];
    let session = session(&ring, all);
    let input = images(0, 1);
    let outcome = session.run(vec![input.clone()]).unwrap();
    let named: Vec<_> = outcome.named.iter().map(|n| n.host).collect();
    assert!(!named.is_empty() && named.iter().all(|n| *n == host(3).public()), "{named:?}");
    let alone = Sealed::new(&network("fashion-lenet5"), CutPolicy::Op);
    let wanted = answer(&alone.session(Check::Run), &input);
    assert_eq!(classes(&outcome.outputs[0][0]), classes(&wanted));
    outcome.decision.verify(ring.ring().outline(), Require::Majority).unwrap();
}
