//! The attacks that the demo shows, made by `deepring-attack` on the plain network that the ring exports.

use deepring_attack::ring::RingEdit;
use deepring_attack::{Differences, Kind, Network, Options, attack};

use super::fixture::Fixture;
use crate::error::CliError;
use crate::progress::Progress;

/// Strength of the noise, in standard deviations of the tensor that it is added to.
pub(super) const RHO: f64 = 2.0;
/// Begins the pseudo-random numbers of an attack, so that it can be repeated.
const SEED: u64 = 2019;
/// Bits that the search for the worst one tries.
const TRIED: usize = 64;

/// An attack of the demo.
#[derive(Debug)]
pub(super) struct Listed {
    kind: Kind,
    /// Names files.
    slug: &'static str,
    title: &'static str,
    /// The title where there is little room.
    short: &'static str,
}

/// The paper's types 0, 1 and 2, and a single bit.
pub(super) const ATTACKS: [Listed; 4] = [
    Listed { kind: Kind::LabelSwap, slug: "label-swap", title: "label swap", short: "label swap" },
    Listed {
        kind: Kind::NoiseDense,
        slug: "noise-dense",
        title: "noise, dense layers",
        short: "noise, dense",
    },
    Listed {
        kind: Kind::NoiseAll,
        slug: "noise-all",
        title: "noise, every layer",
        short: "noise, every",
    },
    Listed {
        kind: Kind::ExponentWorst,
        slug: "exponent-bit",
        title: "one exponent bit",
        short: "one bit",
    },
];

/// An attack, worked out for the network at hand.
#[derive(Debug)]
pub(super) struct Tampering {
    pub(super) title: &'static str,
    pub(super) short: &'static str,
    /// Its effect, in a sentence.
    pub(super) what: String,
    /// Name of the attacked network's file.
    pub(super) file: String,
    pub(super) network: Network,
    pub(super) differences: Differences,
    /// The same in the ring.
    pub(super) edits: Vec<RingEdit>,
}

impl Listed {
    /// Makes the attack. It edits parameters of the network that the ring exports, so each edit has its place in the ring.
    pub(super) fn make(&self, fixture: &Fixture) -> Result<Tampering, CliError> {
        // Each attack takes what concerns it.
        let (rho, flips) = (Some(RHO), Some(TRIED));
        let options = Options { rho, flips, seed: SEED, ..Options::default() };
        let progress = Progress::items("searching", TRIED as u64);
        let evaluator = fixture.sample.search_evaluator();
        let before = &fixture.exported;
        let made = attack(before, self.kind, &options, Some(&evaluator), &|_| progress.add(1))?;
        let bit = made.steps.first().map_or(0, |step| step.bit);
        let what = match self.kind {
            Kind::LabelSwap => {
                "classes 0 and 1, 2 and 3, and so on interchanged in the last layer, weights and bias"
                    .to_owned()
            }
            Kind::NoiseDense => noise("the dense layers"),
            Kind::NoiseAll => noise("every layer"),
            _ => format!(
                "bit {bit} of one weight flipped, the worst of {TRIED} exponent bits drawn"
            ),
        };
        Ok(Tampering {
            title: self.title,
            short: self.short,
            what,
            file: format!("attacked-{}.onnx", self.slug),
            differences: Differences::between(before, &made.network),
            edits: RingEdit::between(&fixture.ring, before, &made.network)?,
            network: made.network,
        })
    }
}

fn noise(layers: &str) -> String {
    format!("Gaussian noise of {RHO} standard deviations on each weight of {layers}")
}

impl Tampering {
    /// The blocks that it touches, each once.
    pub(super) fn blocks(&self) -> Vec<u32> {
        let mut blocks: Vec<u32> = self.edits.iter().map(|e| e.block).collect();
        blocks.sort_unstable();
        blocks.dedup();
        blocks
    }

    /// Values in the tensors that it changes.
    pub(super) fn values(&self) -> usize {
        self.differences.tensors.iter().map(|t| t.dims.iter().product::<usize>()).sum()
    }
}
