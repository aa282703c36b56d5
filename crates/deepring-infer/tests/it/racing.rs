//! The attacker who writes right after the checks before a use and takes it back right after the engine has read, every
//! time: what each check makes of him, the checks that promise nothing among them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use deepring::receipt::Require;
use deepring::{Check, Coverage, DType, TensorValue};
use deepring_infer::engine::{Race, Racing};
use deepring_infer::{CutPolicy, Rten, RunError, Session, SessionOptions, tamper};
use rten::Value;
use rten_tensor::prelude::*;

use crate::graphs::{FLOAT, INT64, Net};
use crate::zoo::{NETWORKS, Sealed, classes, difference, host, images, labels, network};

pub(crate) type RacedSession = Session<Racing<Rten>>;
pub(crate) type Attacker = Arc<Mutex<Box<dyn FnMut(Race<'_, Value>) + Send>>>;

/// A session that is raced by whatever stands in the attacker's place.
pub(crate) fn raced(ring: &Sealed, check: Check) -> (RacedSession, Attacker) {
    let attacker: Attacker = Arc::new(Mutex::new(Box::new(|_| ())));
    let inside = Arc::clone(&attacker);
    let engine = Racing::new(Rten::new(1.try_into().ok()), move |race| {
        (inside.lock().unwrap())(race);
    });
    let session = Session::open_on(
        engine,
        ring.ring(),
        &[host(1)],
        SessionOptions { check, ..SessionOptions::default() },
        &|_| (),
    )
    .unwrap();
    (session, attacker)
}

pub(crate) fn set(attacker: &Attacker, with: impl FnMut(Race<'_, Value>) + Send + 'static) {
    *attacker.lock().unwrap() = Box::new(with);
}

/// Where a tensor's bytes lie: block, and range in its plaintext.
pub(crate) fn place(session: &RacedSession, tensor: &str) -> (u32, std::ops::Range<usize>) {
    let headers = session.ring().layers().iter();
    let mut all = headers.flat_map(|h| h.parts.iter().map(move |p| (h.index, p)));
    let (block, part) = all.find(|(_, p)| p.label() == tensor).unwrap();
    (block, part.offset as usize..part.end() as usize)
}

/// Negates a tensor for just as long as the engine reads it; counts how often.
fn negate(session: &RacedSession, attacker: &Attacker, tensor: &str) -> Arc<AtomicUsize> {
    edit(session, attacker, tensor, |_, w| -w)
}

/// Makes another number of each of a tensor's for just as long as the engine reads it from the block itself; counts how often.
pub(crate) fn edit(
    session: &RacedSession,
    attacker: &Attacker,
    tensor: &str,
    with: impl Fn(usize, f32) -> f32,
) -> Arc<AtomicUsize> {
    let (block, range) = place(session, tensor);
    let live = session.live_bytes(block).unwrap();
    let (whose, len) = (live.as_ptr() as usize, live.len());
    let right = live[range.clone()].to_vec();
    let numbers = right.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).enumerate();
    let negated: Vec<u8> = numbers.flat_map(|(i, w)| with(i, w).to_le_bytes()).collect();
    let uses = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&uses);
    set(attacker, move |race| match race {
        Race::Before { live, .. } if (live.as_ptr() as usize, live.len()) == (whose, len) => {
            assert!(tamper(live, range.start, &negated));
            counted.fetch_add(1, Ordering::Relaxed);
        }
        Race::After { live, .. } if (live.as_ptr() as usize, live.len()) == (whose, len) => {
            assert!(tamper(live, range.start, &right));
        }
        _ => {}
    });
    uses
}

fn weights(session: &RacedSession) -> Vec<(u32, String)> {
    let headers = session.ring().layers().iter();
    headers
        .flat_map(|h| h.parts.iter().map(move |p| (h.index, p)))
        .filter(|(_, p)| p.parameter_name().is_some_and(|n| n.ends_with("weight")))
        .map(|(block, p)| (block, p.label().to_owned()))
        .collect()
}

/// A promise that `run` does not make. If this fails, THREATS says too little.
#[test]
fn under_run_a_synchronised_writer_is_never_detected() {
    let ring = Sealed::new(&network("fashion-lenet5"), CutPolicy::Op);
    let (session, attacker) = raced(&ring, Check::Run);
    let uses = negate(&session, &attacker, "conv1.weight");
    let labels = labels();
    let mut right = 0;
    for (i, label) in labels.iter().enumerate().take(100) {
        let outcome = session.run(vec![images(i, i + 1)]).unwrap();
        right += usize::from(classes(&outcome.outputs[0][0])[0] == *label);
        outcome.decision.verify(session.ring().outline(), Require::AsDealt).unwrap();
    }
    assert_eq!(uses.load(Ordering::Relaxed), 100);
    assert!(right < 50, "the attack had no effect: {right} of 100 right");
}

#[test]
fn under_compute_a_synchronised_writer_is_detected_at_once_in_every_layer() {
    for (name, _) in NETWORKS {
        let ring = Sealed::new(&network(name), CutPolicy::Auto);
        let (mut session, attacker) = raced(&ring, Check::Compute);
        for (block, tensor) in weights(&session) {
            let uses = negate(&session, &attacker, &tensor);
            let refused = session.run(vec![images(0, 1)]).unwrap_err();
            let finding = refused.finding().unwrap_or_else(|| panic!("{tensor}: {refused}"));
            assert_eq!(finding.block, Some(block), "{tensor}");
            assert_eq!(finding.tensor.as_deref(), Some(tensor.as_str()));
            assert_eq!(uses.load(Ordering::Relaxed), 1);
            set(&attacker, |_| ());
            session.reload_block(block).unwrap();
        }
        session.run(vec![images(0, 1)]).unwrap();
    }
}

/// A place without sums is verified term by term: by the sealed weights, one infinity is the other one's opposite.
#[test]
fn infinities_that_a_synchronised_writer_turns_around_are_detected_at_once() {
    let mut net = Net::new(5);
    net.input("x", FLOAT, &["2", "8"]).output("y", FLOAT);
    let w = net.param("w", &[8, 3]);
    net.node("Log", &["x"], "log");
    net.node("MatMul", &["log", &w], "sums");
    net.node("Sigmoid", &["sums"], "y");
    let folder = tempfile::tempdir().unwrap();
    let ring = Sealed::new(&net.save(folder.path()), CutPolicy::Auto);
    let mut x = [0.5f32; 16];
    x[3] = 0.0;
    let data = x.iter().flat_map(|v| v.to_le_bytes()).collect();
    let x = TensorValue::new("x", DType::F32, vec![2, 8], data).unwrap();
    let (mut session, attacker) = raced(&ring, Check::Compute);
    for _ in 0..4 {
        session.run(vec![x.clone()]).unwrap();
        let uses = negate(&session, &attacker, &w);
        let refused = session.run(vec![x.clone()]).unwrap_err();
        assert_eq!(refused.finding().unwrap().tensor.as_deref(), Some(w.as_str()), "{refused}");
        assert!(uses.load(Ordering::Relaxed) > 0);
        set(&attacker, |_| ());
        session.reload_block(1).unwrap();
    }
}

/// The draw is made after the engine ran, so an attacker of one block cannot know which of its uses are verified. For a
/// layer on bytes the number of uses until one is has mean 8; of 48 means the sum is 384 with a standard deviation of
/// 52, and the test fails by chance once in 10^6 runs.
#[test]
fn by_default_a_synchronised_writer_is_detected_within_eight_uses_on_average() {
    let ring = Sealed::new(&network("fashion-lenet5"), CutPolicy::Op);
    let (mut session, attacker) = raced(&ring, Check::Auto);
    let mut total = 0;
    let tensors = weights(&session);
    let trials = 48 / tensors.len() * tensors.len();
    for (block, tensor) in tensors.iter().cycle().take(trials) {
        set(&attacker, |_| ());
        // Reloaded blocks are observed anew, under every check.
        (0..6).for_each(|i| drop(session.run(vec![images(i, i + 1)]).unwrap()));
        let uses = negate(&session, &attacker, tensor);
        let refused = (0..400).find_map(|i| session.run(vec![images(i, i + 1)]).err());
        let refused = refused.unwrap_or_else(|| panic!("{tensor}: never"));
        assert_eq!(refused.finding().unwrap().block, Some(*block), "{tensor}: {refused}");
        total += uses.load(Ordering::Relaxed);
        session.reload_block(*block).unwrap();
    }
    println!("{total} uses in {trials} trials");
    assert!(total <= 8 * trials + 5 * 52, "{total} uses in {trials} trials");
    assert_eq!(session.alarms().len(), trials, "each is an alarm");
}

/// An output so large that sums of it leave 32-bit floats must not buy anything: a channel of such weights beside a negated
/// rest, for as long as the engine reads, once passed every check that is a sum.
#[test]
fn a_vast_channel_hides_nothing() {
    let ring = Sealed::new(&network("fashion-lenet5"), CutPolicy::Op);
    for check in [Check::Compute, Check::Auto] {
        let (mut session, attacker) = raced(&ring, check);
        for (block, tensor) in weights(&session) {
            set(&attacker, |_| ());
            (0..6).for_each(|i| drop(session.run(vec![images(i, i + 1)]).unwrap()));
            let (_, range) = place(&session, &tensor);
            let live = session.live_bytes(block).unwrap();
            let whose = live.as_ptr() as usize;
            let right = live[range.clone()].to_vec();
            let header = session.ring().layers().iter().find(|h| h.index == block).unwrap();
            let part = header.parts.iter().find(|p| p.label() == tensor).unwrap();
            let deepring::PartKind::Parameter(spec) = &part.kind else { panic!("a parameter") };
            let first = (spec.len().unwrap()
                / match spec.dims.as_ref().unwrap()[0] {
                    deepring::Dim::Fixed(n) => n,
                    deepring::Dim::Named(_) => 1,
                }) as usize;
            let values = right.as_chunks().0.iter().map(|b| -f32::from_le_bytes(*b)).enumerate();
            let wrong: Vec<u8> = values
                .flat_map(|(i, v)| (if i < first { -1e22 } else { v }).to_le_bytes())
                .collect();
            let uses = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&uses);
            set(&attacker, move |race| match race {
                Race::Before { live, .. } if live.as_ptr() as usize == whose => {
                    counted.fetch_add(1, Ordering::Relaxed);
                    assert!(tamper(live, range.start, &wrong));
                }
                Race::After { live, .. } if live.as_ptr() as usize == whose => {
                    assert!(tamper(live, range.start, &right));
                }
                _ => {}
            });
            let refused = (0..200).find_map(|i| session.run(vec![images(i, i + 1)]).err());
            let refused = refused.unwrap_or_else(|| panic!("{check} {tensor}: never"));
            let finding =
                refused.finding().unwrap_or_else(|| panic!("{check} {tensor}: {refused}"));
            assert_eq!(finding.block, Some(block), "{check} {tensor}");
            assert!(check == Check::Auto || uses.load(Ordering::Relaxed) <= 2, "{tensor}");
            set(&attacker, |_| ());
            session.reload_block(block).unwrap();
        }
    }
}

/// Values may be as small as a network likes, and made large again by what follows: squares of them vanish in 32 bits, and
/// with them what a bound is made of.
#[test]
fn tiny_values_hide_nothing() {
    for (scale, weights) in [(1e-27, 1.0), (1.0, 1e-27), (1e-16, 1e-14), (1e-10, 1e-9)] {
        let mut net = Net::new(47);
        net.input("x", FLOAT, &["n", "48"]).output("y", FLOAT);
        let down = net.floats("down", &[1], &[scale]);
        net.node("Mul", &["x", &down], "small");
        let values: Vec<f32> = (0..48 * 6).map(|i| ((i * 7 % 13) as f32 - 6.0) * weights).collect();
        let w = net.floats("w", &[48, 6], &values);
        net.node("MatMul", &["small", &w], "z");
        // Twice, since one float does not hold the reciprocal of all.
        let up = net.floats("up", &[1], &[(1.0 / scale / weights).sqrt()]);
        net.node("Relu", &["z"], "r");
        net.node("Mul", &["r", &up], "half");
        net.node("Mul", &["half", &up], "y");
        let folder = tempfile::tempdir().unwrap();
        let ring = Sealed::new(&net.save(folder.path()), "1".parse().unwrap());
        let x: Vec<u8> = (0..96).flat_map(|i| ((i % 5) as f32).to_le_bytes()).collect();
        let x = TensorValue::new("x", DType::F32, vec![2, 48], x).unwrap();
        let (session, attacker) = raced(&ring, Check::Compute);
        (0..3).for_each(|_| drop(session.run(vec![x.clone()]).unwrap()));
        let outcome = session.run(vec![x.clone()]).unwrap();
        let decision = outcome.decision.verify(session.ring().outline(), Require::AsDealt).unwrap();
        let (_, range) = place(&session, "w");
        let part = session.ring().layers()[0].parts.iter();
        let part = part.clone().position(|p| p.offset as usize == range.start).unwrap();
        let had = decision.chain().legs()[0].receipt().coverage[0][part];
        if had == Coverage::Bytes {
            assert!(weights < 1e-12, "{scale} {weights}: {had}");
            continue;
        }
        negate(&session, &attacker, "w");
        let refused = session.run(vec![x]).unwrap_err();
        assert_eq!(refused.finding().unwrap().tensor.as_deref(), Some("w"), "{scale} {weights}");
    }
}

/// Parameters without a product, as THREATS says of them: here slopes, in place for both runs and gone at both comparisons.
#[test]
fn a_parameter_without_a_product_is_not_verified_against_a_synchronised_writer() {
    let mut net = Net::new(48);
    net.input("x", FLOAT, &["n", "48"]).output("y", FLOAT);
    let (w, slope) = (net.param("w", &[48, 6]), net.param("slope", &[6]));
    net.node("MatMul", &["x", &w], "z");
    net.node("PRelu", &["z", &slope], "y");
    let folder = tempfile::tempdir().unwrap();
    let ring = Sealed::new(&net.save(folder.path()), "1".parse().unwrap());
    let x: Vec<u8> = (0..96).flat_map(|i| ((i % 5) as f32 - 2.0).to_le_bytes()).collect();
    let x = TensorValue::new("x", DType::F32, vec![2, 48], x).unwrap();
    for check in [Check::Run, Check::Auto, Check::Compute] {
        let (session, attacker) = raced(&ring, check);
        let right = session.run(vec![x.clone()]).unwrap();
        // The second program reads the same bytes: whoever writes for each run writes for both.
        let (block, range) = place(&session, "slope");
        let live = session.live_bytes(block).unwrap();
        let kept = live[range.clone()].to_vec();
        let wrong: Vec<u8> =
            kept.iter().enumerate().map(|(i, b)| if i % 4 == 3 { b ^ 0x80 } else { *b }).collect();
        let whole = live.as_ptr() as usize;
        set(&attacker, move |race| match race {
            Race::Before { live, .. } if live.as_ptr() as usize == whole => {
                assert!(tamper(live, range.start, &wrong));
            }
            Race::After { live, .. } if live.as_ptr() as usize == whole => {
                assert!(tamper(live, range.start, &kept));
            }
            _ => {}
        });
        let answered = session.run(vec![x.clone()]).unwrap();
        assert_ne!(answered.outputs, right.outputs, "{check}");
        answered.decision.verify(session.ring().outline(), Require::AsDealt).unwrap();
    }
}

/// An operator's output has the shape that its input and the sealed weights give, or is refused.
#[test]
fn gathered_rows_of_another_shape_are_refused() {
    let mut net = Net::new(12);
    net.input("ids", INT64, &["m", "n"]).output("y", FLOAT);
    let (table, w) = (net.param("table", &[500, 48]), net.param("w", &[48, 6]));
    net.node("Gather", &[&table, "ids"], "rows");
    net.node("MatMul", &["rows", &w], "y");
    let folder = tempfile::tempdir().unwrap();
    let ring = Sealed::new(&net.save(folder.path()), CutPolicy::Auto);
    let ids: Vec<u8> = (0..9i64).flat_map(|i| i.to_le_bytes()).collect();
    let ids = TensorValue::new("ids", DType::I64, vec![3, 3], ids).unwrap();
    let (session, attacker) = raced(&ring, Check::Compute);
    session.run(vec![ids.clone()]).unwrap();
    set(&attacker, |race| {
        let Race::After { outputs, .. } = race else { return };
        for output in outputs.iter_mut() {
            if let Value::FloatTensor(t) = output
                && t.shape().to_vec() == [3, 3, 48]
            {
                *t = t.reshaped([1, 9, 48].as_slice()).to_tensor();
            }
        }
    });
    let refused = session.run(vec![ids]).unwrap_err();
    assert_eq!(refused.finding().unwrap().tensor.as_deref(), Some("table"), "{refused}");
}

/// A batch has one plan. The writer leaves its first queries alone, and the receipt that says `product` of all of them is
/// not to be had.
#[test]
fn a_batch_that_is_raced_from_its_middle_on_is_refused() {
    let ring = Sealed::new(&network("fashion-lenet5"), CutPolicy::Op);
    let (session, attacker) = raced(&ring, Check::Auto);
    let batch: Vec<_> = (0..400).map(|i| vec![images(i, i + 1)]).collect();
    let honest = session.run_batch(batch.clone()).unwrap();
    let honest = honest.decision.verify(session.ring().outline(), Require::AsDealt).unwrap();
    // Its first batch: everything of every query.
    let had = honest.chain().legs()[0].receipt().coverage.iter().flatten();
    assert!(had.clone().all(|c| !matches!(c, Coverage::Product | Coverage::Either)), "{had:?}");
    for skipped in [116, 300] {
        let (session, attacker_of_new) = raced(&ring, Check::Auto);
        let (block, range) = place(&session, "conv1.weight");
        let live = session.live_bytes(block).unwrap();
        let whose = live.as_ptr() as usize;
        let right = live[range.clone()].to_vec();
        let mut wrong = right.clone();
        wrong.iter_mut().skip(3).step_by(4).for_each(|b| *b ^= 0x80);
        let mut n = 0;
        set(&attacker_of_new, move |race| match race {
            Race::Before { live, .. } if live.as_ptr() as usize == whose => {
                n += 1;
                if n > skipped {
                    assert!(tamper(live, range.start, &wrong));
                }
            }
            Race::After { live, .. } if live.as_ptr() as usize == whose => {
                assert!(tamper(live, range.start, &right));
            }
            _ => {}
        });
        let refused = session.run_batch(batch.clone()).unwrap_err();
        assert_eq!(refused.finding().unwrap().block, Some(block));
    }
    drop(attacker);
}

/// Under the default, once the costs are known. A batch of 32 with one draw for all its queries would pass seven times of
/// eight; with a draw for each, once in 72. Of 24 batches, fewer than 18 are refused once in 10^7 runs.
#[test]
fn each_query_of_a_batch_has_a_draw_of_its_own() {
    let ring = Sealed::new(&network("fashion-lenet5"), CutPolicy::Op);
    let (mut session, attacker) = raced(&ring, Check::Auto);
    let (block, _) = place(&session, "fc1.weight");
    let mut refused = 0;
    for _ in 0..24 {
        set(&attacker, |_| ());
        (0..4).for_each(|i| drop(session.run(vec![images(i, i + 1)]).unwrap()));
        negate(&session, &attacker, "fc1.weight");
        let batch = (0..32).map(|i| vec![images(i, i + 1)]).collect();
        if let Err(error) = session.run_batch(batch) {
            assert_eq!(error.finding().unwrap().block, Some(block));
            refused += 1;
            session.reload_block(block).unwrap();
        }
    }
    assert!(refused >= 18, "{refused} of 24");
}

/// A graph's word is what was done for every query: under `compute` it was computed a second time for all, under `auto` for
/// those that were drawn.
#[test]
fn a_graph_is_recomputed_under_compute_and_says_so_only_there() {
    let ring = Sealed::new(&network("fashion-lenet5"), CutPolicy::Op);
    for (check, wanted) in [(Check::Compute, Coverage::Recomputed), (Check::Run, Coverage::Bytes)] {
        let (session, _) = raced(&ring, check);
        let outcome = session.run(vec![images(0, 1)]).unwrap();
        let decision = outcome.decision.verify(session.ring().outline(), Require::AsDealt).unwrap();
        let coverage = &decision.chain().legs()[0].receipt().coverage;
        for (header, parts) in session.ring().layers().iter().zip(coverage) {
            let graph = header.parts.iter().position(|p| p.kind == deepring::PartKind::Graph);
            assert_eq!(parts[graph.unwrap()], wanted, "{check} {}", header.name);
        }
    }
}

/// Rows are verified as they were gathered: there is no moment in between.
#[test]
fn a_row_that_is_wrong_only_while_it_is_gathered_is_refused() {
    let mut net = Net::new(12);
    net.input("ids", INT64, &["1", "n"]).output("y", FLOAT);
    let (table, w) = (net.param("table", &[500, 48]), net.param("w", &[48, 6]));
    net.node("Gather", &[&table, "ids"], "rows");
    net.node("MatMul", &["rows", &w], "y");
    let folder = tempfile::tempdir().unwrap();
    let ring = Sealed::new(&net.save(folder.path()), CutPolicy::Auto);
    let ids: Vec<u8> = [3i64, 7, 499].iter().flat_map(|i| i.to_le_bytes()).collect();
    let ids = TensorValue::new("ids", DType::I64, vec![1, 3], ids).unwrap();
    for check in [Check::Auto, Check::Compute] {
        let (session, attacker) = raced(&ring, check);
        (0..5).for_each(|_| drop(session.run(vec![ids.clone()]).unwrap()));
        negate(&session, &attacker, "table");
        let refused = session.run(vec![ids.clone()]).unwrap_err();
        assert_eq!(
            refused.finding().unwrap().tensor.as_deref(),
            Some("table"),
            "{check}: {refused}"
        );
    }
}

/// One write outside of parameters: an operator of the tail becomes another one in the engine's graph. Here the block's
/// output is what it would be after that, while every linear operator's is right.
#[test]
fn a_tail_that_computes_something_else_is_detected() {
    let edits: [fn(f32) -> f32; 3] = [|v| -v, |v| if v > 1.0 { v } else { 0.0 }, |v| v + 1e-6];
    for check in [Check::Compute, Check::Auto] {
        let ring = Sealed::new(&network("fashion-lenet5"), CutPolicy::Op);
        let (mut session, attacker) = raced(&ring, check);
        let blocks: Vec<u32> = session.ring().layers().iter().map(|h| h.index).collect();
        let (mut uses, mut trials) = (0, 0);
        let last = *blocks.last().unwrap();
        for (block, edit) in blocks.iter().flat_map(|b| edits.map(|e| (*b, e))) {
            // The last block's output is an operator's, and so small an edit of it is below the product's bound.
            if block == last && edit(5.0) - 5.0 < 1e-3 && edit(5.0) > 5.0 {
                continue;
            }
            set(&attacker, |_| ());
            (0..5).for_each(|i| drop(session.run(vec![images(i, i + 1)]).unwrap()));
            let whose = session.live_bytes(block).unwrap().as_ptr() as usize;
            let first = Arc::new(Mutex::new(None));
            set(&attacker, move |race| {
                let Race::After { live, program, outputs } = race else { return };
                if live.as_ptr() as usize != whose {
                    return;
                }
                // The block's first program; the second one has memory of its own.
                if program != *first.lock().unwrap().get_or_insert(program) {
                    return;
                }
                if let Some(Value::FloatTensor(t)) = outputs.first_mut() {
                    *t = t.map(|v| edit(*v));
                }
            });
            let asked = (0..400).map(|i| session.run(vec![images(i, i + 1)]));
            let (mut n, mut found) = (0, None);
            for asked in asked {
                n += 1;
                if let Err(e) = asked {
                    found = Some(e);
                    break;
                }
            }
            let refused = found.unwrap_or_else(|| panic!("{check}, block {block}: never"));
            assert_eq!(refused.finding().unwrap().block, Some(block), "{check}: {refused}");
            assert!(check == Check::Auto || n == 1, "{check}, block {block}: after {n} uses");
            uses += n;
            trials += 1;
            session.reload_block(block).unwrap();
        }
        println!("{check}: {uses} uses in {trials} trials");
        // As above: the mean is 8 for each trial, its standard deviation 7.5.
        assert!(f64::from(uses) <= 8.0 * f64::from(trials) + 5.0 * 7.5 * f64::from(trials).sqrt());
    }
}

/// Someone who writes here and there while queries run and takes back what he wrote: no answer that is accepted is wrong
/// by more than the check's resolution.
#[test]
fn no_wrong_answer_is_accepted_while_somebody_writes_during_the_run() {
    for (name, _) in NETWORKS {
        let ring = Sealed::new(&network(name), CutPolicy::Auto);
        let (mut session, attacker) = raced(&ring, Check::Compute);
        let input = images(0, 8);
        let wanted = session.run(vec![input.clone()]).unwrap().outputs.remove(0).remove(0);
        let mut n = 0usize;
        let mut written: Option<(usize, u8)> = None;
        set(&attacker, move |race| match race {
            Race::Before { live, .. } => {
                n += 1;
                // One use in ten, in no step with the number of blocks: each of them is met, and some runs are left alone.
                let mixed = n.wrapping_mul(2_654_435_761);
                if (mixed >> 16).is_multiple_of(10) && live.len() > 64 {
                    let at = (mixed % (live.len() / 4)) * 4 + 3;
                    written = Some((at, live[at]));
                    assert!(tamper(live, at, &[live[at] ^ 0x40]));
                }
            }
            Race::After { live, .. } => {
                if let Some((at, byte)) = written.take() {
                    assert!(tamper(live, at, &[byte]));
                }
            }
        });
        let (mut refused, mut accepted) = (0, 0);
        for _ in 0..300 {
            match session.run(vec![input.clone()]) {
                Ok(mut outcome) => {
                    accepted += 1;
                    let found = outcome.outputs.remove(0).remove(0);
                    let off = difference(&found, &wanted);
                    assert!(off <= 1e-3, "{name}: accepted an answer {off} of the peak off");
                }
                Err(RunError::Engine { .. }) => {}
                Err(e) => {
                    let finding = e.finding().unwrap_or_else(|| panic!("{name}: {e}"));
                    session.reload_block(finding.block.unwrap()).unwrap();
                    refused += 1;
                }
            }
        }
        println!("{name}: {refused} refused, {accepted} accepted and right");
        assert!(refused > 0 && accepted > 0, "{name}: {refused} refused, {accepted} accepted");
    }
}

/// Each refusal tells its maker one bit about the secret of the block that was tried; the next try meets another secret.
#[test]
fn a_refused_try_takes_the_block_out_of_use_and_the_next_secret_is_another() {
    let ring = Sealed::new(&network("fashion-lenet5"), CutPolicy::Op);
    let (mut session, attacker) = raced(&ring, Check::Compute);
    negate(&session, &attacker, "fc2.weight");
    let first = session.run(vec![images(0, 1)]).unwrap_err();
    let block = first.finding().unwrap().block.unwrap();
    set(&attacker, |_| ());
    for _ in 0..3 {
        let again = session.run(vec![images(0, 1)]).unwrap_err();
        assert!(matches!(again, RunError::OutOfUse { block: b, .. } if b == block), "{again}");
    }
    assert_eq!(session.alarms().len(), 1, "one alarm for one fault");
    session.reload_block(block).unwrap();
    session.run(vec![images(0, 1)]).unwrap();
}

/// Whatever the sizes of batches, each byte under a product has its turn within 64 uses.
#[test]
fn every_byte_has_its_turn_whatever_the_sizes_of_batches() {
    let ring = Sealed::new(&network("fashion-resnet8"), CutPolicy::Op);
    for (dry_run, sizes) in [[1, 2], [2, 1], [1, 1], [3, 7], [32, 1], [1, 31]].iter().enumerate() {
        let mut session = ring.session_of(&[1], Check::Compute, 1);
        for header in ring.ring().layers() {
            let part = header.parts.iter().max_by_key(|p| p.len).unwrap();
            // The lowest bit of a fraction, which no product detects.
            let at = part.offset as usize + 4 * (dry_run * 37 % (part.len as usize / 4));
            crate::live_memory::flip(session.live_bytes(header.index).unwrap(), at, 0x01);
            let (mut uses, mut found) = (0, None);
            for size in sizes.iter().cycle() {
                let batch = (0..*size).map(|i| vec![images(i, i + 1)]).collect();
                uses += size;
                found = session.run_batch(batch).err();
                if found.is_some() || uses > 64 {
                    break;
                }
            }
            let found = found.unwrap_or_else(|| panic!("{sizes:?}: not within {uses} uses"));
            assert_eq!(found.finding().unwrap().block, Some(header.index));
            session.reload_block(header.index).unwrap();
        }
    }
}
