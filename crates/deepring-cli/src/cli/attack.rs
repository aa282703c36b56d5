//! Arguments of `deepring attack` and `deepring quantise`.

use std::path::PathBuf;

use clap::Args;
use deepring::Check;
use deepring_attack::Kind;
use deepring_infer::inputs::Preprocess;

/// Tamper with a network as an attacker would, and report what was changed
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deepring attack --list
  deepring attack model.onnx --kind noise-layer --layer conv1 --rho 0.5 --seed 7 -o tampered.onnx
  deepring attack model.onnx --kind sign-dnl --flips 5 --data zoo/fashion-sample -o tampered.onnx
  deepring attack model.onnx --kind trigger --target 3 -o tampered.onnx --json
  deepring attack model.onnx --kind zero --ring --data zoo/fashion-sample -o tampered.onnx
  deepring attack model.ring --kind ring-splice --with old.ring -o tampered.ring
  deepring attack x.receipt --kind output-swap --with out/logits.npy --with other.npy -o y.receipt
  deepring attack ledger --kind ledger-fork -o forks
  deepring attack model.onnx --kind live-memory-sync --data zoo/fashion-sample")]
pub(crate) struct Attack {
    /// The network, plain ONNX; for attacks on rings, receipts and ledgers one of these. It stays as it is
    #[arg(required_unless_present = "list")]
    pub(crate) model: Option<PathBuf>,
    /// Print the attacks: name, what each does, what it needs, its technique in MITRE ATLAS
    #[arg(long)]
    pub(crate) list: bool,
    /// Which attack
    #[arg(long, required_unless_present = "list", value_name = "KIND")]
    pub(crate) kind: Option<Kind>,
    #[command(flatten)]
    pub(crate) how: AttackOptions,
    #[command(flatten)]
    pub(crate) data: DataOptions,
    /// Seal the network, put the tampering into the open ring's memory (or, where the graph changes, into its
    /// stored file), and report what is refused and what is restored
    #[arg(long)]
    pub(crate) ring: bool,
    /// With --ring: how parameters are checked, as for `run`
    #[arg(long, default_value_t = Check::Auto, requires = "ring")]
    pub(crate) check: Check,
    /// What an attack on a ring or receipt puts in: the tampered network (ring-reseal), the older ring
    /// (ring-splice, ring-rollback), the honest and the other output (output-swap)
    #[arg(long, value_name = "FILE")]
    pub(crate) with: Vec<PathBuf>,
    /// Write what was tampered with here, whole or not at all
    #[arg(short, long, value_name = "TAMPERED.onnx")]
    pub(crate) output: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The options of an attack.
#[derive(Debug, Args)]
pub(crate) struct AttackOptions {
    /// Layer (or its weight tensor) that is attacked [default: drawn by the seed]
    #[arg(long, value_name = "NAME")]
    pub(crate) layer: Option<String>,
    /// Strength of noise, in standard deviations of the tensor
    #[arg(long, value_name = "X")]
    pub(crate) rho: Option<f64>,
    /// Bits to flip; for a search, the most that it may flip [default: 100 for bfa, 60 for tbfa-*]
    #[arg(long, value_name = "N")]
    pub(crate) flips: Option<usize>,
    /// Which bit of a weight, the lowest being 0
    #[arg(long, value_name = "B")]
    pub(crate) bit: Option<u32>,
    /// Class to which inputs shall go [default: drawn by the seed]
    #[arg(long, value_name = "CLASS")]
    pub(crate) target: Option<usize>,
    /// Class whose inputs shall go there
    #[arg(long, value_name = "CLASS")]
    pub(crate) source: Option<usize>,
    /// Seed of the pseudo-random numbers: the same seed makes the same file
    #[arg(long, default_value_t = 1, value_name = "S")]
    pub(crate) seed: u64,
}

/// Labelled samples.
#[derive(Debug, Args)]
pub(crate) struct DataOptions {
    /// Folder of labelled samples (MNIST or CIFAR-10 files, inputs.npy and labels.npy, or *_LABEL.jpg): searches
    /// use its training part, whether they are done and accuracy before and after is measured on its test part
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// How pixels become inputs [default: divided by 255]
    #[arg(long, value_name = "SPEC")]
    pub(crate) preprocess: Option<Preprocess>,
    /// Measure on so many test samples, as many of each class [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Search on so many training samples
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub(crate) search: usize,
}

/// Write a network with 8-bit weights (per layer, symmetric, step max|W| / 127), as the bit searches attack it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deepring quantise model.onnx -o model-int8.onnx
  deepring quantise model.onnx --half-range -o model-half.onnx
  deepring quantise model.onnx --coarse logits=46 -o model-coarse.onnx")]
pub(crate) struct Quantise {
    /// The network, plain ONNX
    pub(crate) model: PathBuf,
    /// A step of 2 max|W| / 127 instead of max|W| / 127, as the program of T-BFA has it: weights use half of the 8 bits'
    /// range, and a flipped bit moves one twice as far
    #[arg(long)]
    pub(crate) half_range: bool,
    /// Give this layer a step with which a flipped top bit moves a weight by so many standard deviations of its weights, as
    /// a single large weight in the layer would make it; repeat for more
    #[arg(long, value_parser = coarse, value_name = "LAYER=X")]
    pub(crate) coarse: Vec<(String, f64)>,
    /// Write here, whole or not at all
    #[arg(short, long, value_name = "OUT.onnx")]
    pub(crate) output: PathBuf,
}

fn coarse(text: &str) -> Result<(String, f64), String> {
    let (layer, deviations) = text.rsplit_once('=').ok_or("it is LAYER=X")?;
    let found = deviations.parse().ok().filter(|x: &f64| x.is_finite() && *x > 0.0);
    let deviations = found.ok_or("X is a number of standard deviations, more than 0")?;
    Ok((layer.to_owned(), deviations))
}
