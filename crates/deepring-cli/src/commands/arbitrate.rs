//! `deepring arbitrate`: which of two copies that contradict each other signed what the blocks do not give.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use deepring::files::read_plain;
use deepring::receipt::{Agreement, ComputedWith, ParcelError};
use deepring::replication::{Dispute, DisputeError, OpenedDispute};
use deepring::{AuthenticRing, Check, Host, SecretKey};
use deepring_infer::arbitration::{RuledClaim, Ruling};
use deepring_infer::{RingHost, Rten, RunError};
use serde_json::json;

use crate::cli::{ArbitrateArgs, MAX_THREADS, RequireArg};
use crate::error::{CliError, Exit};
use crate::output;
use crate::progress::Progress;
use crate::rings::{TrustPolicy, refuse_decision_of};
use crate::secrets::Secrets;

/// Most bytes of a dispute: what enters a leg, and what came out, of a batch.
const MAX_DISPUTE: u64 = 1 << 30;

pub(crate) fn arbitrate(args: &ArbitrateArgs, trust: Option<&Path>) -> Result<(), CliError> {
    let mut policy = TrustPolicy::new(&args.owner, trust)?;
    // About what was computed, whatever version is the newest now.
    let ring = policy.authenticate_any_version(&output::resolved_path(&args.ring)?)?;
    // But not what the thief of a key that its owner gave up can have made.
    refuse_decision_of(policy.store(), ring.outline(), RequireArg::None)?;
    let key = Secrets::of(&args.passphrase).key::<Host>(&args.key)?;
    let dispute = read(&args.dispute)?;
    let dispute = dispute.open(ring.outline(), &key).map_err(|e| refused(&e))?;
    let claims = dispute.claims();
    if let Some(party) = claims.iter().find(|claim| claim.host.signs_as(&key.public())) {
        let message = format!("{} is a party to this dispute", party.host.short());
        return Err(CliError::new(Exit::Untrusted, message)
            .hint("who rules on it is a host that signed none of the records"));
    }
    let stated = claims.first().map(|claim| usize::from(claim.computed_with.threads()));
    if args.threads.is_none()
        && let Some(stated) = stated.filter(|stated| *stated > MAX_THREADS)
    {
        let message = format!("the first record states {stated} threads");
        return Err(CliError::usage(message).hint("say with `--threads` how many this one has"));
    }
    let threads = args.threads.or(stated.and_then(NonZeroUsize::new));
    let ruling = rule(Arc::new(ring), key, &dispute, threads)?;
    if args.json {
        print_json(&dispute, &ruling)?;
    } else {
        print_text(&dispute, &ruling)?;
    }
    if ruling.is_decided() {
        return Ok(());
    }
    let with = claims.first().map(|claim| in_words(&claim.computed_with)).unwrap_or_default();
    Err(CliError::new(Exit::Failed, "this cannot be decided here: the records' outputs and this machine's differ as those of other engines do")
        .hint(format!("rule where the bits are those of a party: {with}")))
}

fn read(path: &Path) -> Result<Dispute, CliError> {
    let bytes = read_plain(path, MAX_DISPUTE)
        .map_err(|e| CliError::new(Exit::Failed, format!("{}: {e}", path.display())))?;
    Dispute::decode(&bytes).map_err(|e| {
        CliError::new(Exit::Tampered, format!("{} is not a dispute: {e}", path.display()))
    })
}

fn refused(error: &DisputeError) -> CliError {
    let refused = match error {
        DisputeError::Parcel(ParcelError::NotForThisHost) => {
            return CliError::new(Exit::Untrusted, "the dispute does not open with this key")
                .hint("give the key of the arbiter that the node's `[host] arbiter` names");
        }
        DisputeError::Parcel(e @ (ParcelError::Chain(_) | ParcelError::Refused(_))) => {
            CliError::from(RunError::from(e.clone()))
        }
        e => CliError::new(Exit::Tampered, e),
    };
    refused.hint("a dispute proves nothing of which a record or a tensor is not what was signed")
}

fn rule(
    ring: Arc<AuthenticRing>,
    key: SecretKey<Host>,
    dispute: &OpenedDispute,
    threads: Option<NonZeroUsize>,
) -> Result<Ruling, CliError> {
    let blocks = dispute.blocks();
    let headers = ring.headers().iter().filter(|header| blocks.contains(&header.index));
    let progress = Progress::bytes("opening", headers.map(|header| header.plain_len).sum());
    let engine = Arc::new(Rten::new(threads));
    let host = RingHost::open(ring, engine, key, blocks, Check::Run, &|n| progress.add(n))?;
    drop(progress);
    Ok(host.arbitrate(dispute)?)
}

fn print_json(dispute: &OpenedDispute, ruling: &Ruling) -> Result<(), CliError> {
    let receipt = dispute.evidence().receipt();
    let blocks = ruling.blocks();
    let claims = ruling.claims().iter().map(|RuledClaim { claim, agreement }| {
        json!({
            "host": claim.host,
            "outputs": claim.outputs,
            "computed_with": claim.computed_with,
            "compared": agreement,
        })
    });
    output::json(&json!({
        "ring": receipt.ring_digest,
        "query": receipt.query,
        "blocks": { "first": blocks.start, "last": blocks.end.saturating_sub(1) },
        "computed_with": ruling.computed_with(),
        "claims": claims.collect::<Vec<_>>(),
        "decided": ruling.is_decided(),
        "wrong": if ruling.is_decided() { ruling.wrong() } else { Vec::new() },
    }))
}

fn print_text(dispute: &OpenedDispute, ruling: &Ruling) -> Result<(), CliError> {
    let (query, blocks) = (dispute.evidence().receipt().query.to_hex(), ruling.blocks());
    let with = in_words(ruling.computed_with());
    let last = blocks.end.saturating_sub(1);
    output::line(format_args!(
        "query {query}, blocks {} to {last}, computed again with {with}",
        blocks.start
    ))?;
    for RuledClaim { claim, agreement } in ruling.claims() {
        let found = match agreement {
            Some(Agreement::Same) => "its outputs are what the blocks give".to_owned(),
            Some(Agreement::Near { largest, bound }) => format!(
                "its outputs are within the tolerance: {largest:e} apart, where {bound:e} is allowed"
            ),
            Some(Agreement::Differs { largest, bound }) if largest.is_finite() => format!(
                "its outputs are NOT what the blocks give: {largest:e} apart, where {bound:e} is allowed"
            ),
            Some(Agreement::Differs { .. }) => {
                "its outputs are NOT what the blocks give".to_owned()
            }
            None => format!(
                "cannot be told: it computed with {}, and its outputs are not in the dispute",
                in_words(&claim.computed_with)
            ),
        };
        output::line(format_args!("{}: {found}", claim.host.short()))?;
    }
    if !ruling.is_decided() {
        return Ok(());
    }
    match ruling.wrong().as_slice() {
        [] => output::line("ruling: none of them is wrong"),
        wrong => {
            for host in wrong {
                output::line(format_args!(
                    "ruling: {host} signed outputs that the blocks do not give"
                ))?;
            }
            output::note("the ring's owner takes it out with `deepring revoke host`");
            Ok(())
        }
    }
}

fn in_words(with: &ComputedWith) -> String {
    let threads = output::count(with.threads().into(), "thread", "threads");
    format!("{} on {}, {threads}", with.engine(), with.processor())
}
