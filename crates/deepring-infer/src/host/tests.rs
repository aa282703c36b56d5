//! Edits between a check and the use that it was for, by an attacker who is fast enough, and what a check keeps.
#![cfg(target_os = "linux")]

mod made_up;
mod shared;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use deepring::{
    Check, Finding, Host, Owner, PartKind, SecretKey, TensorValue, Trust, UnverifiedRing,
};
use deepring_memory::Region;
use deepring_onnx::CutPolicy;
use rten::Value;
use rten_tensor::prelude::*;

use super::RingHost;
use super::{BlockOutputs, LoadedBlock};
use crate::checks::{CheckFault, CheckPlan, PlanKind};
use crate::engine::{Engine as _, Input, Rten};
use crate::error::RunError;
use crate::sealing::{Blocks, Seal};

type Values = HashMap<String, Value>;

/// A host with all blocks of a network of the zoo, one linear operator each.
fn host(network: &str, check: Check) -> RingHost<Rten> {
    host_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../zoo").join(network), check)
}

fn host_of(model: &Path, check: Check) -> RingHost<Rten> {
    let folder = tempfile::tempdir().unwrap();
    let (owner, key) =
        (SecretKey::<Owner>::generate().unwrap(), SecretKey::<Host>::generate().unwrap());
    let path = folder.path().join("ring");
    let seal = Seal::new(model, &owner).cut(CutPolicy::Op).host(Blocks::All, key.public());
    let sealed = seal.write(&path, &|_| ()).unwrap();
    let ring = UnverifiedRing::open(&path).unwrap().authenticate(&Trust::owner(owner.public()));
    let end = sealed.blocks.len() as u32 + 1;
    let engine = Arc::new(Rten::new(1.try_into().ok()));
    RingHost::open(Arc::new(ring.unwrap()), engine, key, 1..end, check, &|_| ()).unwrap()
}

/// A picture that the sample holds, in the engine's form.
fn picture(host: &RingHost<Rten>) -> Values {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../zoo/fashion-sample");
    let bytes = std::fs::read(sample.join("images-idx3-ubyte")).unwrap();
    let pixels = bytes[16..16 + 784].iter().flat_map(|p| (f32::from(*p) / 255.0).to_le_bytes());
    let spec = &host.ring.inputs()[0];
    let tensor =
        TensorValue::new(&spec.name, spec.dtype, vec![1, 1, 28, 28], pixels.collect()).unwrap();
    HashMap::from([(spec.name.clone(), host.engine.import(&tensor).unwrap())])
}

/// One block on values, everything lent. `meddle` comes between the check of the bytes and their use, `falsify`
/// between the use and the check of what came out. `reload`s leave the block usable again.
fn use_block(
    host: &RingHost<Rten>,
    index: u32,
    values: &mut Values,
    meddle: impl FnOnce(&LoadedBlock<Rten>),
    falsify: impl FnOnce(&mut BlockOutputs<Value>),
) -> Result<(), Finding> {
    let block = host.loaded_block(index).unwrap();
    let tampered = |e: RunError| match e {
        RunError::Tampered(finding) => finding,
        other => panic!("{other}"),
    };
    let begun = block.begin().map_err(tampered)?;
    meddle(block);
    let inputs = block.header().inputs.iter().map(|t| Input::Borrowed(&values[&t.name])).collect();
    let mut unchecked = begun.run(inputs).unwrap();
    falsify(unchecked.outputs_mut());
    let verified = unchecked.verify(&|name| values.get(name)).map_err(tampered)?;
    let outputs: Vec<_> = verified.outputs.into_outputs().collect();
    values.extend(outputs);
    Ok(())
}

fn flip(live: &[u8], at: usize, mask: u8) {
    assert!(deepring_memory::tamper(live, at, &[live[at] ^ mask]));
}

/// The last value that a linear operator of the block computes.
fn linear(host: &RingHost<Rten>, index: u32) -> String {
    let check = host.loaded_block(index).unwrap().check().unwrap();
    check.operators().linears.last().unwrap().y.clone()
}

fn secrets<T>(host: &RingHost<Rten>, index: u32, f: impl FnOnce(&Region) -> T) -> T {
    host.loaded_block(index).unwrap().check().unwrap().with_vault(f)
}

/// The largest element of each weight, and where its highest byte is.
fn largest(live: &[u8], start: usize, end: usize) -> usize {
    let values = live[start..end].as_chunks().0.iter().map(|b| f32::from_le_bytes(*b).abs());
    start + 4 * values.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0 + 3
}

/// No output is further from the untouched one than a thousandth of its root mean square.
fn assert_close(found: &Values, wanted: &Values, header: &deepring::Header) {
    for spec in &header.outputs {
        let [Value::FloatTensor(a), Value::FloatTensor(b)] =
            [&found[&spec.name], &wanted[&spec.name]]
        else {
            panic!("floats")
        };
        let (a, b) = (a.to_vec(), b.to_vec());
        let rms = (b.iter().map(|v| v * v).sum::<f32>() / b.len() as f32).sqrt();
        let furthest = a.iter().zip(&b).fold(0.0, |m: f32, (a, b)| m.max((a - b).abs()));
        assert!(furthest <= 1e-3 * rms, "{}: {furthest} of {rms}", spec.name);
    }
}

#[test]
fn a_weight_changed_between_check_and_use_is_detected_by_its_product() {
    for network in ["fashion-lenet5.onnx", "fashion-resnet8.onnx"] {
        let mut host = host(network, Check::Compute);
        let mut values = picture(&host);
        let (mut met_at_all, mut harmless) = (0, 0);
        for header in Arc::clone(&host.ring).layers() {
            let index = header.index;
            let mut untouched = values.clone();
            use_block(&host, index, &mut untouched, |_| (), |_| ()).unwrap();
            for p in &header.parts {
                let PartKind::Parameter(spec) = &p.kind else { continue };
                if spec.dims.as_ref().unwrap().len() < 2 {
                    continue;
                }
                // Sign; exponent, to something vast, and to almost nothing.
                for (back, mask) in [(0, 0x80), (0, 0x40), (0, 0x04), (1, 0x80)] {
                    let mut after = values.clone();
                    let at =
                        |live: &[u8]| largest(live, p.offset as usize, p.end() as usize) - back;
                    let meddle = |block: &LoadedBlock<Rten>| {
                        flip(block.bytes(), at(block.bytes()), mask);
                    };
                    let met = use_block(&host, index, &mut after, meddle, |_| ());
                    host.load_block(index).unwrap();
                    if met.is_ok() {
                        // Nothing lit the weight, or so little that nothing comes of it.
                        assert_close(&after, &untouched, header);
                        harmless += 1;
                        continue;
                    }
                    let finding = met.unwrap_err();
                    assert_eq!(finding.block, Some(index));
                    assert_eq!(finding.tensor.as_deref(), Some(spec.name.as_str()), "{mask:x}");
                    met_at_all += 1;
                }
            }
            values = untouched;
        }
        println!("{network}: {met_at_all} met, {harmless} without effect");
        assert!(met_at_all > harmless, "{network}: {met_at_all} met, {harmless} without effect");
    }
}

/// Of what is not dealt, no edit would be met that products do not show.
#[test]
fn a_rotation_that_deals_another_number_of_pieces_is_refused() {
    let mut host = host("fashion-lenet5.onnx", Check::Compute);
    let values = picture(&host);
    let check = |host: &RingHost<Rten>, pieces: &[u32]| {
        host.loaded_block(1).unwrap().check().unwrap().deal(pieces);
        let block = host.loaded_block(1).unwrap();
        block.begin().and_then(|begun| begun.compare_bytes().map(drop))
    };
    for pieces in [&[][..], &[0, 1, 2, 3, 4]] {
        let RunError::Tampered(finding) = check(&host, pieces).unwrap_err() else { panic!() };
        assert!(finding.reason.contains("what the check keeps"), "{finding}");
        host.load_block(1).unwrap();
    }
    use_block(&host, 1, &mut values.clone(), |_| (), |_| ()).unwrap();
}

/// A use of which nothing was compared, or not all that its plan promises, has no measure; nor has one whose plan is another
/// when it ends than was tagged.
#[test]
fn nothing_compared_is_a_fault_and_so_is_another_plan_at_the_end() {
    let host = host("fashion-lenet5.onnx", Check::Auto);
    let block = host.loaded_block(1).unwrap();
    let check = block.check().unwrap();
    for kind in [PlanKind::Both, PlanKind::Compute] {
        let finished = check.begin(kind).unwrap().finish().map(drop);
        assert!(
            matches!(finished, Err(CheckFault::NothingCompared { .. })),
            "{kind:?}: {finished:?}"
        );
    }
    // Every byte was compared, and no output looked at.
    let mut begun = check.begin(PlanKind::Both).unwrap();
    begun.compare_bytes(block.bytes()).unwrap();
    assert_eq!(begun.finish().map(drop), Err(CheckFault::Structure));
    // Of what is verified by its product, nothing was compared yet; its bytes had their turn in the use before.
    let mut begun = check.begin(PlanKind::Compute).unwrap();
    begun.compare_bytes(block.bytes()).unwrap();
    let finished = begun.finish().map(drop);
    assert!(matches!(finished, Err(CheckFault::NothingCompared { .. })), "{finished:?}");
    let host = self::host("fashion-lenet5.onnx", Check::Run);
    let block = host.loaded_block(1).unwrap();
    let check = block.check().unwrap();
    let pieces = check.pieces();
    for (pieces, wanted) in [(pieces, Ok(())), (&pieces[..pieces.len() - 1], Err(()))] {
        let plan = CheckPlan::bytes(check.operators(), pieces);
        let mut under = check.under(&plan);
        under.compare_bytes(block.bytes()).unwrap();
        assert_eq!(under.finish().map(drop).map_err(drop), wanted);
    }
}

/// The lowest bit of a bias is below every product's bound. It is put in place after the bytes were compared, and stays.
#[test]
fn what_changes_in_a_small_part_during_a_use_is_refused_after_it() {
    for check in [Check::Compute, Check::Auto] {
        let mut host = host("fashion-lenet5.onnx", check);
        let values = picture(&host);
        for _ in 0..5 {
            use_block(&host, 1, &mut values.clone(), |_| (), |_| ()).unwrap();
        }
        let header = host.ring.layers()[0].clone();
        let bias = header.parts.iter().find(|p| p.label().ends_with("bias")).unwrap();
        let meddle = |block: &LoadedBlock<Rten>| flip(block.bytes(), bias.offset as usize, 0x01);
        let met = use_block(&host, 1, &mut values.clone(), meddle, |_| ()).unwrap_err();
        assert_eq!(met.tensor.as_deref(), Some(bias.label()), "{check}: {met}");
        assert!(met.reason.contains("in memory"), "{check}: {met}");
        host.load_block(1).unwrap();
        use_block(&host, 1, &mut values.clone(), |_| (), |_| ()).unwrap();
    }
}

#[test]
fn a_fault_leaves_no_secrets_and_a_reload_draws_others() {
    let mut host = host("fashion-lenet5.onnx", Check::Compute);
    let values = picture(&host);
    let now = |host: &RingHost<Rten>| host.loaded_block(1).unwrap().check().unwrap().projections();
    let before = now(&host);
    let falsify = |given: &mut BlockOutputs<Value>| {
        let y = &linear(&host, 1);
        let Some(Value::FloatTensor(t)) = given.find_mut(y) else { panic!("floats") };
        *t = t.map(|v| -v);
    };
    use_block(&host, 1, &mut values.clone(), |_| (), falsify).unwrap_err();
    assert!(host.loaded_block(1).unwrap().check().unwrap().is_retired());
    let again = host.loaded_block(1).unwrap().begin().map(drop).unwrap_err();
    assert!(matches!(again, RunError::OutOfUse { block: 1, .. }), "{again}");
    host.load_block(1).unwrap();
    for (old, new) in before.iter().zip(now(&host)) {
        assert_ne!(*old, new);
    }
}

#[test]
fn bytes_under_products_are_all_compared_within_one_rotation() {
    let mut host = host("fashion-resnet8.onnx", Check::Compute);
    let mut values = picture(&host);
    for header in Arc::clone(&host.ring).layers() {
        for p in &header.parts {
            let live = host.live_bytes(header.index).unwrap();
            // The lowest bit of a fraction, which no product sees.
            let at = p.offset as usize;
            flip(live, at, 0x01);
            let met = (0..crate::checks::ROTATION).find_map(|_| {
                use_block(&host, header.index, &mut values.clone(), |_| (), |_| ()).err()
            });
            let finding = met.unwrap_or_else(|| panic!("block {} {}", header.index, p.label()));
            assert_eq!(finding.tensor.as_deref(), Some(p.label()));
            assert_eq!(finding.bytes, Some([at as u64, at as u64 + 1]));
            host.load_block(header.index).unwrap();
        }
        use_block(&host, header.index, &mut values, |_| (), |_| ()).unwrap();
    }
}

/// With all of it zero, every output would fit.
#[test]
fn a_secret_a_tag_or_a_key_that_is_changed_is_refused() {
    for check in [Check::Run, Check::Auto, Check::Compute] {
        let mut host = host("fashion-lenet5.onnx", check);
        let values = picture(&host);
        let len = secrets(&host, 1, |vault| vault.bytes().len());
        for at in (0..len).step_by(if check == Check::Run { 1 } else { 7 }) {
            secrets(&host, 1, |vault| assert!(vault.tamper(at, &[vault.bytes()[at] ^ 0x10])));
            let met = use_block(&host, 1, &mut values.clone(), |_| (), |_| ());
            assert!(met.unwrap_err().reason.contains("what the check keeps"), "{check} {at}");
            host.load_block(1).unwrap();
        }
        use_block(&host, 1, &mut values.clone(), |_| (), |_| ()).unwrap();
    }
}

#[test]
fn secrets_are_drawn_anew_and_the_run_goes_on() {
    let host = host("fashion-lenet5.onnx", Check::Compute);
    let values = picture(&host);
    let block = host.loaded_block(1).unwrap();
    let now = || block.check().unwrap().projections();
    let before = now();
    assert!(!before.is_empty());
    for _ in 0..crate::checks::SECRET_LIFE {
        use_block(&host, 1, &mut values.clone(), |_| (), |_| ()).unwrap();
    }
    assert_eq!(now(), before, "they live as long as is said");
    use_block(&host, 1, &mut values.clone(), |_| (), |_| ()).unwrap();
    for (old, new) in before.iter().zip(now()) {
        assert_ne!(*old, new);
    }
}
