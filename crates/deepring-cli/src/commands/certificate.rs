//! `deepring certificate`: a decision in one file, and its check with two public keys.

use std::path::Path;

use deepring::files::read_plain;
use deepring::{Decision, Finding, Owner, PublicKey, Section};
use deepring_ledger::certificate::{CertificateError, Expected, VerifiedCertificate};
use deepring_ledger::entry::MAX_ENTRY_BYTES;
use deepring_ledger::{Certificate, Fault, LogTrust, ValidatorSet, VerifierKey};
use serde_json::{Value, json};

use super::pinned::PinnedRing;
use super::receipt::{ComparedTensors, about_these, is_old, parse_nonce, subject};
use crate::begun::Begun;
use crate::cli::{CertificateCommand, CertificateMake, CertificateVerify};
use crate::error::{CliError, Exit};
use crate::ledgers::{Wanted, parse_key, read_key};
use crate::output;
use crate::rings::{newer_than, open_store, refuse_decision_of};
use crate::witnesses::{RequiredWitnesses, Witnesses};

pub(crate) fn certificate(args: &CertificateCommand, trust: Option<&Path>) -> Result<(), CliError> {
    match args {
        CertificateCommand::Make(args) => make(args, trust),
        CertificateCommand::Verify(args) => verify(args, trust),
    }
}

fn make(args: &CertificateMake, trust: Option<&Path>) -> Result<(), CliError> {
    let read = std::iter::once(args.receipt.as_path()).chain(args.ledger_key.as_deref());
    let begun = Begun::at(&args.output, read, trust)?;
    let store = open_store(trust)?;
    let wanted = Wanted { dir: &args.ledger, key: args.ledger_key.as_deref() };
    let ledger = wanted.read(store.as_ref())?.ledger;
    let decision = Decision::read(&args.receipt)?;
    let decision = if args.without_salt { decision.without_salt() } else { decision };
    let made = Certificate::make(&decision, &ledger, args.require.into()).map_err(refused)?;
    let digest = decision.chain().opening().ring_digest;
    if let Some(outline) = ledger.state()?.outlines(&digest).next() {
        let signers = decision.chain().signers().into_iter().chain([decision.closed_by()]);
        if let Some(since) = ledger.state()?.revoked_before(u64::MAX, outline, signers) {
            let (what, entry) = (subject(&since.what), since.entry);
            output::note(format_args!(
                "note: {what} is revoked since, by entry {entry}; a certificate does not say so"
            ));
        }
    }
    let bytes = made.encode();
    begun.write(&bytes)?;
    if args.json {
        let (file, key) = (args.output.display().to_string(), ledger.key().as_str());
        let decision = decision.id();
        return output::json(
            &json!({ "certificate": file, "decision": decision, "ledger_key": key, "bytes": bytes.len() }),
        );
    }
    output::note(format_args!(
        "wrote {}, {}; it is verified with the owner's public key and this one:",
        args.output.display(),
        output::size(bytes.len() as u64)
    ));
    output::line(ledger.key().as_str())
}

/// A certificate that verified, and what is known besides.
struct Verified {
    shown: VerifiedCertificate,
    compared: ComparedTensors,
    witnesses: Witnesses,
    /// The version that the trust store knows, where it is newer than the one that decided.
    newer: Option<u64>,
}

fn verify(args: &CertificateVerify, trust: Option<&Path>) -> Result<(), CliError> {
    let outcome = verified(args, trust);
    if args.json {
        output::verdict(outcome.as_ref(), document)?;
    } else if let Ok(Verified { shown, compared, witnesses, newer }) = &outcome {
        output::line(format_args!("intact: decision {}", shown.decision().id()))?;
        output::line(compared.line())?;
        if let Some(newer) = newer {
            output::line(is_old(shown.outline().model_version(), *newer))?;
        }
        witnesses.print()?;
        output::text(shown)?;
    }
    outcome.map(|_| ())
}

/// The JSON promised to scripts, beside verdict and findings; all of it null where nothing verified.
fn document(verified: Option<&Verified>) -> Value {
    let shown = verified.map(|verified| &verified.shown);
    let compared = verified.map(|verified| &verified.compared);
    let mut document = shown_json(shown, compared, verified.and_then(|verified| verified.newer));
    if let Some(map) = document.as_object_mut() {
        let witnesses = verified.map(|verified| verified.witnesses.json());
        map.insert("witnesses".to_owned(), json!(witnesses));
    }
    document
}

/// The facts that a certificate shows, what was compared with it, and a newer version that is known; null where nothing verified.
pub(super) fn shown_json(
    shown: Option<&VerifiedCertificate>,
    compared: Option<&ComparedTensors>,
    newer: Option<u64>,
) -> Value {
    json!({
        "decision": shown.map(|s| s.decision()),
        "owner": shown.map(|s| s.outline().owner()),
        "ring": shown.map(|s| s.outline().ring_id()),
        "model_version": shown.map(|s| s.outline().model_version()),
        "compared": compared.map(ComparedTensors::json),
        "newer_version": newer,
        "entry": shown.map(VerifiedCertificate::index),
        "origin": shown.map(|s| s.checkpoint().origin()),
        "size": shown.map(|s| s.checkpoint().size()),
        "cosigned_by": shown.map(|s| {
            s.cosigned_by().iter().map(|c| json!({ "name": c.witness().name(), "at": c.timestamp() })).collect::<Vec<_>>()
        }),
    })
}

fn verified(args: &CertificateVerify, trust: Option<&Path>) -> Result<Verified, CliError> {
    let required = RequiredWitnesses::of(args.witness_policy.as_deref())?;
    let owner = PublicKey::<Owner>::read(&args.owner)?;
    let log = Log::of(args)?;
    let pinned = PinnedRing::of(&args.pin, owner)?;
    let nonce = args.nonce.as_deref().map(parse_nonce).transpose()?;
    // Read, and not written: it takes no network, and where nothing was seen it changes nothing.
    let store = open_store(trust)?;
    let expected = Expected { owner, log: log.trusted(), require: args.require.into(), nonce };
    let read = Certificate::read(&args.certificate).map_err(refused)?;
    let shown = read.verify(&expected).map_err(refused)?;
    pinned.check(shown.outline())?;
    refuse_decision_of(store.as_ref(), shown.outline(), args.require)?;
    let specs = (shown.outline().inputs(), shown.outline().outputs());
    let compared = about_these((&args.input, &args.output), specs, shown.decision())?;
    let witnesses = required.check(shown.checkpoint())?;
    let newer = newer_than(store.as_ref(), shown.outline());
    Ok(Verified { shown, compared, witnesses, newer })
}

/// Who keeps the log, as the verifier says.
enum Log {
    Key(VerifierKey),
    Validators(ValidatorSet),
}

impl Log {
    fn of(args: &CertificateVerify) -> Result<Self, CliError> {
        match (&args.ledger_key, &args.validators) {
            (Some(path), None) => Ok(Self::Key(parse_key(&read_key(path)?)?)),
            (None, Some(path)) => Ok(Self::Validators(validator_set(path)?)),
            _ => Err(CliError::usage("give `--ledger-key` or `--validators`, and not both")),
        }
    }

    fn trusted(&self) -> LogTrust<'_> {
        match self {
            Self::Key(key) => LogTrust::Key(key),
            Self::Validators(set) => LogTrust::Validators(set),
        }
    }
}

/// The validator set in a file, which is trusted as a key is.
pub(super) fn validator_set(path: &Path) -> Result<ValidatorSet, CliError> {
    let refused = |exit, e: &dyn std::fmt::Display| {
        CliError::new(exit, format!("validator set {}: {e}", path.display()))
            .hint("`deepring ledger validator-set -o FILE` writes such a file")
    };
    let bytes = read_plain(path, MAX_ENTRY_BYTES as u64).map_err(|e| refused(Exit::Failed, &e))?;
    ValidatorSet::decode_signed(&bytes).map_err(|e| refused(Exit::Tampered, &e))
}

pub(super) fn refused(e: CertificateError) -> CliError {
    use deepring::outline::OutlineError;
    use deepring::receipt::ReceiptError;
    let message = format!("certificate: {e}");
    match e {
        CertificateError::Outline(OutlineError::Refused(finding))
        | CertificateError::Decision(ReceiptError::Refused(finding)) => {
            CliError::refused(message, vec![finding])
        }
        CertificateError::Ledger(e) => e.into(),
        e => match e.fault() {
            Fault::Tampered => {
                CliError::refused(&message, vec![Finding::tampered(Section::File, message.clone())])
            }
            Fault::Stale => {
                CliError::refused(&message, vec![Finding::stale(Section::File, message.clone())])
            }
            Fault::Untrusted => CliError::new(Exit::Untrusted, message),
            _ => CliError::new(Exit::Failed, message),
        },
    }
}
