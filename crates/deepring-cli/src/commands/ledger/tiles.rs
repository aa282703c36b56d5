//! `deepring ledger tiles`: the log as static files.

use std::ffi::OsStr;
use std::path::Path;

use deepring_ledger::Fault;
use deepring_ledger::tiles::TilesError;
use serde_json::json;

use super::LedgerMemory;
use crate::cli::LedgerTiles;
use crate::error::{CliError, Exit};
use crate::output;
use crate::own_names;
use crate::rings;

pub(super) fn tiles(args: &LedgerTiles, trust: Option<&Path>) -> Result<(), CliError> {
    // Neither the folder nor the file in it that is replaced is put where a ring is bound.
    let written = [args.output.clone(), args.output.join("checkpoint")];
    let written: Vec<_> =
        written.iter().map(|path| output::resolved_path(path)).collect::<Result<_, _>>()?;
    own_names::spare(&args.output, ["", "checkpoint"], [], trust)?;
    if let Some(name) = own_names::taken([], trust)?.iter().find(|name| may_be_a_tile(name)) {
        let message = format!("the trust store is named as a tile may be: `{}`", name.display());
        return Err(CliError::usage(message).hint("give it another name: `--trust trust.json`"));
    }
    rings::spare_all_bound(&written, trust)?;
    let ledger = LedgerMemory::open(trust)?.read(&args.args)?;
    let export = ledger.export_tiles(&args.output).map_err(refused)?;
    let checkpoint = &export.checkpoint;
    if args.args.json {
        return output::json(&json!({
            "origin": checkpoint.origin(),
            "size": checkpoint.size(),
            "before": export.before,
            "files": export.files,
            "key": ledger.key().to_string(),
        }));
    }
    output::line(format_args!(
        "{}: {} entries, {} of them new; wrote {}",
        args.output.display(),
        checkpoint.size(),
        checkpoint.size().saturating_sub(export.before),
        output::count(export.files, "tile or bundle", "tiles and bundles")
    ))
}

/// Tiles and bundles are called by numbers, in whatever folder a link among theirs leads to.
fn may_be_a_tile(name: &OsStr) -> bool {
    name.as_encoded_bytes().iter().all(u8::is_ascii_digit)
}

fn refused(e: TilesError) -> CliError {
    let (fault, message) = (e.fault(), format!("tiles: {e}"));
    match e {
        TilesError::Ledger(e) => e.into(),
        TilesError::NotAnExport { .. } => CliError::new(Exit::Failed, message)
            .hint("give a new folder, or one that `ledger tiles` made"),
        _ if fault == Fault::Tampered => CliError::new(Exit::Tampered, message).hint(
            "nothing was changed; compare the export with a kept checkpoint: either it or this ledger is not what it was",
        ),
        _ => CliError::new(Exit::Failed, message),
    }
}
