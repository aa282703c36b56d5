//! Rings of an owner who rotated: their files name an earlier key, and the ledger says whose they are.

use deepring::files::ResolvedPath;
use deepring::{AuthenticRing, Host, Owner, PublicKey, TrustStore};
use deepring_ledger::policy::Refusal;

use crate::error::{CliError, Exit};
use crate::ledgers::{VouchedLedger, Wanted};
use crate::rings::open_at;

/// The key that has signed the ring of an owner in this file: the owner's own, or an earlier one of which a ledger says that
/// it was rotated to it. Whether the file is a ring at all is said when it is verified.
pub(crate) fn signer_of(
    ledger: &Wanted<'_>,
    store: Option<&TrustStore>,
    way: &ResolvedPath,
    owner: PublicKey<Owner>,
) -> Result<PublicKey<Owner>, CliError> {
    let Ok(ring) = open_at(way) else { return Ok(owner) };
    let claimed = ring.claimed_owner();
    // Where there is no ledger, the file has to be of the very key.
    if claimed == owner || !ledger.dir.exists() {
        return Ok(owner);
    }
    let vouched = ledger.read(store)?;
    Ok(if vouched.ledger.state()?.present_key(&claimed) == owner { claimed } else { owner })
}

/// Refuses a ring whose next version, by this owner and for these hosts, a ledger would not take, or would not let be run. Gives
/// the ledger.
pub(crate) fn takes_the_next(
    ledger: &Wanted<'_>,
    store: Option<&TrustStore>,
    ring: &AuthenticRing,
    owner: &PublicKey<Owner>,
    hosts: impl IntoIterator<Item = PublicKey<Host>>,
) -> Result<VouchedLedger, CliError> {
    let vouched = ledger.read(store)?;
    vouched.holds(store, &ring.owned())?;
    let state = vouched.ledger.state()?;
    let id = ring.ring_id();
    let newest = state.newest(&id).ok_or(Refusal::NotRegistered)?;
    if state.owner_of(&id) != Some(*owner) {
        let message = format!("by the ledger, ring {id} is not owner {}'s", owner.short());
        return Err(CliError::new(Exit::Untrusted, message)
            .hint("give the key to which the ring's owner rotated"));
    }
    state.admit_next(&id, owner, hosts)?;
    if newest.ring_digest() != ring.digest() {
        let (version, known) = (ring.model_version(), newest.model_version());
        let message = format!(
            "this version {version} is not the version {known} of the ring that the ledger knows as the newest"
        );
        return Err(CliError::new(Exit::Stale, message).hint("the next version follows that one"));
    }
    Ok(vouched)
}
