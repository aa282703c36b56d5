//! `deepring export`: a plain ONNX file out of a ring.

use std::path::{Path, PathBuf};

use deepring_infer::exporting::export_ring_in;

use crate::begun::Begun;
use crate::cli::Export;
use crate::error::CliError;
use crate::output;
use crate::progress::Progress;
use crate::rings::TrustPolicy;
use crate::secrets::Secrets;

pub(crate) fn export(args: &Export, trust: Option<&Path>) -> Result<(), CliError> {
    let key = Secrets::of(&args.passphrase).opening(&args.key)?;
    let read = [&args.ring, &args.key].into_iter().chain(&args.owner.owner);
    let begun = Begun::private_at(&args.output, read.map(PathBuf::as_path), trust)?;
    let ring =
        TrustPolicy::new(&args.owner, trust)?.authenticate(&output::resolved_path(&args.ring)?)?;
    let total = ring.layers().iter().map(|h| h.plain_len).sum();
    let progress = Progress::bytes("opening", total);
    let (file, _turn) = begun.into_file();
    export_ring_in(file, &ring, key.opening(), &|n| progress.add(n))?;
    drop(progress);
    output::line(format_args!("wrote {}", args.output.display()))?;
    output::note("the exported file is plain: nothing checks it any more");
    Ok(())
}
