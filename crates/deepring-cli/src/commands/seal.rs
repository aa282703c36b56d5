//! `deepring seal`: an ONNX network becomes a ring.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use deepring::trust::OwnedRing;
use deepring::{Host, Owner, PublicKey};
use deepring_infer::Seal;
use deepring_infer::sealing::{Blocks, SealProgress};
use deepring_onnx::network_files;

use super::deal;
use crate::cli::SealArgs;
use crate::error::{CliError, Exit};
use crate::ledgers::Wanted;
use crate::named;
use crate::output;
use crate::progress::Progress;
use crate::rings::{self, TrustPolicy};
use crate::rotated::{signer_of, takes_the_next};
use crate::secrets::Secrets;

pub(crate) fn seal(args: &SealArgs, trust: Option<&Path>) -> Result<(), CliError> {
    let mut read = network_files(&args.model);
    read.push(args.owner.clone());
    read.extend(args.labels.clone());
    read.extend(rings::store_files(trust));
    let owner = Secrets::of(&args.passphrase).key::<Owner>(&args.owner)?;
    let mut sealing = Seal::new(&args.model, &owner).cut(args.cut);
    let mut hosts = Vec::new();
    for host in &args.host {
        let (blocks, key, file) = parse_host(host)?;
        read.push(file.into());
        hosts.push(key);
        sealing = sealing.host(blocks, key);
    }
    if !args.leg.is_empty() {
        let (planned, files) = deal::planned(&args.leg, &args.copies)?;
        read.extend(files);
        hosts.extend(planned.legs.iter().map(|(_, host)| *host));
        hosts.extend(&planned.plan.genesis);
        sealing = sealing.deal(planned);
    }
    let target = output::resolved_path(&args.output)?;
    output::keep_at(&target, read.iter().map(PathBuf::as_path))?;
    // Where a ring lies already, one that is just being granted or upgraded must not come out on top again.
    let _turn = rings::turn(&target)?;
    // Begun before anything is asked about what lies there: another file that is put there meanwhile stays.
    let file = output::begun_at(&target)?;
    if let Some(path) = &args.labels {
        sealing = sealing.labels(read_labels(path)?);
    }
    if let Some(recipe) = &args.preprocess {
        sealing = sealing.preprocess(recipe.clone());
    }
    if let Some(version) = args.model_version {
        sealing = sealing.model_version(version);
    }
    if let Some(previous) = &args.previous {
        let previous = output::resolved_path(previous)?;
        let ledger = Wanted::of(args.ledger.as_deref(), args.ledger_key.as_deref());
        let (store, own) = (rings::open_store(trust)?, owner.public());
        let signer = ledger.map(|ledger| signer_of(&ledger, store.as_ref(), &previous, own));
        let mut policy = TrustPolicy::of(signer.transpose()?.unwrap_or(own), trust)?;
        if let Some(vouched) = ledger.and_then(|ledger| ledger.read(store.as_ref()).ok()) {
            // What a ledger says of the key that signed it counts from here on: whoever has a key that was given up locks nobody out.
            policy.learn_of(&vouched, &previous);
        }
        // The previous ring must be authentic, and the newest: an upgrade of an old one would fork.
        let ring = rings::open_at(&previous)?.authenticate(&policy.trust_by(&previous))?;
        if let Some(ledger) = ledger {
            let vouched = takes_the_next(&ledger, store.as_ref(), &ring, &own, hosts)?;
            vouched.note_unvouched();
            policy.remember_growth(&vouched);
        }
        // Under another key, it is another ring to whoever bound it.
        policy.belongs(&target, OwnedRing { owner: own, ring: ring.ring_id() })?;
        let next = args.model_version.unwrap_or(ring.model_version().saturating_add(1));
        rings::spare_newer(&target, &ring, (next, 0))?;
        sealing = match ring.owner() == own {
            true => sealing.upgrade_of(&ring),
            false => sealing.upgrade_after_rotation(&ring),
        };
    } else {
        TrustPolicy::of(owner.public(), trust)?.spares(&target)?;
    }
    let progress = Progress::bytes("sealing", 0);
    let sealed = sealing.write_in(file, &|p| match p {
        SealProgress::Planned { bytes, .. } => progress.set_total(bytes),
        SealProgress::Sealed { bytes } => progress.add(bytes),
    })?;
    drop(progress);
    output::line(format_args!("ring    {}", sealed.sealed.ring_id))?;
    output::line(format_args!("digest  {}", sealed.sealed.digest))?;
    output::line(format_args!("version {}", sealed.model_version))?;
    output::line(format_args!(
        "blocks  {} and Genesis, {} of parameters",
        sealed.blocks.len(),
        output::size(sealed.parameter_bytes)
    ))?;
    let wide = sealed.promoted;
    if wide.file > 0 {
        output::line(format_args!(
            "widened {} of weights in 16 or 8 bits to {} of 32-bit floats, which the engine multiplies",
            output::size(wide.file),
            output::size(wide.ring)
        ))?;
    }
    // A few numbers that passes wrote are no weight.
    if sealed.repeated > sealed.parameter_bytes / 16 {
        output::line(format_args!(
            "repeated {} of parameters: what is made of one weight in several ways is sealed in each",
            output::size(sealed.repeated)
        ))?;
    }
    output::note(format_args!("sealed {}", args.output.display()));
    Ok(())
}

/// `[BLOCKS=]FILE`; a file whose name holds `=` behind something that selects no blocks is found too.
/// Gives the file too.
pub(crate) fn parse_host(given: &OsStr) -> Result<(Blocks, PublicKey<Host>, &Path), CliError> {
    // What reads as a selection is one, whatever files lie about: a file planted under the name
    // `2-3=host.pub` must not widen a grant to all blocks.
    if let Some((blocks, file)) = named::split(given)
        && let Ok(blocks) = blocks.parse()
    {
        return Ok((blocks, PublicKey::read(Path::new(file))?, Path::new(file)));
    }
    let whole = Path::new(given);
    match named::split(given) {
        Some((blocks, _)) if !whole.exists() => Err(CliError::usage(
            blocks.parse::<Blocks>().err().map(|e| e.to_string()).unwrap_or_default(),
        )),
        _ => Ok((Blocks::All, PublicKey::read(whole)?, whole)),
    }
}

/// Most bytes of a file of labels.
const MAX_LABELS: u64 = 16 << 20;

pub(crate) fn read_labels(path: &Path) -> Result<Vec<String>, CliError> {
    let text = deepring::files::read_plain_text(path, MAX_LABELS)
        .map_err(|e| CliError::new(Exit::Failed, format!("{}: {e}", path.display())))?;
    // An editor's byte order mark is no character of the first label.
    let text = text.trim_start_matches('\u{feff}');
    Ok(text.lines().map(|l| l.trim_end_matches('\r').to_owned()).collect())
}
