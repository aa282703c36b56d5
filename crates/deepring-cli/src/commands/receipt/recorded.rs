//! A decision on a ledger, or in a proof from one: that it holds it, what it revokes, and what it knew before.

use deepring::trust::OwnedRing;
use deepring::{AuthenticRing, Decision, VerifiedDecision};
use deepring_ledger::certificate::CertificateError;
use deepring_ledger::proof::{ProofError, VerifiedInclusion};
use deepring_ledger::state::{Revocation, Revoked};
use deepring_ledger::{Proof, State};

use crate::cli::ReceiptVerify;
use crate::error::{CliError, Exit};
use crate::ledgers::{Voucher, Wanted, parse_key, read_key, read_shown, recorded_elsewhere};
use crate::rings::TrustPolicy;
use crate::witnesses::{RequiredWitnesses, Witnesses};

/// A decision's entry on a ledger.
pub(super) struct Recorded {
    pub(super) entry: u64,
    pub(super) voucher: Voucher,
    /// The first entry before it that records a newer version of the ring, and that version: the host went on with an
    /// old one. Only a ledger can tell, a proof cannot.
    pub(super) after: Option<(u64, u64)>,
    /// The first revocation after it, of the ring, its owner or a host. It takes nothing from what was decided before.
    pub(super) revoked_since: Option<Revocation>,
    /// Who cosigned the checkpoint that shows the entry, where `--witness-policy` asks for somebody.
    pub(super) witnesses: Witnesses,
}

/// The entry that `--ledger` or `--proof` shows; `None` where neither is given.
pub(super) fn recorded(
    args: &ReceiptVerify,
    ring: &AuthenticRing,
    (given, decision): (&Decision, &VerifiedDecision),
    policy: &mut TrustPolicy,
) -> Result<Option<Recorded>, CliError> {
    let key = args.ledger_key.as_deref();
    let required = RequiredWitnesses::of(args.witness_policy.as_deref())?;
    let (shown, voucher, after, revoked_since) = if let Some(dir) = &args.ledger {
        let vouched = Wanted { dir, key }.read(policy.store())?;
        vouched.holds(policy.store(), &ring.owned())?;
        let (ledger, voucher) = (&vouched.ledger, vouched.voucher);
        let found = ledger.find_decision(given)?;
        let state = ledger.state()?;
        // Whoever is revoked can record nothing that is found, so what is not found comes after every entry.
        let before = found.unwrap_or(u64::MAX);
        if let Some(revocation) = revocation(state, before, ring, decision) {
            let Revocation { what, entry, .. } = revocation;
            let message = format!("{} is revoked by entry {entry}", subject(&what));
            return Err(CliError::new(Exit::Untrusted, message).hint(
                "nothing shows that this was decided before; `deepring ledger show --ledger DIR` shows the entry and its reason",
            ));
        }
        let index = found.ok_or_else(|| {
            CliError::new(Exit::Tampered, "the ledger holds no entry of this decision").hint(
                "`deepring ledger verify` tells whether the ledger is whole; nothing but the receipt says that this was decided",
            )
        })?;
        let since = revocation(state, u64::MAX, ring, decision);
        let shown = ledger.prove(index)?.verify(ledger.key()).map_err(bad_proof)?;
        let after = ledger.upgraded_before(&ring.owned(), ring.model_version(), index)?;
        policy.remember_growth(&vouched);
        policy.learn(&vouched, &ring.owned());
        (shown, voucher, after, since)
    } else if let Some(path) = &args.proof {
        let pinned = key.map(read_key).transpose()?;
        let voucher = if pinned.is_some() { Voucher::Pinned } else { Voucher::Remembered };
        let text = read_shown(path)?;
        (check_proof(&text, pinned, &ring.owned(), policy)?, voucher, None, None)
    } else {
        return Ok(None);
    };
    shown.entry().records(decision, ring.outline()).map_err(|e| match e {
        CertificateError::OtherDeal { recorded, dealt } if recorded < dealt => {
            CliError::new(Exit::Stale, e).hint(
                "give the ring's revision under which it was decided; `deepring certificate make --ledger DIR` needs none",
            )
        }
        CertificateError::OtherDeal { .. } => CliError::new(Exit::Stale, e).hint(
            "get the ring's newest revision from its owner: who validates whom is said there",
        ),
        e => CliError::new(Exit::Tampered, e)
            .hint("`deepring ledger prove --receipt FILE` makes the proof of a decision"),
    })?;
    let witnesses = required.check(shown.checkpoint())?;
    Ok(Some(Recorded { entry: shown.index(), voucher, after, revoked_since, witnesses }))
}

/// The first revocation before an index of what decided: the ring, its owner, a host.
fn revocation(
    state: &State,
    before: u64,
    ring: &AuthenticRing,
    decision: &VerifiedDecision,
) -> Option<Revocation> {
    let hosts = decision.chain().signers().into_iter().chain([decision.closed_by()]);
    state.revoked_before(before, ring.outline(), hosts)
}

/// The subject of a revocation, in words.
pub(in crate::commands) fn subject(what: &Revoked) -> String {
    match what {
        Revoked::Host(host) => format!("host {}", host.short()),
        Revoked::Owner => "the owner".to_owned(),
        _ => "the ring".to_owned(),
    }
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

fn bad_proof(e: ProofError) -> CliError {
    CliError::new(Exit::Tampered, format!("proof: {e}"))
        .hint("ask for a new proof: `deepring ledger prove --receipt FILE`")
}
