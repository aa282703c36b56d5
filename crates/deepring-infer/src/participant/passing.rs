//! PASS_ON: chain and tensors on their way to the hosts that go on with them, until each has said that it holds them.

use deepring::receipt::{Chain, Salt};
use deepring::{Host, PublicKey};

use super::leg_part::Held;
use super::scene::{Ground, Scene};

/// Most times that a host is given the same.
const MAX_TRIES: u32 = 8;

#[derive(Debug)]
pub(super) struct Passing {
    /// The leg that it enters; the number of legs for what returns to Genesis.
    pub(super) leg: usize,
    chain: Chain,
    held: Held,
    /// The hosts that lack it, as far as is known.
    lacking: Vec<PublicKey<Host>>,
    /// The hosts that are to pass it on before this one, and for how long this one computed.
    after: (Vec<PublicKey<Host>>, u64),
    /// When it was last sent, and before the first time since when it is held.
    since: u64,
    tries: u32,
}

impl Passing {
    pub(super) fn new(
        leg: usize,
        (chain, held): (Chain, Held),
        lacking: Vec<PublicKey<Host>>,
        after: (Vec<PublicKey<Host>>, u64),
        since: u64,
    ) -> Self {
        Self { leg, chain, held, lacking, after, since, tries: 0 }
    }

    /// A host says that it holds the tensors that this record names.
    pub(super) fn holds(&mut self, host: &PublicKey<Host>, head: deepring::Digest) {
        if self.chain.head() == head {
            self.lacking.retain(|lacking| lacking != host);
        }
    }

    pub(super) fn wake_at(&self, ground: &Ground<'_>) -> Option<u64> {
        let (after, took) = &self.after;
        let at = match self.tries.checked_sub(1) {
            Some(again) => self.since.saturating_add(ground.patience.repeat(again)),
            None => ground.waits_for_all_until(after, self.since, *took),
        };
        (!self.lacking.is_empty() && self.tries < MAX_TRIES).then_some(at)
    }

    pub(super) fn tick(&mut self, scene: &mut Scene<'_, '_>, salt: &Salt) {
        if self.wake_at(scene.ground).is_none_or(|at| scene.now < at) {
            return;
        }
        scene.send_parcel((&self.chain, salt, &self.held.batch), &self.lacking);
        self.since = scene.now;
        self.tries += 1;
    }
}
