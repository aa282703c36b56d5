//! `deepring grant`: another host may open blocks.

use std::path::{Path, PathBuf};

use deepring::files::{ResolvedPath, Turn};
use deepring::{AuthenticRing, Host, Owner, PublicKey, RingError, SecretKey, Verdict};

use super::seal::parse_host;
use crate::cli::Grant;
use crate::error::CliError;
use crate::ledgers::Wanted;
use crate::output;
use crate::rings::{self, TrustPolicy};
use crate::secrets::Secrets;

pub(crate) fn grant(args: &Grant, trust: Option<&Path>) -> Result<(), CliError> {
    let owner = Secrets::of(&args.passphrase).key::<Owner>(&args.owner_key)?;
    let (blocks, host, host_file) = parse_host(&args.host)?;
    // Each path is walked once: who turns a link meanwhile must not have another file read, locked, bound or written. A link
    // stays one: what it leads to is rewritten.
    let read = output::resolved_path(&args.ring)?;
    let other = args.output.as_deref().map(output::resolved_path).transpose()?;
    let target = other.as_ref().unwrap_or(&read);
    let kept = rings::store_files(trust);
    let read_too = kept.iter().map(PathBuf::as_path);
    output::keep_at(target, [args.owner_key.as_path(), host_file].into_iter().chain(read_too))?;
    let elsewhere = !output::is_one_place(target, &read)?;
    let _turns = rings::turns(&read, target)?;
    // Begun before anything is asked about what lies there: another file that is put there meanwhile stays.
    let file = output::begun_behind(target)?;
    // What is put there is bound before another command's turn comes.
    let _turn_of_the_new = Turn::of_new(&file);
    let mut policy = TrustPolicy::of(owner.public(), trust)?.binding();
    let ring = policy.verify_to_use(&read).map_err(|e| not_the_owner(e, &read, &owner))?;
    policy.belongs(target, ring.owned())?;
    if let Some(ledger) = Wanted::of(args.ledger.as_deref(), args.ledger_key.as_deref()) {
        let vouched = ledger.admits(policy.store(), &ring, [host])?;
        policy.remember_growth(&vouched);
    }
    let indices = blocks.indices(ring.last_to_grant());
    if elsewhere {
        let next = (ring.model_version(), ring.revision().saturating_add(1));
        rings::spare_newer(target, &ring, next)?;
    }
    let granted = deepring::maintenance::grant_in(file, &ring, &owner, &host, indices.as_deref())?;
    // Only now: a grant that is refused binds nothing.
    policy.put_to_use(&read, &ring);
    if granted > 0 && elsewhere {
        // What was written elsewhere is bound there, too. It is this very ring, with one host more.
        policy.put_to_use(target, &ring);
    }
    let blocks = not_dealt(&ring, &host, indices.as_deref());
    if !blocks.is_empty() {
        let list = blocks.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
        output::note(format_args!(
            "note: the ring is dealt, and its deal gives blocks {list} to other hosts: {} opens them and computes none of them for the deal; \
             it runs them alone and unvalidated, where `run --require none` asks for that. To have it compute them, deal the ring anew: `deepring deal`",
            host.short()
        ));
    }
    match granted {
        0 if elsewhere => output::line(format_args!(
            "nothing to do: the host can open these blocks already; {} is not written",
            target.given().display()
        )),
        0 => output::line("nothing to do: the host can open these blocks already"),
        n => {
            output::line(format_args!("granted {n} blocks (Genesis included) to {}", host.short()))
        }
    }
}

/// The blocks among these (all, if `None`) that the ring's deal gives to others than this host. None, where it is not dealt.
fn not_dealt(ring: &AuthenticRing, host: &PublicKey<Host>, blocks: Option<&[u32]>) -> Vec<u32> {
    let Some(deal) = ring.outline().deal() else { return Vec::new() };
    let others = deal.legs.iter().filter(|leg| leg.place_of(host).is_none());
    let granted = |block: &u32| blocks.is_none_or(|blocks| blocks.contains(block));
    others.flat_map(|leg| leg.first..leg.end).filter(granted).collect()
}

/// Whom this command trusts is whoever's secret key it was given.
pub(super) fn not_the_owner(e: RingError, ring: &ResolvedPath, key: &SecretKey<Owner>) -> CliError {
    let claimed = || rings::open_at(ring).map(|ring| ring.claimed_owner());
    match &e {
        RingError::Refused(report)
            if report.verdict == Verdict::Untrusted
                && claimed().is_ok_and(|owner| owner != key.public()) =>
        {
            deepring::maintenance::GrantError::NotTheOwner.into()
        }
        _ => e.into(),
    }
}
