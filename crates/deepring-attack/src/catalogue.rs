//! The attacks by name, a row each: what it is, on what it works, how an evaluation spreads it, and where it begins.
//!
//! All that anybody asks of a kind stands in its row.

use std::fmt;
use std::str::FromStr;

use deepring::Check;
use serde::Serialize;
use thiserror::Error;

use crate::attack::context::{AttackContext, AttackError, Attacked, Options};
use crate::ring::{
    FilesTampered, LiveRing, RingAttackError, RingFiles, RingTrialError, ToctouResult,
};
use crate::{bits, graph, ring, search, weights};
use EntryPoint::{Files, Memory, Network};

/// Tampering techniques of MITRE ATLAS (atlas.mitre.org, version 5.6.1): identifier, and name with its parent's.
///
/// AML.T0031, Erode AI Model Integrity, is none of them: its means are adversarial inputs.
mod atlas {
    pub(super) type Technique = (&'static str, &'static str);

    /// "Directly manipulating its weights", be the aim a class or "general performance degradation".
    pub(super) const POISON: Technique = ("AML.T0018.000", "Manipulate AI Model: Poison AI Model");
    pub(super) const ARCHITECTURE: Technique =
        ("AML.T0018.001", "Manipulate AI Model: Modify AI Model Architecture");
    pub(super) const SUPPLY: Technique = ("AML.T0010.003", "AI Supply Chain Compromise: Model");
}

/// The family of an attack: what it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Values of parameters.
    Weights,
    /// Single bits of parameters.
    Bits,
    /// Bits found by gradients, on a network quantised to 8 bits.
    Search,
    /// The graph; no parameter changes.
    Graph,
    /// A sealed ring, its receipts, a ledger.
    Ring,
}

/// The requirements of an attack beside the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// Labelled samples.
    Samples,
    /// Gradients (a build with the feature `gradients`).
    Gradients,
    /// Labelled samples and gradients.
    SamplesAndGradients,
}

/// On what an attack works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// A network, in one place or many.
    Network,
    /// One layer of a network; an evaluation tries each in turn.
    OneLayer,
    /// The file of a ring.
    Ring,
    /// The file of a receipt.
    Receipt,
    /// The folder of a ledger.
    Ledger,
    /// The memory of a host that runs.
    LiveMemory,
}

/// By what an attack is as strong as it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dial {
    /// By nothing, or it is as strong as it finds necessary.
    Fixed,
    /// By the standard deviations of its noise ([`Options::rho`]).
    Noise,
    /// By the bits that it flips ([`Options::flips`]).
    Flips,
}

/// The effect of the seed: another one makes another attack, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Seeded {
    /// It leaves nothing to chance.
    Never,
    /// It draws.
    Always,
    /// It draws the class that inputs go to, unless it is told one.
    UnlessTargeted,
}

/// Which inputs an attack sends to a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Targeted {
    /// None: it has no target.
    No,
    /// All.
    AllInputs,
    /// Those of one class.
    OneClass,
    /// Those that have the trigger.
    Triggered,
}

/// The defaults of a family's attacks, unless their rows say otherwise.
#[derive(Debug, Clone, Copy)]
struct Traits {
    family: Family,
    needs: Needs,
    technique: atlas::Technique,
    scope: Scope,
    strength: Dial,
    seeded: Seeded,
    targeted: Targeted,
    /// True if it is one on weights that are quantised to 8 bits.
    needs_int8: bool,
    /// True if it is one of DeepRing's own paper.
    paper: bool,
}

const WEIGHTS: Traits = Traits {
    family: Family::Weights,
    needs: Needs::Nothing,
    technique: atlas::POISON,
    scope: Scope::Network,
    strength: Dial::Fixed,
    seeded: Seeded::Always,
    targeted: Targeted::No,
    needs_int8: false,
    paper: false,
};
const BITS: Traits = Traits { family: Family::Bits, ..WEIGHTS };
const SEARCH: Traits = Traits {
    family: Family::Search,
    needs: Needs::SamplesAndGradients,
    needs_int8: true,
    ..WEIGHTS
};
const GRAPH: Traits = Traits { family: Family::Graph, technique: atlas::ARCHITECTURE, ..WEIGHTS };
const RING: Traits =
    Traits { family: Family::Ring, technique: atlas::SUPPLY, scope: Scope::Ring, ..WEIGHTS };
const MEMORY: Traits =
    Traits { family: Family::Ring, needs: Needs::Samples, scope: Scope::LiveMemory, ..WEIGHTS };

/// Where an attack begins, by what it is made on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum EntryPoint {
    Network(fn(&AttackContext<'_>) -> Result<Attacked, AttackError>),
    Files(fn(&RingFiles<'_>, &Options) -> Result<FilesTampered, RingAttackError>),
    Memory(fn(&LiveRing<'_>, Check) -> Result<Option<ToctouResult>, RingTrialError>),
}

macro_rules! kinds {
    ($($kind:ident $name:literal $stream:literal $base:ident { $($field:ident: $value:expr),* }
        => $entry:ident($begin:path) $summary:literal;)*) => {
        /// An attack.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "each is documented by its summary")]
        pub enum Kind { $(#[doc = $summary] $kind,)* }

        impl Kind {
            /// All attacks, family by family.
            #[must_use]
            pub fn all() -> &'static [Self] {
                &[$(Self::$kind,)*]
            }

            /// Name, as the command takes it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// Its effect, in a sentence.
            #[must_use]
            pub fn summary(self) -> &'static str {
                match self { $(Self::$kind => $summary,)* }
            }

            /// Which numbers of a seed are its own. Never changed, nor used again: the results of a seed depend on it.
            pub(crate) fn stream(self) -> u64 {
                match self { $(Self::$kind => $stream,)* }
            }

            pub(crate) fn entry(self) -> EntryPoint {
                match self { $(Self::$kind => $entry($begin),)* }
            }

            fn traits(self) -> Traits {
                match self {
                    $(Self::$kind => {
                        #[allow(clippy::needless_update, reason = "a row may say all itself")]
                        Traits { $($field: $value,)* ..$base }
                    })*
                }
            }
        }
    };
}

// Name, stream (the next free number for a new row), family with what the row says otherwise, where it begins, summary.
kinds! {
    LabelSwap "label-swap" 0 WEIGHTS { seeded: Seeded::Never, paper: true } => Network(weights::label_swap)
        "Interchanges classes 0 and 1, 2 and 3, ... in the last layer (the paper's type 0)";
    NoiseDense "noise-dense" 1 WEIGHTS { strength: Dial::Noise, paper: true } => Network(weights::noise_on_dense_layers)
        "Adds Gaussian noise of --rho standard deviations to every dense layer (the paper's type 1)";
    NoiseAll "noise-all" 2 WEIGHTS { strength: Dial::Noise, paper: true } => Network(weights::noise_on_all_layers)
        "Adds Gaussian noise of --rho standard deviations to every layer (the paper's type 2)";
    NoiseLayer "noise-layer" 3 WEIGHTS { scope: Scope::OneLayer, strength: Dial::Noise, paper: true } => Network(weights::noise_on_layer)
        "Adds Gaussian noise of --rho standard deviations to one layer";
    NoiseFilter "noise-filter" 4 WEIGHTS { scope: Scope::OneLayer, strength: Dial::Noise } => Network(weights::noise_on_filter)
        "Adds Gaussian noise of --rho standard deviations to one filter of one layer";
    Reinit "reinit" 5 WEIGHTS { scope: Scope::OneLayer } => Network(weights::reinit)
        "Draws one layer anew, as before training (He normal)";
    ReinitFilter "reinit-filter" 43 WEIGHTS { scope: Scope::OneLayer } => Network(weights::reinit_filter)
        "Draws one filter of one layer anew, as before training (He normal)";
    Zero "zero" 6 WEIGHTS { scope: Scope::OneLayer, seeded: Seeded::Never } => Network(weights::zero)
        "Sets one layer to zero";
    PermuteUnpaired "permute-unpaired" 7 WEIGHTS { scope: Scope::OneLayer } => Network(weights::permute_unpaired)
        "Permutes the filters of one layer, and nothing after it";
    PermutePaired "permute-paired" 8 WEIGHTS { scope: Scope::OneLayer } => Network(weights::permute_paired)
        "Permutes the filters of one layer and the inputs of the next: every answer stays the same";
    SwapTensors "swap-tensors" 9 WEIGHTS {} => Network(weights::swap_tensors)
        "Interchanges the weights of two layers of equal shape";
    NormEdit "norm-edit" 10 WEIGHTS {} => Network(weights::norm_edit)
        "Edits one value of a BatchNormalization: variance, scale or mean of a channel";
    ScaleEdit "scale-edit" 11 WEIGHTS { needs_int8: true } => Network(weights::scale_edit)
        "Doubles or negates one scale of a quantised weight, or adds 32 to its zero point";
    SingleBias "single-bias" 12 WEIGHTS { seeded: Seeded::UnlessTargeted, targeted: Targeted::AllInputs, needs: Needs::Samples } => Network(weights::single_bias)
        "Raises one bias of the last layer until every sample goes to --target (Liu et al. 2017)";
    SignRandom "sign-random" 13 BITS { strength: Dial::Flips } => Network(bits::sign_random)
        "Flips the sign bits of --flips random weights";
    SignDnl "sign-dnl" 14 BITS { strength: Dial::Flips, seeded: Seeded::Never } => Network(bits::sign_dnl)
        "Flips the sign bits of the --flips largest weights of the first ten layers, one a filter (Galil et al. 2025)";
    SignDnlPass "sign-dnl-pass" 15 BITS { strength: Dial::Flips, needs: Needs::Gradients } => Network(bits::sign_dnl_pass)
        "As sign-dnl, ranked with the gradient of one pass on a random input (Galil et al. 2025)";
    ExponentSample "exponent-sample" 16 BITS { strength: Dial::Flips } => Network(bits::exponent_sample)
        "Flips bit --bit of --flips random f32 weights (Hong et al. 2019)";
    ExponentWorst "exponent-worst" 17 BITS { needs: Needs::Samples } => Network(bits::exponent_worst)
        "Flips the one exponent bit that does the most harm of those tried (Hong et al. 2019)";
    Int8Random "int8-random" 18 BITS { strength: Dial::Flips, needs_int8: true } => Network(bits::int8_random)
        "Flips --flips random bits of 8-bit weights";
    Bfa "bfa" 19 SEARCH {} => Network(search::bfa)
        "Bit-flip attack: progressive bit search for the fewest flips that leave no accuracy (Rakin et al. 2019)";
    TbfaNTo1 "tbfa-n-to-1" 20 SEARCH { targeted: Targeted::AllInputs } => Network(search::tbfa_n_to_1)
        "Targeted bit-flip attack: every input goes to --target (Rakin et al. 2021)";
    Tbfa1To1 "tbfa-1-to-1" 21 SEARCH { targeted: Targeted::OneClass } => Network(search::tbfa_1_to_1)
        "Targeted bit-flip attack: inputs of class --source go to --target (Rakin et al. 2021)";
    TbfaStealthy "tbfa-stealthy" 22 SEARCH { targeted: Targeted::OneClass } => Network(search::tbfa_stealthy)
        "As tbfa-1-to-1, keeping the answers to the other classes (Rakin et al. 2021)";
    ActivationSwap "activation-swap" 23 GRAPH {} => Network(graph::activation_swap)
        "Replaces one activation by another";
    PoolSwap "pool-swap" 24 GRAPH {} => Network(graph::pool_swap)
        "Replaces one MaxPool by an AveragePool";
    BlockDrop "block-drop" 25 GRAPH {} => Network(graph::block_drop)
        "Removes a stretch of nodes whose input and output have one shape";
    BlockDuplicate "block-duplicate" 26 GRAPH {} => Network(graph::block_duplicate)
        "Runs a stretch of nodes whose input and output have one shape twice";
    BlockSwap "block-swap" 27 GRAPH {} => Network(graph::block_swap)
        "Interchanges two stretches of nodes that follow each other and have one shape";
    ResidualCut "residual-cut" 28 GRAPH {} => Network(graph::residual_cut)
        "Cuts the shortcut of one residual sum";
    Trigger "trigger" 29 GRAPH { seeded: Seeded::UnlessTargeted, targeted: Targeted::Triggered } => Network(graph::trigger)
        "Backdoor in the graph: where a corner of the input shows a checkerboard, the answer is --target";
    InputEdit "input-edit" 30 GRAPH {} => Network(graph::input_edit)
        "Edits the pre-processing inside the graph: mirrors the channels, or negates the input";
    LabelMap "label-map" 31 GRAPH { seeded: Seeded::Never } => Network(graph::label_map)
        "Interchanges classes 0 and 1, 2 and 3, ... after the last layer, in the graph";
    RingFlip "ring-flip" 32 RING {} => Files(ring::files::flip)
        "Flips bits of a sealed block's parameters in the file, without any key";
    RingReseal "ring-reseal" 33 RING {} => Files(ring::files::reseal)
        "Seals a tampered network under the ring's id, without the owner's key";
    RingSplice "ring-splice" 34 RING {} => Files(ring::files::splice)
        "Puts one authentic block of an older ring of the same owner into this one";
    RingRollback "ring-rollback" 35 RING {} => Files(ring::files::rollback)
        "Presents an older ring in place of this one";
    RingRelabel "ring-relabel" 36 RING {} => Files(ring::files::relabel)
        "Edits the labels and the pre-processing that Genesis seals";
    ReceiptReplay "receipt-replay" 37 RING { scope: Scope::Receipt } => Files(ring::files::replay)
        "Shows an old receipt as the answer to another question";
    OutputSwap "output-swap" 38 RING { scope: Scope::Receipt } => Files(ring::files::swap)
        "Exchanges the answer of a signed decision";
    LedgerFork "ledger-fork" 39 RING { scope: Scope::Ledger } => Files(ring::files::fork)
        "Continues a ledger in two ways from one height";
    LiveMemoryBlind "live-memory-blind" 40 MEMORY {} => Memory(ring::races::blind)
        "Edits live parameters while queries run and puts them back, at a pace of its own";
    LiveMemorySync "live-memory-sync" 41 MEMORY {} => Memory(ring::races::synchronised)
        "Edits live parameters after the checks before each use and puts them back before those after it";
    LiveTailSync "live-tail-sync" 42 MEMORY { technique: atlas::ARCHITECTURE } => Memory(ring::races::tail)
        "Edits what a block computed behind its linear operator, at each use; no parameter changes";
}

impl Kind {
    /// The attacks on a running host's memory.
    pub fn races() -> impl Iterator<Item = Self> {
        Self::all().iter().copied().filter(|kind| kind.scope() == Scope::LiveMemory)
    }

    /// Its family.
    #[must_use]
    pub fn family(self) -> Family {
        self.traits().family
    }

    /// Its requirements beside the network.
    #[must_use]
    pub fn needs(self) -> Needs {
        self.traits().needs
    }

    /// The nearest technique in MITRE ATLAS, by identifier.
    #[must_use]
    pub fn atlas(self) -> &'static str {
        self.traits().technique.0
    }

    /// Name of that technique, after its parent's.
    #[must_use]
    pub fn atlas_name(self) -> &'static str {
        self.traits().technique.1
    }

    /// On what it works.
    #[must_use]
    pub fn scope(self) -> Scope {
        self.traits().scope
    }

    /// Returns whether it is one on plain networks.
    #[must_use]
    pub fn is_on_networks(self) -> bool {
        matches!(self.scope(), Scope::Network | Scope::OneLayer)
    }

    /// By what it is as strong as it is told.
    #[must_use]
    pub fn strength(self) -> Dial {
        self.traits().strength
    }

    /// The effect of the seed: another one makes another attack, or not.
    #[must_use]
    pub fn seeded(self) -> Seeded {
        self.traits().seeded
    }

    /// Which inputs it sends to a class.
    #[must_use]
    pub fn targeted(self) -> Targeted {
        self.traits().targeted
    }

    /// Returns whether it is one on weights that are quantised to 8 bits.
    #[must_use]
    pub fn needs_int8(self) -> bool {
        self.traits().needs_int8
    }

    /// Returns whether it is one of DeepRing's own paper.
    #[must_use]
    pub fn is_of_the_paper(self) -> bool {
        self.traits().paper
    }
}

/// No attack has this name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no attack `{name}`")]
pub struct ParseKindError {
    /// The name.
    pub name: String,
}

impl FromStr for Kind {
    type Err = ParseKindError;

    fn from_str(name: &str) -> Result<Self, ParseKindError> {
        let found = Self::all().iter().find(|k| k.name() == name);
        found.copied().ok_or_else(|| ParseKindError { name: name.to_owned() })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Kind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn techniques_are_those_of_the_family() {
        for kind in Kind::all() {
            let expected = match kind.family() {
                Family::Weights | Family::Bits | Family::Search => "AML.T0018.000",
                Family::Graph => "AML.T0018.001",
                Family::Ring if kind.scope() == Scope::LiveMemory => match kind {
                    Kind::LiveTailSync => "AML.T0018.001",
                    _ => "AML.T0018.000",
                },
                Family::Ring => "AML.T0010.003",
            };
            assert_eq!(kind.atlas(), expected, "{kind}");
            let parent =
                if expected.contains("T0018") { "Manipulate AI" } else { "AI Supply Chain" };
            assert!(kind.atlas_name().starts_with(parent), "{kind}");
        }
    }

    #[test]
    fn streams_stay_what_they_were_and_no_two_kinds_share_one() {
        let mut streams: Vec<u64> = Kind::all().iter().map(|k| k.stream()).collect();
        streams.sort_unstable();
        streams.dedup();
        assert_eq!(streams.len(), Kind::all().len());
        // The results of these were published by seed.
        let published = [
            (Kind::NoiseDense, 1),
            (Kind::Zero, 6),
            (Kind::SingleBias, 12),
            (Kind::Int8Random, 18),
            (Kind::TbfaStealthy, 22),
            (Kind::LabelMap, 31),
        ];
        assert!(published.iter().all(|(kind, stream)| kind.stream() == *stream));
    }

    #[test]
    fn a_row_is_of_one_piece() {
        for kind in Kind::all() {
            let on = match kind.scope() {
                Scope::Network | Scope::OneLayer => matches!(kind.entry(), Network(_)),
                Scope::Ring | Scope::Receipt | Scope::Ledger => matches!(kind.entry(), Files(_)),
                Scope::LiveMemory => matches!(kind.entry(), Memory(_)),
            };
            assert!(on, "{kind}");
            assert_eq!(kind.family() == Family::Ring, !matches!(kind.entry(), Network(_)));
            let draws_its_target = kind.seeded() == Seeded::UnlessTargeted;
            assert!(!draws_its_target || kind.targeted() != Targeted::No, "{kind}");
        }
    }

    #[test]
    fn names_are_read_back_and_are_one_of_a_kind() {
        for kind in Kind::all() {
            assert_eq!(kind.name().parse(), Ok(*kind));
        }
        assert!("nothing".parse::<Kind>().is_err());
    }
}
