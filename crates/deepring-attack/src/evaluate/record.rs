//! The record of an evaluation: one JSON object a line of `results.jsonl`.

use serde::{Deserialize, Serialize};

use super::configuration::Strength;

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum Line {
    /// A run began.
    Run(Run),
    /// A network, before any attack.
    Model(Model),
    /// A cell.
    Cell(Box<Row>),
}

/// Under which circumstances a run was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The command.
    pub command: String,
    /// Version of this software.
    pub version: String,
    /// When it began, in universal time.
    pub date: String,
    /// Model of the processor.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// True if the build is optimised; times of others say nothing.
    pub optimised: bool,
    /// Seeds of each attack that leaves something to chance.
    pub seeds: u64,
    /// How DeepRing checks parameters.
    pub check: String,
    /// Digest of everything that decides what a cell's result is, beside the cell itself.
    pub settings: String,
}

/// A network, before any attack, and what protecting it costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Settings under which this was measured.
    pub settings: String,
    /// Name, from the file.
    pub name: String,
    /// SHA-256 of the network as it is attacked.
    pub sha256: String,
    /// True if it was quantised to 8 bits for this evaluation.
    pub quantised: bool,
    /// Parameters.
    pub parameters: usize,
    /// Linear layers.
    pub layers: Vec<LayerLine>,
    /// Classes.
    pub classes: usize,
    /// Accuracy on the test samples, 0 to 1.
    pub accuracy: f64,
    /// Accuracy on the samples with which attacks search, 0 to 1.
    pub search_accuracy: f64,
    /// Test samples.
    pub test: usize,
    /// Samples with which attacks search.
    pub search: usize,
    /// True if the data set has one part only, so that attacks search on the samples that accuracy is measured on.
    pub shared_samples: bool,
    /// Baseline defences.
    pub defences: Vec<DefenceLine>,
    /// DeepRing.
    pub ring: Option<RingLine>,
    /// Why there is no ring.
    pub no_ring: Option<String>,
}

/// A linear layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerLine {
    /// Name.
    pub name: String,
    /// Weights.
    pub weights: usize,
    /// True if it is dense rather than a convolution.
    pub dense: bool,
}

/// The cost of a defence on a network, and its resistance to an attacker who knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DefenceLine {
    /// Name.
    pub defence: String,
    /// The changes that it cannot see.
    pub misses: String,
    /// Bytes that it keeps where the attacker cannot write.
    pub stored_bytes: usize,
    /// Milliseconds of a check, median.
    pub ms: f64,
    /// The same in per cent of the network's plain run on one sample; `None` where it is not run on one.
    pub percent: Option<f64>,
    /// Checks of the clean network.
    pub clean_checks: usize,
    /// Alarms among them.
    pub false_alarms: usize,
    /// The upper bound of their rate, at 95 %.
    pub false_alarm_bound: f64,
    /// The attacker who knows the scheme, not the keys.
    pub adaptive: Option<Adaptive>,
}

/// An attack that was made against one defence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Adaptive {
    /// The attack.
    pub what: String,
    /// Attacks made, with different seeds.
    pub tried: usize,
    /// Of these, seen by the defence.
    pub detected: usize,
    /// Accuracy after each, 0 to 1.
    pub accuracy: Vec<f64>,
}

/// DeepRing on a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RingLine {
    /// Blocks beside Genesis.
    pub blocks: usize,
    /// Bytes of the ring beyond those of the network.
    pub stored_bytes: usize,
    /// Milliseconds added to a query of one sample, median of interleaved pairs.
    pub ms: f64,
    /// The same in per cent.
    pub percent: f64,
    /// Queries of the intact ring.
    pub clean_checks: usize,
    /// Refusals among them.
    pub false_alarms: usize,
    /// The upper bound of their rate, at 95 %.
    pub false_alarm_bound: f64,
    /// Attacks on the ring, its receipts and the ledger.
    pub attacks: Vec<RingAttack>,
    /// The attacker who knows when checks are done, under each check.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adaptive: Vec<RingAdaptive>,
}

/// A race in live memory by an attacker who is synchronised with the queries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RingAdaptive {
    /// The attack.
    pub attack: String,
    /// How parameters were checked.
    pub check: String,
    /// Queries asked, all of them tampered with.
    pub queries: usize,
    /// Of these, refused.
    pub refused: usize,
    /// Of these, answered otherwise than by the clean network.
    pub wrong: usize,
    /// Queries until one was refused, mean over refusals.
    pub until_refused: Option<f64>,
    /// Accuracy of the answers given, 0 to 1.
    pub accuracy: Option<f64>,
}

/// An attack on a ring, a receipt or a ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RingAttack {
    /// The attack.
    pub attack: String,
    /// MITRE ATLAS.
    pub atlas: String,
    /// True if it was noticed.
    pub detected: bool,
    /// True if the block that was touched is named; `None` where no block was.
    pub located: Option<bool>,
    /// The observation, in a sentence.
    pub what: String,
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Tells the cell from all others; a cell whose key is in the file is not computed again.
    pub key: String,
    /// SHA-256 of the network.
    pub model: String,
    /// The attack.
    pub attack: String,
    /// MITRE ATLAS.
    pub atlas: String,
    /// The layer, where one was asked for.
    pub layer: Option<String>,
    /// How strong.
    pub strength: Strength,
    /// The seed.
    pub seed: u64,
    /// The outcome.
    pub outcome: Outcome,
}

/// The outcome of a configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was measured.
    Measured(Box<Measured>),
    /// The network has nothing that this attack takes hold of.
    NotApplicable(String),
    /// The attack was made, and the engine refuses the network: nothing is answered.
    Unusable(String),
}

/// A measured cell. Accuracies are shares, 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The particulars of the attack.
    pub what: String,
    /// Before.
    pub clean: f64,
    /// After.
    pub attacked: f64,
    /// After DeepRing restored it.
    pub recovered: Option<f64>,
    /// Share of inputs that go where a targeted attack wants them.
    pub success: Option<f64>,
    /// Parameters changed.
    pub values: usize,
    /// Bits changed.
    pub bits: u64,
    /// Tensors changed.
    pub tensors: usize,
    /// Places of the graph changed.
    pub graph: usize,
    /// Seconds that the attack took.
    pub seconds: f64,
    /// True if a search reached its aim; `false` where it was cut off, so that its flips are a lower bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<bool>,
    /// Accuracy on the test samples after so many flips. Along a search the last is of all of them, the others of as many
    /// thousands as showed that it was not at its end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trace: Vec<(usize, f64)>,
    /// The result of each baseline.
    pub defences: Vec<BaselineResult>,
    /// DeepRing's result.
    pub ring: Option<RingResult>,
}

/// A baseline's result on an attack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BaselineResult {
    /// The defence.
    pub defence: String,
    /// True if it saw the edit in the stored file.
    pub at_rest: bool,
    /// True if it saw the edit in memory, after loading.
    pub live: bool,
    /// True if every tensor that it names was changed, and it names one; `None` where it saw nothing.
    pub located: Option<bool>,
    /// Milliseconds of the check.
    pub ms: f64,
    /// Accuracy after what the defence itself does about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<f64>,
}

/// DeepRing's result on an attack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RingResult {
    /// True if the edit was refused.
    pub detected: bool,
    /// True if every block that is named was changed, and one is.
    pub block: Option<bool>,
    /// True if every tensor that is named was changed, and one is.
    pub tensor: Option<bool>,
    /// True if it was restored bit for bit.
    pub recovered: Option<bool>,
    /// Answers that were given while it was tampered with.
    pub answers: usize,
    /// Milliseconds until it was refused.
    pub ms: f64,
    /// How the attack was brought to the ring.
    pub how: String,
}

impl Row {
    /// The measurement, if there is one.
    #[must_use]
    pub fn measured(&self) -> Option<&Measured> {
        match &self.outcome {
            Outcome::Measured(m) => Some(m),
            Outcome::NotApplicable(_) | Outcome::Unusable(_) => None,
        }
    }
}
