//! The channels of the network that validators meet in.

use commonware_runtime::Quota;
use commonware_utils::NZU32;

/// The network's channels, each a sender and a receiver.
#[derive(Debug)]
pub struct ValidatorChannels<S, R> {
    /// The engine's votes.
    pub votes: (S, R),
    /// The engine's certificates.
    pub certificates: (S, R),
    /// Certificates that are asked for.
    pub fetch: (S, R),
    /// Dockets as they are proposed.
    pub dockets: (S, R),
    /// Dockets that are asked for.
    pub backfill: (S, R),
    /// Submissions.
    pub submissions: (S, R),
    /// Cosignatures of checkpoints.
    pub cosignatures: (S, R),
}

/// The channels' numbers, in the order of [`ValidatorChannels`], and how many messages a second each takes of a
/// peer. Quotas decide how much memory the network's mailboxes reserve.
#[must_use]
pub fn channels() -> [(u64, Quota); 7] {
    let quota = |n: u32| Quota::per_second(std::num::NonZeroU32::new(n).unwrap_or(NZU32!(1)));
    [
        (0, quota(256)),
        (1, quota(256)),
        (2, quota(64)),
        (3, quota(64)),
        (4, quota(64)),
        (5, quota(128)),
        (6, quota(32)),
    ]
}
