//! Which host runs which leg: by the ring's deal, or whoever can go furthest without a hop.

use std::collections::BTreeSet;
use std::ops::Range;

use deepring::{AuthenticRing, Host, OpeningKey, PublicKey, SecretKey};

use super::Validate;
use crate::engine::Engine;
use crate::error::RunError;
use crate::host::RingHost;

/// A leg of blocks, and which of the session's hosts run it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leg {
    pub(super) blocks: Range<u32>,
    /// The first host of the session that runs it.
    pub(super) host: usize,
    /// The leg's copies in the deal's order, `None` for one whose key is not at hand; one host where nothing is dealt.
    pub(super) hosts: Vec<Option<usize>>,
}

/// The way of a query through the session's hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) legs: Vec<Leg>,
    /// The first of `genesis`.
    pub(super) opener: usize,
    /// The hosts that open and close queries, in the order in which they step in for each other.
    pub(super) genesis: Vec<usize>,
    /// True if copies validate each other.
    pub(super) dealt: bool,
}

/// A route by keys, before the hosts are opened.
#[derive(Debug)]
pub(super) struct Planned {
    legs: Vec<(Range<u32>, Vec<PublicKey<Host>>)>,
    genesis: Vec<PublicKey<Host>>,
    dealt: bool,
}

/// Plans the route of a ring's queries over the keys at hand.
///
/// # Errors
/// [`RunError::NoKey`] where some block is sealed for none of the keys; [`RunError::TooFewCopies`] where a dealt leg is to be
/// validated and only one of its copies is at hand.
pub(super) fn plan(
    ring: &AuthenticRing,
    keys: &[SecretKey<Host>],
    validation: Validate,
) -> Result<Planned, RunError> {
    let deal = ring.outline().deal().filter(|_| validation == Validate::AsDealt);
    let Some(deal) = deal else { return by_reach(ring, keys) };
    let at_hand = |host: &&PublicKey<Host>| keys.iter().any(|key| key.public() == **host);
    let name =
        |block: u32| ring.headers().get(block as usize).map(|h| h.name.clone()).unwrap_or_default();
    for leg in &deal.legs {
        match leg.hosts.iter().filter(at_hand).count() {
            0 => return Err(RunError::NoKey { block: leg.first, name: name(leg.first) }),
            1 => {
                let lacking = leg.hosts.iter().filter(|host| !at_hand(host));
                return Err(RunError::TooFewCopies {
                    block: leg.first,
                    name: name(leg.first),
                    lacking: lacking.map(PublicKey::short).collect::<Vec<_>>().join(" and "),
                });
            }
            _ => {}
        }
    }
    if !deal.genesis.iter().any(|host| at_hand(&host)) {
        return Err(RunError::NoKey { block: 0, name: name(0) });
    }
    let legs = deal.legs.iter().map(|leg| (leg.first..leg.end, leg.hosts.clone())).collect();
    Ok(Planned { legs, genesis: deal.genesis.clone(), dealt: true })
}

/// Which key runs which blocks: always the one that can go furthest without a hop.
fn by_reach(ring: &AuthenticRing, keys: &[SecretKey<Host>]) -> Result<Planned, RunError> {
    let count = u32::try_from(ring.layers().len()).map_or(u32::MAX, |n| n.saturating_add(1));
    let reach = |key: &SecretKey<Host>, from: u32| {
        let opens = |i: &u32| {
            ring.headers().get(*i as usize).is_some_and(|h| ring.is_for(h, OpeningKey::Host(key)))
        };
        from + u32::try_from((from..count).take_while(opens).count()).unwrap_or(0)
    };
    let mut legs: Vec<(Range<u32>, Vec<PublicKey<Host>>)> = Vec::new();
    let mut current: Option<usize> = None;
    let mut at = 1;
    while at < count {
        // Of equals, the one that runs already, so that no hop is made for nothing.
        let best = keys
            .iter()
            .enumerate()
            .map(|(k, key)| (reach(key, at), Some(k) == current, std::cmp::Reverse(k), key))
            .max_by_key(|(end, same, k, _)| (*end, *same, *k));
        match best {
            Some((end, _, std::cmp::Reverse(k), key)) if end > at => {
                legs.push((at..end, vec![key.public()]));
                (current, at) = (Some(k), end);
            }
            _ => {
                let name = ring.headers().get(at as usize).map(|h| h.name.clone());
                return Err(RunError::NoKey { block: at, name: name.unwrap_or_default() });
            }
        }
    }
    let genesis = legs.first().map(|(_, hosts)| hosts.clone()).unwrap_or_default();
    Ok(Planned { legs, genesis, dealt: false })
}

impl Planned {
    /// The blocks that a host runs, ascending; `None` for one that has no part in the route.
    pub(super) fn blocks_of(&self, host: &PublicKey<Host>) -> Option<BTreeSet<u32>> {
        let mine = self.legs.iter().filter(|(_, hosts)| hosts.contains(host));
        let blocks: BTreeSet<u32> = mine.flat_map(|(blocks, _)| blocks.clone()).collect();
        (!blocks.is_empty() || self.genesis.contains(host)).then_some(blocks)
    }

    /// The same route over opened hosts: whoever follows it finds a host for each leg, and for Genesis.
    ///
    /// # Errors
    /// [`RunError::NotLoaded`] where a leg or Genesis has none among them.
    pub(super) fn placed<E: Engine>(self, hosts: &[RingHost<E>]) -> Result<Route, RunError> {
        let place = |key: &PublicKey<Host>| hosts.iter().position(|host| host.public() == *key);
        let leg = |(blocks, copies): (Range<u32>, Vec<PublicKey<Host>>)| {
            let hosts: Vec<Option<usize>> = copies.iter().map(place).collect();
            let first = hosts.iter().flatten().next().copied();
            let host = first.ok_or(RunError::NotLoaded { block: blocks.start })?;
            Ok(Leg { blocks, host, hosts })
        };
        let legs = self.legs.into_iter().map(leg).collect::<Result<Vec<_>, RunError>>()?;
        let genesis: Vec<usize> = self.genesis.iter().filter_map(place).collect();
        let opener = genesis.first().copied().ok_or(RunError::NotLoaded { block: 0 })?;
        Ok(Route { legs, opener, genesis, dealt: self.dealt })
    }
}
