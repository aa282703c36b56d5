//! A decision on a ledger, or in a proof from one: that it holds it, what it revokes, and what it knew before.

use deepring::trust::OwnedRing;
use deepring::{AuthenticRing, VerifiedDecision};
use deepring_ledger::{
    KeyError, Ledger, Proof, ProofError, Revocation, Revoked, VerifiedInclusion, VerifierKey,
};

use crate::cli::ReceiptVerify;
use crate::error::{CliError, Exit};
use crate::ledgers::{Voucher, Wanted, read_key, read_shown, recorded_elsewhere};
use crate::rings::TrustPolicy;

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
    policy: &mut TrustPolicy,
) -> Result<Option<Recorded>, CliError> {
    let key = args.ledger_key.as_deref();
    let (shown, voucher, after) = if let Some(dir) = &args.ledger {
        let vouched = Wanted { dir, key }.read(policy.store())?;
        vouched.holds(policy.store(), &ring.owned())?;
        let (ledger, voucher) = (vouched.ledger, vouched.voucher);
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
        let after = ledger.upgraded_before(&ring.owned(), ring.model_version(), index)?;
        policy.remember_growth(&ledger);
        (shown, voucher, after)
    } else if let Some(path) = &args.proof {
        let pinned = key.map(read_key).transpose()?;
        let voucher = if pinned.is_some() { Voucher::Pinned } else { Voucher::Remembered };
        let text = read_shown(path)?;
        (check_proof(&text, pinned, &ring.owned(), policy)?, voucher, None)
    } else {
        return Ok(None);
    };
    if shown.entry().decision() != Some(decision.id.0) {
        let message = "the proof is about another entry than this decision's";
        return Err(CliError::new(Exit::Tampered, message)
            .hint("`deepring ledger prove --receipt FILE` makes the proof of a decision"));
    }
    Ok(Some(Recorded { entry: shown.index(), voucher, after }))
}

/// Says what of the decision the ledger revokes: the ring, its owner, a host.
fn revoked(
    ledger: &Ledger,
    ring: &AuthenticRing,
    decision: &VerifiedDecision,
) -> Result<Option<String>, CliError> {
    let opening = std::iter::once(decision.chain.opening().host);
    let hosts = opening.chain(decision.chain.receipts().map(|r| r.host));
    let found = ledger.revocation(&decision.ring_digest, &ring.owner(), hosts)?;
    Ok(found.map(|Revocation { what, entry, .. }| match what {
        Revoked::Host(host) => format!("host {} is revoked by entry {entry}", host.short()),
        Revoked::Owner => format!("the owner is revoked by entry {entry}"),
        _ => format!("the ring is revoked by entry {entry}"),
    }))
}

/// Verifies a proof under the pinned key, or under one that is remembered for the ledger that it names.
fn check_proof(
    text: &str,
    pinned: Option<String>,
    ring: &OwnedRing,
    policy: &TrustPolicy,
) -> Result<VerifiedInclusion, CliError> {
    let proof = Proof::parse(text).map_err(bad_proof)?;
    let origin = proof.claimed_origin();
    if let Some(pinned) = pinned {
        return proof.verify(&parse_key(&pinned)?).map_err(bad_proof);
    }
    let known = policy.store().map(|store| store.ledgers_named(origin)).unwrap_or_default();
    let unknown =
        CliError::new(Exit::Untrusted, format!("the key of ledger {origin} is not known"))
            .hint("give the ledger's public key with `--ledger-key LEDGER/log.pub`");
    let mut refused = unknown;
    for key in known {
        match proof.verify(&parse_key(key)?) {
            Ok(shown) => {
                if let Some(store) = policy.store() {
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
