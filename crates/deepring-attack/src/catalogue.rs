//! The attacks by name: what each does, what it needs, where it is described.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use thiserror::Error;

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

/// What an attack takes hold of.
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

/// What an attack needs beside the network.
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

macro_rules! kinds {
    ($($kind:ident $name:literal $family:ident $needs:ident $atlas:ident $summary:literal;)*) => {
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

            /// What it takes hold of.
            #[must_use]
            pub fn family(self) -> Family {
                match self { $(Self::$kind => Family::$family,)* }
            }

            /// What it needs beside the network.
            #[must_use]
            pub fn needs(self) -> Needs {
                match self { $(Self::$kind => Needs::$needs,)* }
            }

            /// The nearest technique in MITRE ATLAS, by identifier.
            #[must_use]
            pub fn atlas(self) -> &'static str {
                self.technique().0
            }

            /// Name of that technique, after its parent's.
            #[must_use]
            pub fn atlas_name(self) -> &'static str {
                self.technique().1
            }

            fn technique(self) -> atlas::Technique {
                match self { $(Self::$kind => atlas::$atlas,)* }
            }

            /// What it does, in a sentence.
            #[must_use]
            pub fn summary(self) -> &'static str {
                match self { $(Self::$kind => $summary,)* }
            }
        }
    };
}

kinds! {
    LabelSwap "label-swap" Weights Nothing POISON
        "Interchanges classes 0 and 1, 2 and 3, ... in the last layer (the paper's type 0)";
    NoiseDense "noise-dense" Weights Nothing POISON
        "Adds Gaussian noise of --rho standard deviations to every dense layer (the paper's type 1)";
    NoiseAll "noise-all" Weights Nothing POISON
        "Adds Gaussian noise of --rho standard deviations to every layer (the paper's type 2)";
    NoiseLayer "noise-layer" Weights Nothing POISON
        "Adds Gaussian noise of --rho standard deviations to one layer";
    NoiseFilter "noise-filter" Weights Nothing POISON
        "Adds Gaussian noise of --rho standard deviations to one filter of one layer";
    Reinit "reinit" Weights Nothing POISON
        "Draws one layer anew, as before training (He normal)";
    Zero "zero" Weights Nothing POISON
        "Sets one layer to zero";
    PermuteUnpaired "permute-unpaired" Weights Nothing POISON
        "Permutes the filters of one layer, and nothing after it";
    PermutePaired "permute-paired" Weights Nothing POISON
        "Permutes the filters of one layer and the inputs of the next: every answer stays the same";
    SwapTensors "swap-tensors" Weights Nothing POISON
        "Interchanges the weights of two layers of equal shape";
    NormEdit "norm-edit" Weights Nothing POISON
        "Edits one value of a BatchNormalization: variance, scale or mean of a channel";
    ScaleEdit "scale-edit" Weights Nothing POISON
        "Doubles or negates one scale of a quantised weight, or adds 32 to its zero point";
    SingleBias "single-bias" Weights Samples POISON
        "Raises one bias of the last layer until every sample goes to --target (Liu et al. 2017)";
    SignRandom "sign-random" Bits Nothing POISON
        "Flips the sign bits of --flips random weights";
    SignDnl "sign-dnl" Bits Nothing POISON
        "Flips the sign bits of the --flips largest weights of the first ten layers, one a filter (Galil et al. 2025)";
    SignDnlPass "sign-dnl-pass" Bits Gradients POISON
        "As sign-dnl, ranked with the gradient of one pass on a random input (Galil et al. 2025)";
    ExponentSample "exponent-sample" Bits Nothing POISON
        "Flips bit --bit of --flips random f32 weights (Hong et al. 2019)";
    ExponentWorst "exponent-worst" Bits Samples POISON
        "Flips the one exponent bit that does the most harm of those tried (Hong et al. 2019)";
    Int8Random "int8-random" Bits Nothing POISON
        "Flips --flips random bits of 8-bit weights";
    Bfa "bfa" Search SamplesAndGradients POISON
        "Bit-flip attack: progressive bit search for the fewest flips that leave no accuracy (Rakin et al. 2019)";
    TbfaNTo1 "tbfa-n-to-1" Search SamplesAndGradients POISON
        "Targeted bit-flip attack: every input goes to --target (Rakin et al. 2021)";
    Tbfa1To1 "tbfa-1-to-1" Search SamplesAndGradients POISON
        "Targeted bit-flip attack: inputs of class --source go to --target (Rakin et al. 2021)";
    TbfaStealthy "tbfa-stealthy" Search SamplesAndGradients POISON
        "As tbfa-1-to-1, keeping the answers to the other classes (Rakin et al. 2021)";
    ActivationSwap "activation-swap" Graph Nothing ARCHITECTURE
        "Replaces one activation by another";
    PoolSwap "pool-swap" Graph Nothing ARCHITECTURE
        "Replaces one MaxPool by an AveragePool";
    BlockDrop "block-drop" Graph Nothing ARCHITECTURE
        "Removes a stretch of nodes whose input and output have one shape";
    BlockDuplicate "block-duplicate" Graph Nothing ARCHITECTURE
        "Runs a stretch of nodes whose input and output have one shape twice";
    BlockSwap "block-swap" Graph Nothing ARCHITECTURE
        "Interchanges two stretches of nodes that follow each other and have one shape";
    ResidualCut "residual-cut" Graph Nothing ARCHITECTURE
        "Cuts the shortcut of one residual sum";
    Trigger "trigger" Graph Nothing ARCHITECTURE
        "Backdoor in the graph: where a corner of the input shows a checkerboard, the answer is --target";
    InputEdit "input-edit" Graph Nothing ARCHITECTURE
        "Edits the pre-processing inside the graph: mirrors the channels, or negates the input";
    LabelMap "label-map" Graph Nothing ARCHITECTURE
        "Interchanges classes 0 and 1, 2 and 3, ... after the last layer, in the graph";
    RingFlip "ring-flip" Ring Nothing SUPPLY
        "Flips bits of a sealed block's parameters in the file, without any key";
    RingReseal "ring-reseal" Ring Nothing SUPPLY
        "Seals a tampered network under the ring's id, without the owner's key";
    RingSplice "ring-splice" Ring Nothing SUPPLY
        "Puts one authentic block of an older ring of the same owner into this one";
    RingRollback "ring-rollback" Ring Nothing SUPPLY
        "Presents an older ring in place of this one";
    RingRelabel "ring-relabel" Ring Nothing SUPPLY
        "Edits the labels and the pre-processing that Genesis seals";
    ReceiptReplay "receipt-replay" Ring Nothing SUPPLY
        "Shows an old receipt as the answer to another question";
    OutputSwap "output-swap" Ring Nothing SUPPLY
        "Exchanges the answer of a signed decision";
    LedgerFork "ledger-fork" Ring Nothing SUPPLY
        "Continues a ledger in two ways from one height";
    LiveMemoryBlind "live-memory-blind" Ring Samples POISON
        "Edits live parameters while queries run and puts them back, at a pace of its own";
    LiveMemorySync "live-memory-sync" Ring Samples POISON
        "Edits live parameters after the checks before each use and puts them back before those after it";
    LiveTailSync "live-tail-sync" Ring Samples ARCHITECTURE
        "Edits what a block computed behind its linear operator, at each use; no parameter changes";
}

impl Kind {
    /// The attacks on a running host's memory: [`race`](crate::race) makes them.
    #[must_use]
    pub fn races() -> &'static [Self] {
        &[Self::LiveMemoryBlind, Self::LiveMemorySync, Self::LiveTailSync]
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
                Family::Ring if Kind::races().contains(kind) => match kind {
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
    fn names_are_read_back_and_are_one_of_a_kind() {
        for kind in Kind::all() {
            assert_eq!(kind.name().parse(), Ok(*kind));
        }
        assert!("nothing".parse::<Kind>().is_err());
    }
}
