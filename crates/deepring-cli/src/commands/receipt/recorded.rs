//! What a ledger, or a proof from one, says of a decision: that it holds it, what it revokes, and what it knew before.

use deepring::{AuthenticRing, OwnedRing, VerifiedDecision};
use deepring_ledger::{Event, KeyError, Ledger, Proof, ProofError, VerifiedInclusion, VerifierKey};

use crate::cli::ReceiptVerify;
use crate::error::{CliError, Exit};
use crate::ledgers::{Voucher, Wanted, read_key, read_shown, recorded_elsewhere};
use crate::rings::Trusting;

/// A decision's entry on a ledger.
pub(super) struct Recorded {
    pub(super) entry: u64,
    pub(super) voucher: Voucher,
    /// The first entry before it that records a newer version of the ring, and that version: the host went on with an
    /// old one. Only a ledger can tell, a proof cannot.
    pub(super) after: Option<(u64, u64)>,
}

/// The entry that `--ledger` or `--proof` shows; `None` where neither is given.
pub(super) fn recorded(
    args: &ReceiptVerify,
    ring: &AuthenticRing,
    decision: &VerifiedDecision,
    trusting: &mut Trusting,
) -> Result<Option<Recorded>, CliError> {
    let key = args.ledger_key.as_deref();
    let (shown, voucher, after) = if let Some(dir) = &args.ledger {
        let held = Wanted { dir, key }.read(trusting.store())?;
        held.holds(trusting.store(), &ring.owned())?;
        let (ledger, voucher) = (held.ledger, held.voucher);
        if let Some(revoked) = revoked(&ledger, ring, decision)? {
            return Err(CliError::new(Exit::Untrusted, revoked)
                .hint("`deepring ledger show --ledger DIR` shows the entry and its reason"));
        }
        let index = ledger.find_decision(&decision.id.0)?.ok_or_else(|| {
            CliError::new(Exit::Tampered, "the ledger holds no entry of this decision").hint(
                "`deepring ledger verify` tells whether the ledger is whole; nothing but the receipt says that this was decided",
            )
        })?;
        let shown = ledger.prove(index)?.verify(ledger.key()).map_err(bad_proof)?;
        let after = upgraded_before(&ledger, &ring.owned(), ring.model_version(), index)?;
        trusting.remember_growth(&ledger);
        (shown, voucher, after)
    } else if let Some(path) = &args.proof {
        let pinned = key.map(read_key).transpose()?;
        let voucher = if pinned.is_some() { Voucher::Pinned } else { Voucher::Remembered };
        let text = read_shown(path)?;
        (check_proof(&text, pinned, &ring.owned(), trusting)?, voucher, None)
    } else {
        return Ok(None);
    };
    match &shown.entry().event {
        Event::Decisions { decision_id, .. } if *decision_id == decision.id.0 => {}
        _ => {
            let message = "the proof is about another entry than this decision's";
            return Err(CliError::new(Exit::Tampered, message)
                .hint("`deepring ledger prove --receipt FILE` makes the proof of a decision"));
        }
    }
    Ok(Some(Recorded { entry: shown.index(), voucher, after }))
}

/// Says what of the decision the ledger revokes: the ring, its owner, a host.
fn revoked(
    ledger: &Ledger,
    ring: &AuthenticRing,
    decision: &VerifiedDecision,
) -> Result<Option<String>, CliError> {
    if let Some(entry) = ledger.ring_revocation(&decision.ring_digest.0)? {
        return Ok(Some(format!("the ring is revoked by entry {entry}")));
    }
    if let Some(entry) = ledger.key_revocation(ring.owner().as_bytes())? {
        return Ok(Some(format!("the owner is revoked by entry {entry}")));
    }
    let opening = std::iter::once(decision.chain.opening().host);
    for host in opening.chain(decision.chain.receipts().iter().map(|r| r.host)) {
        if let Some(entry) = ledger.key_revocation(host.as_bytes())? {
            return Ok(Some(format!("host {} is revoked by entry {entry}", host.short())));
        }
    }
    Ok(None)
}

/// The first entry before `index` in which the ring's owner has a newer version of it, and that version.
fn upgraded_before(
    ledger: &Ledger,
    ring: &OwnedRing,
    decided_by: u64,
    index: u64,
) -> Result<Option<(u64, u64)>, CliError> {
    let newer = |event: &Event| match event {
        Event::RingRegistered { owner, model_version, .. }
        | Event::RingUpgraded { owner, model_version, .. }
            if owner == ring.owner.as_bytes() && *model_version > decided_by =>
        {
            Some(*model_version)
        }
        _ => None,
    };
    let about = ledger.about_ring(&ring.ring.0)?;
    let mut before = about.iter().take_while(|(at, _)| *at < index);
    Ok(before.find_map(|(at, entry)| Some((*at, newer(&entry.event)?))))
}

/// Verifies a proof under the pinned key, or under one that is remembered for the ledger that it names.
fn check_proof(
    text: &str,
    pinned: Option<String>,
    ring: &OwnedRing,
    trusting: &Trusting,
) -> Result<VerifiedInclusion, CliError> {
    let proof = Proof::parse(text).map_err(bad_proof)?;
    let origin = proof.claimed_origin();
    if let Some(pinned) = pinned {
        return proof.verify(&parse_key(&pinned)?).map_err(bad_proof);
    }
    let known = trusting.store().map(|store| store.ledgers_named(origin)).unwrap_or_default();
    let unknown =
        CliError::new(Exit::Untrusted, format!("the key of ledger {origin} is not known"))
            .hint("give the ledger's public key with `--ledger-key LEDGER/log.pub`");
    let mut refused = unknown;
    for key in known {
        match proof.verify(&parse_key(key)?) {
            Ok(shown) => {
                if let Some(store) = trusting.store() {
                    recorded_elsewhere(store, ring, Some(key))?;
                }
                return Ok(shown);
            }
            Err(e) => refused = bad_proof(e),
        }
    }
    Err(refused)
}

fn parse_key(text: &str) -> Result<VerifierKey, CliError> {
    VerifierKey::parse(text).map_err(|e| {
        let exit = if e == KeyError::Weak { Exit::Untrusted } else { Exit::Failed };
        CliError::new(exit, format!("the ledger's key: {e}"))
            .hint("get the ledger's public key (log.pub) from whoever keeps it")
    })
}

fn bad_proof(e: ProofError) -> CliError {
    CliError::new(Exit::Tampered, format!("proof: {e}"))
        .hint("ask for a new proof: `deepring ledger prove --receipt FILE`")
}
