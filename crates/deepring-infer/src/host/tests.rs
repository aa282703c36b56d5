//! What happens between a check and the use that it was for: the attacker who is fast enough, the kernel that
//! computes wrongly, and the output that is made up.
#![cfg(target_os = "linux")]

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use deepring::{Check, Host, Owner, PartKind, SecretKey, TensorValue, Trust, UnverifiedRing};
use rten::Value;
use rten_tensor::prelude::*;

use super::RingHost;
use super::live::{Given, Live};
use crate::checks::Fault;
use crate::cut::CutPolicy;
use crate::engine::{Engine as _, Input, Rten};
use crate::sealing::{Blocks, Seal};

type Values = HashMap<String, Value>;

/// A host with all blocks of a network of the zoo, one linear operator each.
fn host(network: &str, check: Check) -> RingHost<Rten> {
    let folder = tempfile::tempdir().unwrap();
    let (owner, key) =
        (SecretKey::<Owner>::generate().unwrap(), SecretKey::<Host>::generate().unwrap());
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../zoo").join(network);
    let path = folder.path().join("ring");
    let seal = Seal::new(&model, &owner).cut(CutPolicy::Op).host(Blocks::All, key.public());
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
    let spec = &host.ring.genesis().outputs[0];
    let tensor =
        TensorValue::new(&spec.name, spec.dtype, vec![1, 1, 28, 28], pixels.collect()).unwrap();
    HashMap::from([(spec.name.clone(), host.engine.import(&tensor).unwrap())])
}

/// One block on values, everything lent. `meddle` comes between the check of the bytes and their use, `falsify`
/// between the use and the check of what came out.
fn use_block(
    host: &RingHost<Rten>,
    index: u32,
    values: &mut Values,
    meddle: impl FnOnce(&Live<Rten>),
    falsify: impl FnOnce(&mut Given<Value>),
) -> Result<(), Fault> {
    let block = host.block(index).unwrap();
    let header = host.header(index).unwrap();
    let watch = block.watch(1).unwrap();
    block.before(header, watch, true)?;
    meddle(block);
    let inputs = header.inputs.iter().map(|t| Input::Lent(&values[&t.name])).collect();
    let mut given = block.compute(&host.engine, header, Some(watch), &[], inputs).unwrap();
    falsify(&mut given);
    block.outputs_fit(&*host.engine, watch, &given, &|name| values.get(name))?;
    values.extend(given.into_outputs());
    Ok(())
}

fn flip(live: &[u8], at: usize, mask: u8) {
    flip_at(live.as_ptr() as u64 + at as u64, mask);
}

fn flip_at(address: u64, mask: u8) {
    let memory = File::options().read(true).write(true).open("/proc/self/mem").unwrap();
    let mut byte = [0];
    memory.read_exact_at(&mut byte, address).unwrap();
    memory.write_all_at(&[byte[0] ^ mask], address).unwrap();
}

fn can_write_memory() -> bool {
    let file = File::options().write(true).open("/proc/self/mem");
    if let Err(e) = &file {
        println!("skipped: this process may not write to its own memory: {e}");
    }
    file.is_ok()
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
fn a_weight_changed_between_check_and_use_is_met_by_its_product() {
    if !can_write_memory() {
        return;
    }
    for network in ["fashion-lenet5.onnx", "fashion-resnet8.onnx"] {
        let host = host(network, Check::Compute);
        let mut values = picture(&host);
        let (mut met_at_all, mut harmless) = (0, 0);
        for header in host.ring.layers() {
            let index = header.index;
            let mut untouched = values.clone();
            use_block(&host, index, &mut untouched, |_| (), |_| ()).unwrap();
            for (part, p) in header.parts.iter().enumerate() {
                let PartKind::Parameter(spec) = &p.kind else { continue };
                if spec.dims.as_ref().unwrap().len() < 2 {
                    continue;
                }
                let live = host.live_bytes(index).unwrap();
                let at = largest(live, p.offset as usize, p.end() as usize);
                // Sign; exponent, to something vast, and to almost nothing.
                for (at, mask) in [(at, 0x80), (at, 0x40), (at, 0x04), (at - 1, 0x80)] {
                    let mut after = values.clone();
                    let meddle = |block: &Live<Rten>| flip(block.bytes(), at, mask);
                    let met = use_block(&host, index, &mut after, meddle, |_| ());
                    flip(live, at, mask);
                    if met.is_ok() {
                        // Nothing lit the weight, or so little that nothing comes of it.
                        assert_close(&after, &untouched, header);
                        harmless += 1;
                        continue;
                    }
                    assert_eq!(
                        met,
                        Err(Fault::Product { part }),
                        "{network} {} {mask:x}",
                        spec.name
                    );
                    met_at_all += 1;
                }
            }
            values = untouched;
        }
        println!("{network}: {met_at_all} met, {harmless} without effect");
        assert!(met_at_all > harmless, "{network}: {met_at_all} met, {harmless} without effect");
    }
}

#[test]
fn a_made_up_output_is_met_however_it_is_made_up() {
    let host = host("fashion-resnet8.onnx", Check::Compute);
    let mut values = picture(&host);
    let first: &[fn(&mut Vec<f32>)] = &[
        |v| v.fill(0.0),
        |v| v.reverse(),
        |v| v.rotate_left(1),
        |v| v[7] += 0.1,
        |v| v[7] = f32::NAN,
        |v| v[7] = f32::INFINITY,
        |v| v[7] = f32::NEG_INFINITY,
        |v| v.fill(f32::NAN),
        |v| v.iter_mut().for_each(|v| *v = -*v),
        |v| v.iter_mut().for_each(|v| *v *= 1.001),
        // So large that squares overflow: a bound of infinity must pass nothing.
        |v| v.fill(1e30),
        |v| v.fill(f32::MAX),
    ];
    for header in host.ring.layers() {
        for falsify in first {
            let met = use_block(
                &host,
                header.index,
                &mut values.clone(),
                |_| (),
                |given| {
                    let Some(Value::FloatTensor(t)) = given.last_mut() else { panic!("floats") };
                    let mut elements = t.to_vec();
                    falsify(&mut elements);
                    let shape = t.shape().to_vec();
                    *t = rten_tensor::Tensor::from_data(&shape, elements);
                },
            );
            assert!(matches!(met, Err(Fault::Product { .. })), "block {}: {met:?}", header.index);
        }
        use_block(&host, header.index, &mut values, |_| (), |_| ()).unwrap();
    }
}

#[test]
fn bytes_under_products_are_all_compared_within_one_rotation() {
    if !can_write_memory() {
        return;
    }
    let host = host("fashion-resnet8.onnx", Check::Compute);
    let mut values = picture(&host);
    for header in host.ring.layers() {
        let live = host.live_bytes(header.index).unwrap();
        for (part, p) in header.parts.iter().enumerate() {
            // The lowest bit of a fraction, which no product sees.
            let at = p.offset as usize;
            flip(live, at, 0x01);
            let met = (0..crate::checks::ROTATION).find_map(|_| {
                use_block(&host, header.index, &mut values.clone(), |_| (), |_| ()).err()
            });
            flip(live, at, 0x01);
            let Some(Fault::Bytes { part: found, range }) = met else {
                panic!("block {} {}: {met:?}", header.index, p.label());
            };
            assert_eq!(found, part);
            assert!(range.contains(&at));
        }
        use_block(&host, header.index, &mut values, |_| (), |_| ()).unwrap();
    }
}

/// With all of it zero, every output would fit.
#[test]
fn a_secret_that_is_changed_is_refused() {
    if !can_write_memory() {
        return;
    }
    let host = host("fashion-lenet5.onnx", Check::Compute);
    let values = picture(&host);
    let block = host.block(1).unwrap();
    let places = block.secret_places();
    assert!(!places.is_empty());
    for place in places {
        for address in place.step_by(7) {
            flip_at(address as u64, 0x10);
            let met = use_block(&host, 1, &mut values.clone(), |_| (), |_| ());
            flip_at(address as u64, 0x10);
            assert_eq!(met, Err(Fault::Secret));
        }
    }
    use_block(&host, 1, &mut values.clone(), |_| (), |_| ()).unwrap();
}

#[test]
fn secrets_are_drawn_anew_and_the_run_goes_on() {
    let host = host("fashion-lenet5.onnx", Check::Compute);
    let values = picture(&host);
    let block = host.block(1).unwrap();
    let before = block.secrets();
    assert!(!before.is_empty());
    for _ in 0..crate::checks::SECRET_LIFE {
        use_block(&host, 1, &mut values.clone(), |_| (), |_| ()).unwrap();
    }
    assert_eq!(block.secrets(), before, "they live as long as is said");
    use_block(&host, 1, &mut values.clone(), |_| (), |_| ()).unwrap();
    for (old, new) in before.iter().zip(block.secrets()) {
        assert_ne!(*old, new);
    }
}
