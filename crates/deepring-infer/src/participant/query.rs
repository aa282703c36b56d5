//! One query at one host: its parts in the legs, what it passes on, and how it ends here.

mod closing;
mod copies;
mod reports;

use std::collections::BTreeMap;
use std::sync::Arc;

use deepring::receipt::{Chain, Opening, Salt, VerifiedPrefix};
use deepring::replication::{FailedCopy, LegOutcome, Settled};
use deepring::{Decision, Digest, Host, PublicKey};

use super::action::WorkId;
use super::host_message::LegEnd;
use super::leg_part::{Held, LegPart, Work};
use super::not_accepted::NotAccepted;
use super::order::order;
use super::passing::Passing;
use super::scene::{Ground, QueryKey, Scene};
use crate::error::RunError;
use crate::host::Computed;
use closing::Closing;

#[derive(Debug)]
pub(super) struct Query<'r> {
    pub(super) key: QueryKey,
    opening: Opening,
    opener: PublicKey<Host>,
    /// Who opened it is told how it ends.
    opened_here: bool,
    salt: Salt,
    /// The digest of each query's inputs, at a host that was given them.
    inputs: Option<Vec<Digest>>,
    pub(super) known: Option<VerifiedPrefix>,
    parts: Vec<Option<LegPart<'r>>>,
    passing: Vec<Passing>,
    closing: Option<Closing>,
    /// Closed by another host, before its outputs came here.
    elsewhere: Option<Decision>,
    /// The copies that failed, and who says so.
    told: Vec<(PublicKey<Host>, FailedCopy)>,
    /// Of each leg, how it ended for those that reported.
    ends: BTreeMap<usize, Vec<ReportedEnd>>,
    ends_at: u64,
    end: Option<QueryEnd>,
}

/// How a leg ended for a host that reported it.
#[derive(Debug)]
struct ReportedEnd {
    by: PublicKey<Host>,
    end: LegEnd,
    /// It says that a copy was not merely absent.
    contradicted: bool,
}

/// How a query ended for this host.
#[derive(Debug, Clone)]
pub(super) enum QueryEnd {
    /// Closed; the message that says so.
    Decided(Arc<[u8]>),
    /// Given up.
    Gone,
}

/// Verified tensors that enter a leg, with the chain before it.
#[derive(Debug, Clone)]
pub(super) struct Entering {
    pub(super) leg: usize,
    pub(super) chain: Chain,
    pub(super) prefix: VerifiedPrefix,
    pub(super) held: Held,
}

impl<'r> Query<'r> {
    pub(super) fn new(scene: &Scene<'_, 'r>, opening: &Opening, salt: Salt) -> Self {
        let opened_here = opening.host == scene.ground.me;
        let given = scene.ground.patience.query;
        // Who did not open it waits longer, so that it still stands in where that host is lost.
        let given = if opened_here { given } else { given.saturating_mul(2) };
        Self {
            key: key_of(opening),
            opening: opening.clone(),
            opener: opening.host,
            opened_here,
            salt,
            inputs: None,
            known: None,
            parts: scene.ground.deal.legs.iter().map(|_| None).collect(),
            passing: Vec::new(),
            closing: None,
            elsewhere: None,
            told: Vec::new(),
            ends: BTreeMap::new(),
            ends_at: scene.now.saturating_add(given),
            end: None,
        }
    }

    /// The digest of each query's inputs, of which a closing is made.
    pub(super) fn was_given_inputs(&mut self, inputs: Vec<Digest>) {
        self.inputs = Some(inputs);
    }

    /// Refuses a chain of another opening by the same host: it signed two for one query.
    pub(super) fn refuse_opening(&self, chain: &Chain) -> Result<(), NotAccepted> {
        match *chain.opening() == self.opening {
            true => Ok(()),
            false => Err(NotAccepted::Known),
        }
    }

    /// The end, once there is one.
    pub(super) fn end(&self) -> Option<&QueryEnd> {
        self.end.as_ref()
    }

    pub(super) fn into_end(self) -> Option<QueryEnd> {
        self.end
    }

    /// Bytes of tensors that it keeps, or will.
    pub(super) fn kept(&self, ground: &Ground<'_>) -> usize {
        let parts: usize = self.parts.iter().flatten().map(|part| part.kept(ground)).sum();
        parts + self.closing.as_ref().map_or(0, Closing::kept)
    }

    pub(super) fn part(&self, leg: usize) -> Option<&LegPart<'r>> {
        self.parts.get(leg).and_then(Option::as_ref)
    }

    fn part_mut(&mut self, leg: usize) -> Option<&mut LegPart<'r>> {
        self.parts.get_mut(leg).and_then(Option::as_mut)
    }

    /// Whether this host holds what enters a leg, on the chain of this head.
    pub(super) fn has_entered(&self, leg: usize, head: Digest) -> bool {
        self.part(leg).is_some_and(|part| part.head == head)
            || leg == self.parts.len() && self.closing.is_some()
            || leg == 0 && self.inputs.is_some() && self.part(0).is_none()
    }

    /// Whether a leg would begin with this chain, or begin anew.
    pub(super) fn would_enter(
        &self,
        ground: &Ground<'_>,
        leg: usize,
        chain: &Chain,
    ) -> Result<bool, NotAccepted> {
        let Some(part) = self.part(leg) else {
            return Ok(leg < self.parts.len() || self.closing.is_none());
        };
        let earlier = order(chain, &part.chain, ground.deal).is_lt();
        if part.settled.is_some() || !earlier {
            return Ok(false);
        }
        let limit = ground.bounds.chains;
        match part.chains < limit {
            true => Ok(true),
            false => Err(NotAccepted::Full { what: "chains by which one leg begins", limit }),
        }
    }

    /// Begins this host's part in what follows a chain: a leg, or the closing.
    pub(super) fn enter(
        &mut self,
        scene: &mut Scene<'_, 'r>,
        entering: Entering,
    ) -> Result<(), NotAccepted> {
        let Entering { leg, chain, prefix, held } = entering;
        if leg == self.parts.len() {
            self.known = Some(prefix);
            self.return_to_genesis(scene, chain, prefix, held);
            return Ok(());
        }
        let head = chain.head();
        let part = LegPart::new(scene, (self.key, leg), (chain, &prefix), (self.salt, held))?;
        self.known = Some(prefix);
        let (Some(new), Some(place)) = (part, self.parts.get_mut(leg)) else { return Ok(()) };
        match place {
            Some(part) => part.begin_anew(scene, new),
            None => *place = Some(new),
        }
        self.advance(scene, leg);
        for (from, bytes) in scene.shared.aside.take(self.key.0, head) {
            // What was put aside and is not looked at changes nothing now, either.
            let _ = self.leg_message(scene, &from, head, &bytes);
        }
        Ok(())
    }

    /// Does what follows from what a leg's machine knows now.
    pub(super) fn advance(&mut self, scene: &mut Scene<'_, 'r>, leg: usize) {
        let Some(part) = self.part_mut(leg) else { return };
        if !part.begin_work(scene) {
            let why = "a receipt was signed for this leg and chain before a restart".to_owned();
            self.cannot_compute(scene, leg, LegEnd::CannotCompute(why));
        }
        let Some(part) = self.part_mut(leg) else { return };
        part.want_outputs(scene);
        let outcome = match part.settled {
            Some(_) => None,
            None => part.machine.outcome(),
        };
        match outcome {
            Some(LegOutcome::Settled(settled)) => {
                let Settled { receipt, validations } = *settled;
                let mut chain = part.chain.clone();
                chain.extend_settled(receipt, validations);
                self.settled_with(scene, leg, chain);
            }
            Some(LegOutcome::Disputed) => part.disputed = true,
            None => {}
        }
        self.tell_ends(scene, leg);
        if let Some(part) = self.part_mut(leg) {
            part.watch(scene);
        }
    }

    /// SETTLE: the chain goes on with this leg. Enters what follows where this host has a part in it, and PASS_ON: the holder of the
    /// standing outputs that comes first in the deal's order, and after a further patience each the others.
    pub(super) fn settled_with(&mut self, scene: &mut Scene<'_, 'r>, leg: usize, chain: Chain) {
        let Some(part) = self.parts.get_mut(leg).and_then(Option::as_mut) else { return };
        let Some(last) = chain.legs().last() else { return };
        let Ok(verified) = chain.verify_after(scene.ground.outline, self.known.as_ref()) else {
            return;
        };
        let prefix = verified.prefix();
        let outputs = last.receipt().outputs;
        part.settled = Some(chain.clone());
        part.disputed = false;
        // Before the query may be closed: whoever is given the answer is told who failed in the last leg, too.
        self.tell_ends(scene, leg);
        let Some(part) = self.parts.get_mut(leg).and_then(Option::as_mut) else { return };
        let Some(held) = part.held(outputs) else { return };
        let failed = |host: &PublicKey<Host>| part.machine.named().iter().any(|n| n.host == *host);
        let stands_behind = |host: &PublicKey<Host>| {
            last.receipt().host == *host
                || last.validations().iter().any(|v| v.host == *host && v.outputs == outputs)
                || part.machine.came_to(host, outputs)
        };
        let holders: Vec<PublicKey<Host>> =
            part.hosts.iter().filter(|h| stands_behind(h) && !failed(h)).copied().collect();
        let me = scene.ground.me;
        let before = holders.iter().take_while(|host| **host != me).copied().collect();
        let after = (before, part.took());
        let mut lacking = scene.ground.entering(leg + 1);
        lacking.retain(|host| *host != me && !holders.contains(host));
        self.passing.retain(|passing| passing.leg != leg + 1);
        let passed = (chain.clone(), held.clone());
        self.passing.push(Passing::new(leg + 1, passed, lacking, after, scene.now));
        self.pass_on(scene);
        let next = scene.ground.entering(leg + 1).contains(&me);
        if next && self.would_enter(scene.ground, leg + 1, &chain).unwrap_or(false) {
            let entering = Entering { leg: leg + 1, chain, prefix, held };
            // It was verified right above, and this host has a part in it.
            let _ = self.enter(scene, entering);
        }
    }

    fn pass_on(&mut self, scene: &mut Scene<'_, 'r>) {
        let salt = self.salt;
        self.passing.iter_mut().for_each(|passing| passing.tick(scene, &salt));
    }

    /// The host that opened it gives the inputs to the copies of the first leg, and to the other hosts of Genesis.
    pub(super) fn give_inputs(&mut self, scene: &mut Scene<'_, 'r>, chain: Chain, held: Held) {
        let mut lacking = scene.ground.entering(0);
        lacking.retain(|host| *host != scene.ground.me);
        let after = (Vec::new(), 0);
        self.passing.push(Passing::new(0, (chain, held), lacking, after, scene.now));
        self.pass_on(scene);
    }

    /// A host says that it holds the tensors of this head.
    pub(super) fn holds(&mut self, host: &PublicKey<Host>, head: Digest) {
        self.passing.iter_mut().for_each(|passing| passing.holds(host, head));
        self.parts.iter_mut().flatten().filter(|p| p.head == head).for_each(|p| p.holds(host));
    }

    /// The result of computing a leg.
    pub(super) fn computed(
        &mut self,
        scene: &mut Scene<'_, 'r>,
        leg: usize,
        work: WorkId,
        result: Result<Computed, RunError>,
    ) {
        let Some(part) = self.part_mut(leg) else { return };
        let Work::Computing { work: due, since } = part.work else { return };
        if due != work {
            return;
        }
        match result {
            Ok(computed) => {
                part.computed(scene, since, computed);
                if matches!(part.work, Work::CannotCompute) {
                    let why = "no receipt can be signed".to_owned();
                    self.cannot_compute(scene, leg, LegEnd::CannotCompute(why));
                }
            }
            Err(error) => {
                part.work = Work::CannotCompute;
                self.cannot_compute(scene, leg, end_of(&error));
            }
        }
        self.advance(scene, leg);
    }

    /// The result of comparing another copy's outputs.
    pub(super) fn compared(
        &mut self,
        scene: &mut Scene<'_, 'r>,
        leg: usize,
        work: WorkId,
        result: Result<deepring::receipt::Agreement, RunError>,
    ) {
        let Some(part) = self.part_mut(leg) else { return };
        let Some(with) = part.compares_with(work) else { return };
        match result {
            Ok(agreement) => {
                let out = part.machine.compared(&with, agreement);
                part.say(scene, out);
            }
            Err(error) => {
                part.work = Work::CannotCompute;
                self.cannot_compute(scene, leg, end_of(&error));
            }
        }
        self.advance(scene, leg);
    }

    /// When something is due next.
    pub(super) fn wake_at(&self, ground: &Ground<'_>) -> u64 {
        let parts = self.parts.iter().flatten().filter_map(|part| part.wake_at(ground));
        let passing = self.passing.iter().filter_map(|passing| passing.wake_at(ground));
        let closing = self.closing_at();
        parts.chain(passing).chain(closing).fold(self.ends_at, u64::min)
    }

    /// ABSENT, PASS_ON, and the end of a query, as far as they are due.
    pub(super) fn tick(&mut self, scene: &mut Scene<'_, 'r>) {
        for leg in 0..self.parts.len() {
            let Some(part) = self.part_mut(leg) else { continue };
            let lost = part.tick(scene);
            for host in &lost {
                let out = part.machine.absent(host);
                part.say(scene, out);
            }
            if !lost.is_empty() {
                self.advance(scene, leg);
            }
        }
        self.pass_on(scene);
        self.close_if_due(scene);
        if self.end.is_none() && scene.now >= self.ends_at {
            self.give_up(scene);
        }
    }
}

/// How a leg ends that this host cannot compute.
fn end_of(error: &RunError) -> LegEnd {
    match error {
        RunError::Rejected(rejected) if !rejected.is_empty() => {
            let mut queries: Vec<u32> =
                rejected.iter().filter_map(|r| u32::try_from(r.query).ok()).collect();
            queries.sort_unstable();
            queries.dedup();
            let first = rejected.iter().min_by_key(|r| r.query);
            let why = first.map_or_else(String::new, |r| r.error.to_string());
            LegEnd::Rejected { queries, why }
        }
        other => LegEnd::CannotCompute(other.to_string()),
    }
}

/// The name of the query that an opening begins.
pub(super) fn key_of(opening: &Opening) -> QueryKey {
    (opening.query, *opening.host.as_bytes())
}
