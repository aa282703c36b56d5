//! `deepring export`: a plain ONNX file out of a ring.

use std::path::{Path, PathBuf};

use deepring_infer::export_ring;

use crate::cli::Export;
use crate::error::CliError;
use crate::output;
use crate::progress::Progress;
use crate::rings::{self, AnyKey, Trusting};

pub(crate) fn export(args: &Export, trust: Option<&Path>) -> Result<(), CliError> {
    let key = AnyKey::read(&args.key)?;
    let read = [&args.ring, &args.key].into_iter().chain(&args.owner.owner);
    output::keep(&args.output, read.map(PathBuf::as_path))?;
    rings::spare_bound(&args.output, trust)?;
    output::writable(&args.output)?;
    let ring = Trusting::new(&args.owner, trust)?.authenticate(&output::way(&args.ring)?)?;
    let total = ring.layers().iter().map(|h| h.plain_len).sum();
    let progress = Progress::bytes("opening", total);
    export_ring(&ring, key.opening(), &args.output, &|n| progress.add(n))?;
    drop(progress);
    output::line(format_args!("wrote {}", args.output.display()))?;
    output::note("the exported file is plain: nothing checks it any more");
    Ok(())
}
