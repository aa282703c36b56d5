//! Comparing the live copies of blocks that several hosts hold, while nothing is computed.

use deepring::audit::Challenge;
use deepring::{Host, PublicKey};

use crate::engine::Engine;
use crate::error::RunError;
use crate::host::RingHost;

/// How the copies of one block compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockAudit {
    /// The block.
    pub block: u32,
    /// The hosts that hold it, in groups whose copies are equal; one group where all are. A block that one host holds is
    /// alone in its group: nothing was compared.
    pub groups: Vec<Vec<PublicKey<Host>>>,
}

impl BlockAudit {
    /// Returns whether two copies or more were compared.
    #[must_use]
    pub fn is_compared(&self) -> bool {
        self.groups.iter().map(Vec::len).sum::<usize>() > 1
    }

    /// Returns whether copies were compared and all are equal.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.is_compared() && self.groups.len() == 1
    }
}

/// Asks every host that holds one of these blocks about it, each with a nonce of its own, and each pair of copies both ways:
/// what the one answers in its name is what the other computes for it.
///
/// # Errors
/// [`RunError::NoRandomness`]; and as [`RingHost::audit`].
pub fn compare_copies<E: Engine>(
    hosts: &[&RingHost<E>],
    blocks: &[u32],
) -> Result<Vec<BlockAudit>, RunError> {
    blocks.iter().map(|block| compare(hosts, *block)).collect()
}

fn compare<E: Engine>(hosts: &[&RingHost<E>], block: u32) -> Result<BlockAudit, RunError> {
    let challenge = Challenge::fresh(&[block]).map_err(|_| RunError::NoRandomness)?;
    let mut groups: Vec<Vec<&RingHost<E>>> = Vec::new();
    for host in hosts.iter().filter(|host| host.holds(block)) {
        let mut equal = None;
        for (number, group) in groups.iter().enumerate() {
            let Some(first) = group.first() else { continue };
            if same(&challenge, host, first)? && same(&challenge, first, host)? {
                equal = Some(number);
                break;
            }
        }
        match equal.and_then(|number| groups.get_mut(number)) {
            Some(group) => group.push(host),
            None => groups.push(vec![host]),
        }
    }
    let named = |group: Vec<&RingHost<E>>| group.iter().map(|host| host.public()).collect();
    Ok(BlockAudit { block, groups: groups.into_iter().map(named).collect() })
}

/// Returns whether what a host answers is what another computes for it.
fn same<E: Engine>(
    challenge: &Challenge,
    asked: &RingHost<E>,
    other: &RingHost<E>,
) -> Result<bool, RunError> {
    let host = asked.public();
    Ok(asked.audit(challenge, &host)? == other.audit(challenge, &host)?)
}
