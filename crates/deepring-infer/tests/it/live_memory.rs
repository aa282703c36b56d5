//! Whoever writes to a session's live memory is detected by the next query, and named.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::sync::Arc;

use deepring::receipt::Require;
use deepring::{Check, DType, PartKind, TensorValue};
use deepring_infer::{CutPolicy, RingHost, Rten, RunError, Session};

use crate::graphs::{FLOAT, Net};
use crate::zoo::{NETWORKS, Sealed, answer, floats, host, images, network, start};

/// Writes over live parameters, as an attacker does who gets past their pages' protection.
pub(crate) fn flip(live: &[u8], at: usize, mask: u8) {
    assert!(deepring_infer::tamper(live, at, &[live[at] ^ mask]), "the region refused");
}

/// Flips bits of a block, asks, and opens the block anew if that was refused; else puts the bits back.
pub(crate) fn asked_with_flip(
    session: &mut Session,
    (block, at, mask): (u32, usize, u8),
    input: &TensorValue,
) -> Option<deepring::Finding> {
    flip(session.live_bytes(block).unwrap(), at, mask);
    let asked = session.run(vec![input.clone()]);
    match asked {
        Ok(_) => {
            flip(session.live_bytes(block).unwrap(), at, mask);
            None
        }
        Err(e) => {
            let found = e.finding().unwrap_or_else(|| panic!("refused as something else: {e}"));
            session.reload_block(block).unwrap();
            Some(found.clone())
        }
    }
}

/// A parameter tensor: block, name, and the place of its largest element's highest byte.
struct Target {
    block: u32,
    tensor: String,
    at: usize,
}

fn targets(session: &Session) -> Vec<Target> {
    let mut out = Vec::new();
    for header in session.ring().layers() {
        let live = session.live_bytes(header.index).unwrap();
        for part in &header.parts {
            let Some(name) = part.parameter_name() else { continue };
            let (start, end) = (part.offset as usize, part.end() as usize);
            let values =
                live[start..end].as_chunks().0.iter().map(|b| f32::from_le_bytes(*b).abs());
            let largest = values.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0;
            let at = start + 4 * largest + 3;
            out.push(Target { block: header.index, tensor: name.to_owned(), at });
        }
    }
    out
}

fn refused(session: &Session, input: &TensorValue) -> deepring::Finding {
    match session.run(vec![input.clone()]) {
        Ok(_) => panic!("a query ran over changed parameters"),
        Err(e) => e.finding().unwrap_or_else(|| panic!("refused as something else: {e}")).clone(),
    }
}

#[test]
fn one_byte_changed_in_any_tensor_is_refused_by_name_and_place() {
    let input = images(0, 1);
    for (name, _) in NETWORKS {
        let ring = Sealed::new(&network(name), CutPolicy::Op);
        let mut session = ring.session(Check::Run);
        let wanted = answer(&session, &input);
        let targets = targets(&session);
        for t in &targets {
            let finding = asked_with_flip(&mut session, (t.block, t.at, 0x01), &input).unwrap();
            assert_eq!(finding.block, Some(t.block), "{name} {}", t.tensor);
            assert_eq!(finding.tensor.as_deref(), Some(t.tensor.as_str()));
            assert_eq!(finding.bytes, Some([t.at as u64, t.at as u64 + 1]));
            assert_eq!(answer(&session, &input), wanted, "{name} {} opened anew", t.tensor);
        }
        println!("{name}: {} tensors, each refused by name", targets.len());
    }
}

/// That the outputs follow a change shows that the engine multiplies with these very bytes: a copy of its own
/// would go on giving the old answer.
#[test]
fn without_checks_a_changed_byte_changes_the_answer_so_the_engine_reads_in_place() {
    let input = images(0, 16);
    for (name, _) in NETWORKS {
        let ring = Sealed::new(&network(name), CutPolicy::Op);
        for check in [Check::None, Check::Load] {
            let session = ring.session(check);
            let wanted = answer(&session, &input);
            let mut unmoved = Vec::new();
            let targets = targets(&session);
            for t in &targets {
                let live = session.live_bytes(t.block).unwrap();
                flip(live, t.at, 0x40);
                let changed = session.run(vec![input.clone()]);
                let changed = changed.map(|mut o| floats(&o.outputs.remove(0).remove(0)));
                if changed.is_ok_and(|c| c == floats(&wanted)) {
                    unmoved.push(t.tensor.clone());
                }
                flip(live, t.at, 0x40);
                assert_eq!(answer(&session, &input), wanted, "{name} {} put back", t.tensor);
            }
            // An exponent's highest bit of the largest element: there is no tensor that would not show it.
            println!("{name}, {check:?}: {} tensors, unmoved: {unmoved:?}", targets.len());
            assert!(unmoved.is_empty(), "{name}: {unmoved:?}");
        }
    }
}

#[test]
fn a_reload_heals_each_block_and_the_session_goes_on() {
    let input = images(0, 2);
    for (name, _) in NETWORKS {
        let ring = Sealed::new(&network(name), CutPolicy::Auto);
        let mut session = ring.session(Check::Run);
        let wanted = answer(&session, &input);
        for t in targets(&session) {
            flip(session.live_bytes(t.block).unwrap(), t.at, 0x80);
            assert_eq!(refused(&session, &input).block, Some(t.block));
            session.reload_block(t.block).unwrap();
            let outcome = session.run(vec![input.clone()]).unwrap();
            assert_eq!(outcome.outputs[0][0], wanted, "{name} block {}", t.block);
            outcome.decision.verify(ring.ring().outline(), Require::AsDealt).unwrap();
        }
    }
}

#[test]
fn a_changed_operator_list_is_refused_too() {
    let ring = Sealed::new(&network("fashion-lenet5"), CutPolicy::Op);
    let mut session = ring.session(Check::Run);
    for header in ring.ring().layers() {
        let graph = header.parts.iter().find(|p| p.kind == PartKind::Graph).unwrap();
        let at = (graph.offset + graph.len / 2) as usize;
        let finding =
            asked_with_flip(&mut session, (header.index, at, 0x04), &images(0, 1)).unwrap();
        assert_eq!((finding.block, finding.tensor.as_deref()), (Some(header.index), Some("graph")));
    }
}

#[test]
fn several_changed_bytes_are_named_from_the_first_to_the_last() {
    let ring = Sealed::new(&network("fashion-lenet5"), CutPolicy::Op);
    let session = ring.session(Check::Run);
    let live = session.live_bytes(3).unwrap();
    flip(live, 1000, 1);
    flip(live, 1017, 1);
    let finding = refused(&session, &images(0, 1));
    assert_eq!(finding.bytes, Some([1000, 1018]));
}

#[test]
fn where_the_ring_file_is_gone_the_changed_piece_is_named_still() {
    let ring = Sealed::new(&network("fashion-lenet5"), CutPolicy::Op);
    let session = ring.session(Check::Run);
    File::create(&ring.path).unwrap();
    flip(session.live_bytes(3).unwrap(), 1000, 1);
    let finding = refused(&session, &images(0, 1));
    assert_eq!((finding.block, finding.tensor.as_deref()), (Some(3), Some("fc1.weight")));
    let [start, end] = finding.bytes.unwrap();
    assert!(start <= 1000 && 1000 < end);
}

#[test]
fn a_refused_query_signs_nothing_and_spoils_its_whole_batch() {
    let ring = Sealed::new(&network("fashion-lenet5"), CutPolicy::Op);
    let shared = Arc::new(ring.ring());
    let engine = Arc::new(Rten::new(1.try_into().ok()));
    let last = shared.layers().len() as u32;
    let host =
        RingHost::open(Arc::clone(&shared), engine, host(1), 1..last + 1, Check::Run, &|_| ());
    let mut host = host.unwrap();
    let batch = [vec![images(0, 1)], vec![images(1, 2)]];
    let mut chain = host.begin(&batch, &start(), false).unwrap();
    let opened = chain.clone();
    flip(host.live_bytes(last).unwrap(), 3, 0x40);
    let refused = host.run(&mut chain, &start().salt, &batch, 1..last + 1).unwrap_err();
    assert!(matches!(refused, RunError::Tampered(_)));
    assert_eq!(chain, opened, "no receipt for blocks that were refused");
    let again = host.run(&mut chain, &start().salt, &batch, 1..last + 1).unwrap_err();
    assert!(matches!(again, RunError::OutOfUse { block, .. } if block == last), "{again}");
    assert_eq!(host.alarms().len(), 1);
    host.load_block(last).unwrap();
    host.run(&mut chain, &start().salt, &batch, 1..last + 1).unwrap();
    assert_eq!(chain.receipts().len(), 1);
}

/// Labels and pre-processing decide as much as weights do.
#[test]
fn a_changed_label_in_memory_is_refused_and_healed() {
    let input = images(0, 1);
    let ring = Sealed::new(&network("fashion-lenet5"), CutPolicy::Auto);
    let mut session = ring.session(Check::Run);
    let manifest = session.manifest().unwrap();
    let len = session.live_bytes(0).unwrap().len();
    for at in [0, len / 2, len - 1] {
        flip(session.live_bytes(0).unwrap(), at, 0x01);
        let finding = refused(&session, &input);
        assert_eq!((finding.block, finding.tensor.as_deref()), (Some(0), Some("manifest")));
        assert!(session.manifest().is_err());
        session.reload_block(0).unwrap();
        assert_eq!(session.manifest().unwrap(), manifest);
        session.run(vec![input.clone()]).unwrap();
    }
}

/// Values that an engine would compute from constants when it loads are computed when sealing, so that there is no
/// copy of weights that the check does not cover.
#[test]
fn weights_made_of_other_weights_are_parameters_and_read_in_place() {
    let mut net = Net::new(77);
    net.input("x", FLOAT, &["1", "16"]).output("y", FLOAT);
    let (a, b) = (net.param("a", &[16, 8]), net.param("b", &[16, 8]));
    let (c, d) = (net.param("c", &[8, 3]), net.param("d", &[8, 5]));
    net.node("Add", &[&a, &b], "sum");
    net.node("Concat", &[&c, &d], "joined").attribute = vec![crate::graphs::int("axis", 1)];
    net.node("MatMul", &["x", "sum"], "hidden");
    net.node("MatMul", &["hidden", "joined"], "y");
    let folder = tempfile::tempdir().unwrap();
    let ring = Sealed::new(&net.save(folder.path()), CutPolicy::Op);
    let session = ring.session(Check::None);
    let targets = targets(&session);
    let names: Vec<&str> = targets.iter().map(|t| t.tensor.as_str()).collect();
    assert_eq!(names, ["sum", "joined"]);
    let data = [1.0f32; 16].iter().flat_map(|v| v.to_le_bytes()).collect();
    let input = TensorValue::new("x", DType::F32, vec![1, 16], data).unwrap();
    let wanted = answer(&session, &input);
    for t in &targets {
        let live = session.live_bytes(t.block).unwrap();
        flip(live, t.at, 0x80);
        assert_ne!(answer(&session, &input), wanted, "{}", t.tensor);
        flip(live, t.at, 0x80);
    }
}

/// Position embeddings are cut to the length of the input; with fixed dimensions the engine would cut them when
/// it loads, and keep the piece.
#[test]
fn a_table_cut_to_a_fixed_length_is_read_in_place() {
    let mut net = Net::new(78);
    net.input("x", FLOAT, &["1", "4", "8"]).output("y", FLOAT);
    let (table, weight) = (net.param("table", &[1, 16, 8]), net.param("weight", &[8, 3]));
    let (one, zero) = (net.ints("one", &[1]), net.ints("zero", &[0]));
    net.node("Shape", &["x"], "shape");
    net.node("Gather", &["shape", &one], "length");
    net.node("Slice", &[&table, &zero, "length", &one], "positions");
    net.node("Add", &["x", "positions"], "sum");
    net.node("MatMul", &["sum", &weight], "y");
    let folder = tempfile::tempdir().unwrap();
    let ring = Sealed::new(&net.save(folder.path()), CutPolicy::Auto);
    let session = ring.session(Check::None);
    let data = [1.0f32; 32].iter().flat_map(|v| v.to_le_bytes()).collect();
    let input = TensorValue::new("x", DType::F32, vec![1, 4, 8], data).unwrap();
    let wanted = answer(&session, &input);
    let header = &session.ring().layers()[0];
    for part in header.parts.iter().filter(|p| p.parameter_name().is_some()) {
        let live = session.live_bytes(header.index).unwrap();
        let highest = usize::try_from(part.offset).unwrap() + 3;
        flip(live, highest, 0x80);
        assert_ne!(answer(&session, &input), wanted, "{}", part.label());
        flip(live, highest, 0x80);
    }
}

#[test]
fn a_copy_that_was_changed_in_memory_or_in_its_file_is_found_while_nothing_is_computed() {
    let input = images(0, 1);
    for check in [Check::Load, Check::Run, Check::Compute] {
        let ring = Sealed::new(&network("fashion-lenet5"), CutPolicy::Op);
        let shared = Arc::new(ring.ring());
        let engine = Arc::new(Rten::new(1.try_into().ok()));
        let last = shared.layers().len() as u32;
        let range = 1..last + 1;
        let opened =
            RingHost::open(Arc::clone(&shared), engine, host(1), range.clone(), check, &|_| ());
        let mut opened = opened.unwrap();
        for block in 0..=last {
            opened.verify_copy(block).unwrap();
            assert_eq!(opened.out_of_use(), [].into());
            flip(opened.live_bytes(block).unwrap(), 5, 0x10);
            let found = opened.verify_copy(block).unwrap_err();
            assert_eq!(found.finding().unwrap().block, Some(block), "{check}: {found}");
            assert_eq!(opened.out_of_use(), [block].into());
            let again = opened.verify_copy(block).unwrap_err();
            assert!(matches!(again, RunError::OutOfUse { block: b, .. } if b == block), "{again}");
            opened.load_block(block).unwrap();
            // And the file, under the very handle that is open.
            let at = shared.stored_at(block, 5).unwrap() as usize;
            let mut bytes = std::fs::read(&ring.path).unwrap();
            bytes[at] ^= 1;
            std::fs::write(&ring.path, &bytes).unwrap();
            let found = opened.verify_copy(block).unwrap_err();
            assert_eq!(found.finding().unwrap().block, Some(block), "{check}: {found}");
            assert_eq!(opened.out_of_use(), [block].into());
            assert!(opened.load_block(block).is_err(), "the file is damaged still");
            bytes[at] ^= 1;
            std::fs::write(&ring.path, &bytes).unwrap();
            opened.load_block(block).unwrap();
            assert_eq!(opened.out_of_use(), [].into());
        }
        let batch = [vec![input.clone()]];
        opened.compute(&start().salt, &batch, range).unwrap();
        assert!(matches!(opened.verify_copy(last + 1), Err(RunError::NotLoaded { .. })));
    }
}
