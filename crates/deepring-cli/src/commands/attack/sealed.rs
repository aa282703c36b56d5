//! Attacks on rings, receipts and ledgers: on the files, without the owner's key.

use std::path::{Path, PathBuf};

use deepring_attack::ring::{FilesTampered, RingAttackError, RingFiles};
use deepring_attack::{Kind, Scope, attack as make};
use serde_json::json;

use crate::begun::Begun;
use crate::cli::Attack;
use crate::error::{CliError, Exit};
use crate::output;
use crate::own_names;
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
    let read = others.iter().map(PathBuf::as_path).chain([given]);
    let with: Vec<&Path> = args.with.iter().map(PathBuf::as_path).collect();
    let tampered = |made: &Path| {
        let files = RingFiles { given, with: &with, made };
        make(&files, kind, &super::options(&args.how), None, &|_| ()).map_err(|e| failed(kind, e))
    };
    if kind.scope() == Scope::Ledger {
        // Both ledgers are made in folders that are made anew; which files they have is the given one's matter.
        let names = own_names::taken([], trust)?;
        let of = |folder: &str| names.iter().map(|name| Path::new(folder).join(name)).collect();
        let names: [Vec<PathBuf>; 3] = [vec![PathBuf::new()], of("a"), of("b")];
        own_names::spare(target, names.concat(), read, trust)?;
        rings::spare_bound(&output::resolved_path(target)?, trust)?;
        return show(args, kind, &tampered(target)?, target);
    }
    let begun = Begun::at(target, read, trust)?;
    // Where an attack makes its file, before that is put where it is to go.
    let folder = tempfile::tempdir().map_err(|e| CliError::new(Exit::Failed, e))?;
    let made = folder.path().join("made");
    let done = tampered(&made)?;
    begun.copy(&made)?;
    show(args, kind, &done, target)
}

fn failed(kind: Kind, e: RingAttackError) -> CliError {
    match e {
        RingAttackError::NeedsFile { what } => {
            CliError::usage(format!("`{kind}` needs {what}")).hint("give it with `--with`")
        }
        RingAttackError::NotOnFiles { .. } => CliError::usage(e.to_string()),
        RingAttackError::Network(e) => e.into(),
        RingAttackError::Npy(e) => e.into(),
        RingAttackError::AnotherOutput { .. } => CliError::new(Exit::Failed, e).hint(
            "give the output that `run --output-dir` wrote with it; its file has the output's name",
        ),
        e => CliError::new(Exit::Failed, e),
    }
}

fn show(args: &Attack, kind: Kind, done: &FilesTampered, target: &Path) -> Result<(), CliError> {
    if args.json {
        let mut document = json!({
            "kind": kind.name(), "atlas": kind.atlas(), "what": done.what,
            "written": target.display().to_string(),
        });
        if let (Some(changed), Some(map)) = (&done.changed, document.as_object_mut()) {
            map.insert("changed".to_owned(), json!(changed));
        }
        return output::json(&document);
    }
    output::line(format_args!("{kind} [{}]", kind.atlas()))?;
    output::line(format_args!("  {}", done.what))?;
    for c in done.changed.iter().flatten() {
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
