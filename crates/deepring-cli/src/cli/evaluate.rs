//! Arguments of `deepring evaluate`.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use clap::Args;
use deepring::Check;
use deepring_attack::defence::DefenceKind;
use deepring_attack::evaluate::{AttackItem, Suite};

/// Attack networks in many ways and strengths, see which defence notices, and write tables and a report
#[derive(Debug, Args)]
#[command(after_help = "\
An attack is spread over layers, strengths and seeds into cells. A finished cell is in results.jsonl
at once; the same command continues where it was stopped. `deepring attack --list` lists the attacks.

Examples:
  deepring evaluate --model zoo/fashion-lenet5.onnx --data zoo/fashion-sample --suite paper -o report
  deepring evaluate --model a.onnx --model b.onnx --data cifar10 --suite all --budget 30 -o report
  deepring evaluate --model a.onnx --data cifar10 --attack noise-layer:rho=2,layer=conv1 --attack zero -o report
  deepring evaluate --report-only -o experiments/fashion")]
pub(crate) struct Evaluate {
    /// A network; repeat for more
    #[arg(long, required_unless_present = "report_only", value_name = "M.onnx")]
    pub(crate) model: Vec<PathBuf>,
    /// Folder of a labelled data set: idx files, CIFAR-10, inputs.npy with labels.npy, or NAME_LABEL.jpg
    #[arg(long, required_unless_present = "report_only", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// An attack; layer=, rho=, flips=, bit=, target= and source= (twice for two values) override the options for
    /// all attacks; repeat for more
    #[arg(long, required_unless_present_any = ["suite", "report_only"], value_name = "KIND[:KEY=VALUE,...]")]
    pub(crate) attack: Vec<AttackItem>,
    /// Attacks that go together: paper, weights, bits, search, graph or all; repeat for more
    #[arg(long, value_name = "SUITE")]
    pub(crate) suite: Vec<Suite>,
    /// Layers for attacks on one layer: `all`, or names
    #[arg(long, default_value = "all", value_delimiter = ',', value_name = "all|NAME,...")]
    pub(crate) layers: Vec<String>,
    /// Strengths of noise, in standard deviations of the tensor
    #[arg(long, value_parser = strength, default_value = "0.1,0.5,1,2,5", value_delimiter = ',', value_name = "X,...")]
    pub(crate) rho: Vec<f64>,
    /// How many bits are flipped
    #[arg(long, default_value = "1,2,5,10", value_delimiter = ',', value_name = "N,...")]
    pub(crate) flips: Vec<NonZeroUsize>,
    /// Seeds of each attack that involves chance
    #[arg(long, default_value = "5", value_name = "N")]
    pub(crate) seeds: NonZeroU64,
    /// Test images on which accuracy is measured, as many of each class as can be; 0 for all
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub(crate) limit: usize,
    /// Training images with which attacks search
    #[arg(long, default_value = "256", value_name = "N")]
    pub(crate) search: NonZeroUsize,
    /// A defence beside DeepRing: none, crc32, radar, hashtag, file-digest or spot-check; repeat for more [default:
    /// all]
    #[arg(long, value_name = "NAME")]
    pub(crate) defence: Vec<DefenceKind>,
    /// Begin nothing new after so many minutes
    #[arg(long, value_parser = minutes, value_name = "MINUTES")]
    pub(crate) budget: Option<f64>,
    /// How pixels become inputs: resize=, crop=, color=, scale=, mean=, std=, layout= [default: divided by 255]
    #[arg(long, value_name = "SPEC")]
    pub(crate) preprocess: Option<deepring_infer::inputs::Preprocess>,
    /// How DeepRing checks parameters: none, load, spot:Q, run, compute or auto
    #[arg(long, default_value_t = Check::Auto)]
    pub(crate) check: Check,
    /// Measure the attacks alone, and not cost, false alarms, attackers who know a defence, and attacks on the ring itself
    #[arg(long)]
    pub(crate) cells_alone: bool,
    /// Rewrite tables, report and plots from the results that are in the folder, and compute nothing
    #[arg(long, conflicts_with_all = ["model", "data", "attack", "suite", "budget"])]
    pub(crate) report_only: bool,
    /// Folder for results.jsonl, tables.md, report.html and the plots
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: PathBuf,
}

fn strength(text: &str) -> Result<f64, String> {
    positive(text).ok_or_else(|| "a strength is a number, 0 or more".to_owned())
}

/// At most a year, so that it is a time.
fn minutes(text: &str) -> Result<f64, String> {
    let found = positive(text).filter(|m| *m <= 525_600.0);
    found.ok_or_else(|| "a budget is a number of minutes".to_owned())
}

fn positive(text: &str) -> Option<f64> {
    text.parse().ok().filter(|v: &f64| v.is_finite() && *v >= 0.0)
}
