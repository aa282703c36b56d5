//! Attacks on rings, receipts and ledgers: on the files, without the owner's key.

use std::path::Path;

use deepring_attack::{
    Claim, FlipOptions, Kind, Network, ResealForm, RingTampered, SwapForm, ledger_fork,
    output_swap, ring_flip, ring_relabel, ring_reseal, ring_rollback, ring_splice,
};
use deepring_infer::read_npy;
use deepring_ledger::{Entry, Event};
use serde_json::json;

use crate::begun::Begun;
use crate::cli::Attack;
use crate::error::{CliError, Exit};
use crate::output;
use crate::rings;

pub(super) fn attack(
    args: &Attack,
    kind: Kind,
    given: &Path,
    target: &Path,
    trust: Option<&Path>,
) -> Result<(), CliError> {
    let others = args.with.iter().flat_map(|with| deepring_onnx::network_files(with));
    let others: Vec<_> = others.collect();
    let read = others.iter().map(std::path::PathBuf::as_path).chain([given]);
    if kind == Kind::LedgerFork {
        let folder = output::way(target)?;
        output::keep_at(&folder, read)?;
        rings::spare_bound(&folder, trust)?;
        return fork(args, given, target);
    }
    let begun = Begun::at(target, read, trust)?;
    // Where an attack makes its file, before that is put where it is to go.
    let workshop = tempfile::tempdir().map_err(|e| CliError::new(Exit::Failed, e))?;
    let made = workshop.path().join("made");
    let with = |at: usize, what: &str| {
        args.with.get(at).map(std::path::PathBuf::as_path).ok_or_else(|| {
            CliError::usage(format!("`{kind}` needs {what}")).hint("give it with `--with`")
        })
    };
    let failed = |e| CliError::new(Exit::Failed, e);
    let older = "the older ring";
    let seed = args.how.seed;
    let done = match kind {
        Kind::RingFlip => {
            let flips = args.how.flips.unwrap_or(1);
            let tensor = args.how.layer.clone();
            ring_flip(given, &made, &FlipOptions { block: None, tensor, flips, seed })
        }
        Kind::RingReseal => {
            let tampered = Network::read(with(0, "the tampered network")?)?;
            ring_reseal(given, &tampered, &made, ResealForm::OwnSignature)
        }
        Kind::RingSplice => ring_splice(given, with(0, older)?, &made, None, seed),
        Kind::RingRollback => ring_rollback(with(0, older)?, &made),
        Kind::RingRelabel => ring_relabel(given, &made, None, seed),
        Kind::ReceiptReplay => {
            begun.write(&receipt(given)?)?;
            let what = "the receipt is the same; shown for another question it must be refused: \
                        `deepring receipt verify --input OTHER.npy`";
            return told(args, kind, what, target);
        }
        Kind::OutputSwap => {
            let (honest, other) = (with(0, "the honest output")?, with(1, "the other output")?);
            return swap(args, given, [honest, other], target, begun);
        }
        _ => return Err(CliError::usage(format!("`{kind}` is no attack on files"))),
    };
    let done = done.map_err(failed)?;
    begun.copy(&made)?;
    show(args, &done, target)
}

fn show(args: &Attack, done: &RingTampered, target: &Path) -> Result<(), CliError> {
    if args.json {
        return output::json(&json!({
            "kind": done.kind.name(), "atlas": done.kind.atlas(), "what": done.what,
            "changed": done.changed, "written": target.display().to_string(),
        }));
    }
    output::line(format_args!("{} [{}]", done.kind, done.kind.atlas()))?;
    output::line(format_args!("  {}", done.what))?;
    for c in &done.changed {
        let block = c.block.map_or("the file".to_owned(), |b| format!("block {b}"));
        let [start, end] = c.bytes;
        let bits = output::count(usize::try_from(c.bits).unwrap_or(usize::MAX), "bit", "bits");
        output::line(format_args!(
            "  {block}, {}: bytes {start} to {end} of the file, {bits}",
            c.part
        ))?;
    }
    output::line(format_args!("wrote {}", target.display()))
}

fn swap(
    args: &Attack,
    given: &Path,
    files: [&Path; 2],
    target: &Path,
    begun: Begun,
) -> Result<(), CliError> {
    let named = |path: &Path| -> Result<_, CliError> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(read_npy(path, &name)?)
    };
    let honest = named(files[0])?;
    // The other output has the name of the honest one, whatever its file is called.
    let other = read_npy(files[1], honest.name())?;
    let claim = Claim { receipt: receipt(given)?, inputs: Vec::new(), outputs: vec![honest] };
    let swapped = output_swap(&claim, vec![other], SwapForm::Inside);
    if swapped.receipt == claim.receipt {
        let message = format!("the receipt is not about {}", files[0].display());
        return Err(CliError::new(Exit::Failed, message).hint(
            "give the output that `run --output-dir` wrote with it; its file has the output's name",
        ));
    }
    begun.write(&swapped.receipt)?;
    told(args, Kind::OutputSwap, "the digest of the other answer stands in the receipt", target)
}

fn fork(args: &Attack, given: &Path, target: &Path) -> Result<(), CliError> {
    let entry = |n: u8| Entry {
        at: u64::from(n),
        event: Event::Decisions { ring_digest: [0; 32], decision_id: [n; 32], count: 1 },
    };
    let fork = ledger_fork(given, target, [&[entry(1)], &[entry(2)]])
        .map_err(|e| CliError::new(Exit::Failed, e))?;
    let what = format!(
        "two ledgers of one key with {} entries in common and different roots at height {}",
        fork.common, fork.sizes[0]
    );
    told(args, Kind::LedgerFork, &what, target)
}

fn told(args: &Attack, kind: Kind, what: &str, target: &Path) -> Result<(), CliError> {
    if args.json {
        return output::json(&json!({
            "kind": kind.name(), "atlas": kind.atlas(), "what": what,
            "written": target.display().to_string(),
        }));
    }
    output::line(format_args!("{kind} [{}]", kind.atlas()))?;
    output::line(format_args!("  {what}"))?;
    output::line(format_args!("wrote {}", target.display()))
}

/// Most bytes of a receipt that is read.
const MAX_RECEIPT: u64 = 256 << 20;

fn receipt(path: &Path) -> Result<Vec<u8>, CliError> {
    deepring::read_plain(path, MAX_RECEIPT).map_err(|e| io(path, &e))
}

fn io(path: &Path, e: &std::io::Error) -> CliError {
    CliError::new(Exit::Failed, format!("{}: {e}", path.display()))
}
