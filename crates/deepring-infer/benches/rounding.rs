//! How wide the tolerances of *near* are: beside the deviations of engines that really differ, and beside what a liar
//! wins who uses them up (docs/adr/0031).
//!
//!     cargo bench -p deepring-infer --bench rounding -- --write FILE      on one machine, or kind of processor
//!     cargo bench -p deepring-infer --bench rounding -- --against FILE    on another
//!
//! Both take `--queries N` (20) and `--network NAME` (of the zoo; all that it names below).
//!
//! A table for each network and leg: the largest share of its tolerance that any element deviated by (1 would be a
//! refusal of a right answer), and the tolerance as a share of the tensor's largest element. Then, for the network as a
//! whole, how many answers flip when a liar in every leg adds the whole tolerance of each element, with the sign that a
//! fixed number of random tries found worst.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench that cannot set up has nothing to measure, and prints what it measured"
)]

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::sync::Arc;

use deepring::receipt::{Agreement, Salt};
use deepring::{Check, DType, TensorValue};
use deepring_infer::{CutPolicy, RingHost, Rten};
use deepring_testkit::zoo::{Sealed, floats, host, images, network, tensor};

/// Random signs that a liar tries in each leg.
const TRIES: usize = 16;

fn with(tensor: &TensorValue, values: &[f32]) -> TensorValue {
    let data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let dims = tensor.dims().to_vec();
    TensorValue::new(tensor.name(), DType::F32, dims, data).expect("of the same shape")
}

struct Net {
    host: RingHost<Rten>,
    legs: Vec<Range<u32>>,
    input: String,
    _sealed: Sealed,
}

impl Net {
    /// A network in up to four legs, and in one.
    fn open(name: &str) -> Self {
        let sealed = Sealed::new(&network(name), CutPolicy::Op);
        let ring = Arc::new(sealed.ring());
        let input = ring.inputs()[0].name.clone();
        let blocks = u32::try_from(ring.layers().len()).unwrap_or(u32::MAX);
        let step = blocks.div_ceil(4);
        let starts = (1..=blocks).step_by(step as usize);
        let legs = starts.map(|start| start..(start + step).min(blocks + 1)).collect();
        let engine = Arc::new(Rten::new(1.try_into().ok()));
        let all = 1..blocks + 1;
        let host = RingHost::open(ring, engine, host(1), all, Check::Load, &|_| ());
        Self { host: host.expect("host 1 has all blocks"), legs, input, _sealed: sealed }
    }

    fn run(&self, inputs: &[TensorValue], leg: &Range<u32>) -> Vec<TensorValue> {
        let salt = Salt::from_bytes([1; 32]).expect("a salt");
        let ran = self.host.compute(&salt, &[inputs.to_vec()], leg.clone());
        ran.expect("the leg runs").outputs.remove(0)
    }

    /// The answer's lead over the next best class, and the class.
    fn lead(&self, outputs: &[TensorValue]) -> (f32, usize) {
        let logits = floats(&outputs[0]);
        let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap_or(0);
        let next = logits.iter().enumerate().filter(|(i, _)| *i != best);
        let next = next.map(|(_, v)| *v).fold(f32::NEG_INFINITY, f32::max);
        (logits[best] - next, best)
    }
}

/// A query and what left each leg of it: of the legs, then of the whole network as one leg.
fn outputs(
    net: &Net,
    input: &TensorValue,
) -> Vec<(Range<u32>, Vec<TensorValue>, Vec<TensorValue>)> {
    let mut live = vec![input.clone()];
    let mut all = Vec::new();
    for leg in &net.legs {
        let out = net.run(&live, leg);
        all.push((leg.clone(), live, out.clone()));
        live = out;
    }
    let whole = net.legs[0].start..net.legs[net.legs.len() - 1].end;
    all.push((whole, vec![input.clone()], live));
    all
}

/// Adds the whole tolerance of each element in every leg, with the worst of some random signs: the lead that is left.
fn lied(net: &Net, input: &TensorValue, class: usize, random: &mut fastrand::Rng) -> f32 {
    let mut least = f32::INFINITY;
    for _ in 0..TRIES {
        let mut live = vec![input.clone()];
        for (i, leg) in net.legs.iter().enumerate() {
            let out = net.run(&live, leg);
            let tolerances = net.host.tolerances(&live, leg, &out, 1).expect("the leg runs");
            let last = i + 1 == net.legs.len();
            live = out
                .iter()
                .zip(&tolerances)
                .map(|(tensor, tolerances)| {
                    let values = floats(tensor);
                    let signs = values.iter().enumerate().map(|(k, _)| match (last, k == class) {
                        // Of the logits the worst signs are known.
                        (true, chosen) => {
                            if chosen {
                                -1.0
                            } else {
                                1.0
                            }
                        }
                        (false, _) => {
                            if random.bool() {
                                1.0
                            } else {
                                -1.0
                            }
                        }
                    });
                    let moved = values.iter().zip(tolerances).zip(signs);
                    let moved: Vec<f32> =
                        moved.map(|((v, t), sign)| v + (*t as f32) * sign).collect();
                    with(tensor, &moved)
                })
                .collect();
        }
        let logits = floats(&live[0]);
        let next = logits.iter().enumerate().filter(|(i, _)| *i != class).map(|(_, v)| *v);
        least = least.min(logits[class] - next.fold(f32::NEG_INFINITY, f32::max));
    }
    least
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let after = |flag: &str| {
        let at = arguments.iter().position(|a| a == flag)?;
        arguments.get(at + 1).cloned()
    };
    let queries: usize = after("--queries").map_or(20, |n| n.parse().expect("a number"));
    let chosen = after("--network");
    let written = after("--against").map(|file| fs::read(file).expect("the file can be read"));
    let mut read = written
        .as_deref()
        .map(|bytes| bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)));
    // Liars have no part in a comparison of machines.
    let alone = read.is_some() || after("--write").is_some();
    let mut kept: Vec<u8> = Vec::new();
    let mut random = fastrand::Rng::with_seed(1);
    for name in
        ["fashion-lenet5", "mnist-lenet5", "fashion-resnet8", "cifar-resnet20", "cifar-vgg11"]
    {
        if chosen.as_ref().is_some_and(|chosen| chosen != name) {
            continue;
        }
        let net = Net::open(name);
        // By leg: the largest share of a tolerance, and the tolerances relative to the largest element.
        let mut shares: BTreeMap<(u32, u32), Vec<f32>> = BTreeMap::new();
        let mut widths: BTreeMap<(u32, u32), Vec<f64>> = BTreeMap::new();
        let (mut flipped, mut lost, mut leads) = (0, Vec::new(), Vec::new());
        for i in 0..queries {
            let input = match name.starts_with("cifar") {
                // There are no pictures for it here; these are noise.
                true => {
                    let mut noise = fastrand::Rng::with_seed(i as u64);
                    let values: Vec<f32> = (0..3 * 32 * 32).map(|_| noise.f32()).collect();
                    tensor(&net.input, &[1, 3, 32, 32], &values)
                }
                false => images(i, i + 1),
            };
            let all = outputs(&net, &input);
            for (leg, live, out) in &all {
                let place = (leg.start, leg.end - 1);
                kept.extend(out.iter().flat_map(|t| t.data().to_vec()));
                let largest = out.iter().flat_map(floats).fold(0f32, |m, v| m.max(v.abs()));
                let tolerances = net.host.tolerances(live, leg, out, 1).expect("the leg runs");
                let relative = tolerances.iter().flatten().map(|t| t / f64::from(largest));
                widths.entry(place).or_default().extend(relative);
                if let Some(read) = &mut read {
                    let theirs: Vec<TensorValue> = out
                        .iter()
                        .map(|t| {
                            with(t, &read.by_ref().take(t.data().len() / 4).collect::<Vec<_>>())
                        })
                        .collect();
                    let (own, theirs) = ([out.clone()], [theirs]);
                    let agreed =
                        net.host.compare(std::slice::from_ref(live), leg, &own, &theirs, 1);
                    shares.entry(place).or_default().push(match agreed.expect("the leg runs") {
                        Agreement::Same => 0.0,
                        // In the sign of a zero alone.
                        Agreement::Near { largest, .. } if largest == f32::MIN_POSITIVE => 0.0,
                        Agreement::Near { largest, bound } => largest / bound,
                        Agreement::Differs { .. } => f32::INFINITY,
                    });
                }
            }
            if alone {
                continue;
            }
            let (lead, class) = net.lead(&all[all.len() - 1].2);
            let left = lied(&net, &input, class, &mut random);
            flipped += usize::from(left <= 0.0);
            lost.push(lead - left);
            leads.push(lead);
        }
        for (place, widths) in &mut widths {
            widths.sort_by(f64::total_cmp);
            let width = widths[widths.len() / 2];
            print!(
                "{name:<16} blocks {:>2} to {:>2}  tolerance {width:.1e} of the largest",
                place.0, place.1
            );
            if let Some(shares) = shares.get_mut(place) {
                shares.sort_by(f32::total_cmp);
                let differ = shares.iter().filter(|s| **s > 0.0).count();
                let most = shares.last().copied().unwrap_or(0.0);
                print!("  used up to {most:.3} ({differ} of {queries} differ)");
            }
            println!();
        }
        if alone {
            continue;
        }
        lost.sort_by(f32::total_cmp);
        leads.sort_by(f32::total_cmp);
        println!(
            "{name:<16} a liar in every leg: {flipped} of {queries} flipped, lead moved by at most {:.1e}; leads: least {:.1e}, median {:.1e}",
            lost[lost.len() - 1],
            leads[0],
            leads[leads.len() / 2]
        );
    }
    if let Some(file) = after("--write") {
        fs::write(file, kept).expect("the file can be written");
    }
}
