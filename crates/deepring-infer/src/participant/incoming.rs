//! Messages that another host sent: bounded, decoded, verified, and only then let in.

use std::collections::BTreeMap;
use std::sync::Arc;

use deepring::receipt::{Delivered, Parcel, tensors_digest};
use deepring::{Digest, Host, PublicKey};

use super::Participant;
use super::action::Action;
use super::host_message::HostMessage;
use super::leg_part::Held;
use super::not_accepted::NotAccepted;
use super::query::{Entering, Query, key_of};
use super::scene::{Ground, QueryKey, Scene};

impl<'r> Participant<'r> {
    pub(super) fn look_at(
        &mut self,
        now: u64,
        from: PublicKey<Host>,
        bytes: &[u8],
        out: &mut Vec<Action>,
    ) -> Result<(), NotAccepted> {
        let limit = self.max_message();
        if bytes.len() > limit {
            return Err(NotAccepted::TooLong { found: bytes.len(), limit });
        }
        let message = HostMessage::decode(bytes)?;
        // Who sends for a query that ended here did not hear of its end.
        let about = message.query();
        if of_id(&mut self.queries, about).next().is_none()
            && let Some(answer) = self.ended.answer(about)
        {
            let late = !matches!(
                message,
                HostMessage::Decided(_) | HostMessage::Settled(_) | HostMessage::Report(_)
            );
            if let Some(bytes) = answer.filter(|_| late) {
                out.push(Action::Send { to: from, bytes });
            }
            return Ok(());
        }
        let message = match message {
            HostMessage::Parcel(parcel) => return self.parcel(now, from, *parcel, out),
            other => other,
        };
        let (mut scene, queries) = self.scene(now, out);
        match message {
            HostMessage::Parcel(_) => Ok(()),
            HostMessage::Leg { query, head, bytes } => {
                put_in_leg(&mut scene, queries, from, (query, head), bytes)
            }
            HostMessage::Holds { query, head } => {
                of_id(queries, query).for_each(|query| query.holds(&from, head));
                Ok(())
            }
            HostMessage::Asks { query, head } => {
                of_id(queries, query).for_each(|query| query.was_asked(&mut scene, &from, head));
                Ok(())
            }
            HostMessage::Wants { query, receipt } => {
                of_id(queries, query).for_each(|query| query.show(&mut scene, &from, receipt));
                Ok(())
            }
            HostMessage::Outputs { query, receipt, tensors } => {
                let mut looked = Err(NotAccepted::NotAsked);
                for query in of_id(queries, query) {
                    if query.asked_for(&from, receipt) {
                        looked = query.was_shown(&mut scene, &from, receipt, &tensors);
                    }
                }
                looked
            }
            HostMessage::Report(report) => {
                let mut of_it = of_id(queries, report.query);
                of_it.try_for_each(|query| query.was_reported(&mut scene, from, report.clone()))
            }
            HostMessage::Settled(chain) => match queries.get_mut(&key_of(chain.opening())) {
                Some(query) => query.was_settled(&mut scene, *chain),
                None => Ok(()),
            },
            HostMessage::Decided(decision) => {
                match queries.get_mut(&key_of(decision.chain().opening())) {
                    Some(query) => query.was_decided(&mut scene, *decision),
                    None => Ok(()),
                }
            }
        }
    }

    /// Chain and tensors that enter a leg, or return to Genesis: the chain is verified before anything is opened, and nothing is
    /// opened that this host has or does not take.
    fn parcel(
        &mut self,
        now: u64,
        from: PublicKey<Host>,
        parcel: Parcel,
        out: &mut Vec<Action>,
    ) -> Result<(), NotAccepted> {
        let opening = parcel.chain().opening().clone();
        let (key, leg, head) =
            (key_of(&opening), parcel.chain().legs().len(), parcel.chain().head());
        let (ground, query) = (&self.ground, self.queries.get(&key));
        let cut = ground.sizes.cut(leg).ok_or(NotAccepted::OtherDeal)?;
        cut.refuse_body(parcel.tensors().body_len())?;
        if !ground.entering(leg).contains(&ground.me) {
            return Err(NotAccepted::NoPart { who: "this host" });
        }
        let holds = HostMessage::Holds { query: opening.query, head };
        if query.is_some_and(|query| query.has_entered(leg, head)) {
            self.scene(now, out).0.send(from, &holds);
            return Ok(());
        }
        if let Some(query) = query {
            query.refuse_opening(parcel.chain())?;
            self.verified(parcel.chain(), query.known.as_ref())?;
            if !query.would_enter(ground, leg, parcel.chain())? {
                let (mut scene, queries) = self.scene(now, out);
                scene.send(from, &holds);
                if let Some(query) = queries.get(&key) {
                    query.exchange(&mut scene, &from, leg);
                }
                return Ok(());
            }
        }
        let known = query.and_then(|query| query.known);
        self.verified(parcel.chain(), known.as_ref())?;
        let opened = parcel.open_after(ground.outline, &ground.key, known.as_ref())?;
        let Delivered { chain, prefix, salt, batch } = opened;
        cut.refuse_batch(&batch, ground.bounds.batch)?;
        let digest = chain.legs().last().map_or(opening.inputs, |leg| leg.receipt().outputs);
        let held = Held { digest, batch: Arc::new(batch) };
        admit(ground, &self.queries, &key, (leg, held.batch.len(), held.len()))?;
        let (mut scene, queries) = self.scene(now, out);
        let query = queries.entry(key).or_insert_with(|| Query::new(&scene, &opening, salt));
        if leg == 0 {
            let inputs = held.batch.iter().map(|t| tensors_digest(&salt, t)).collect();
            query.was_given_inputs(inputs);
        }
        let mut told = scene.ground.before(leg, opening.host);
        told.extend(scene.ground.leg(leg).into_iter().flat_map(|leg| &leg.hosts).copied());
        told.push(from);
        let mut once: Vec<PublicKey<Host>> = Vec::new();
        for host in told {
            if !once.contains(&host) {
                once.push(host);
                scene.send(host, &holds);
            }
        }
        // Of the first leg, a host of Genesis that is none of its copies needs the digests alone.
        let copy = scene.ground.leg(leg).is_none_or(|l| l.place_of(&scene.ground.me).is_some());
        match copy {
            true => query.enter(&mut scene, Entering { leg, chain, prefix, held }),
            false => Ok(()),
        }
    }
}

/// A message of another copy of a leg; put aside where the leg did not begin here, or not on this chain.
fn put_in_leg<'r>(
    scene: &mut Scene<'_, 'r>,
    queries: &mut BTreeMap<QueryKey, Query<'r>>,
    from: PublicKey<Host>,
    (id, head): (Digest, Digest),
    bytes: Vec<u8>,
) -> Result<(), NotAccepted> {
    let (found, limit) = (bytes.len(), scene.ground.sizes.record);
    if found > limit {
        return Err(NotAccepted::TooLong { found, limit });
    }
    match of_id(queries, id).find(|query| query.is_under_way(&from, head)) {
        Some(query) => query.leg_message(scene, &from, head, &bytes),
        None => {
            let limit = scene.ground.bounds.aside;
            scene.shared.aside.put(&from, (id, head), bytes, limit);
            Ok(())
        }
    }
}

/// Refuses what there is no room for: a further query, or more tensors.
pub(super) fn admit(
    ground: &Ground<'_>,
    queries: &BTreeMap<QueryKey, Query<'_>>,
    key: &QueryKey,
    (leg, batch, entering): (usize, usize, usize),
) -> Result<(), NotAccepted> {
    let bounds = &ground.bounds;
    let full = |what, limit| Err(NotAccepted::Full { what, limit });
    if !queries.contains_key(key) {
        if queries.len() >= bounds.queries {
            return full("queries at a time", bounds.queries);
        }
        let of_one = queries.keys().filter(|(_, opener)| *opener == key.1).count();
        if of_one >= bounds.queries_of_one {
            return full("queries that one host opened", bounds.queries_of_one);
        }
    }
    let leaving = ground.sizes.cut(leg + 1).map_or(0, |cut| cut.batch_len(batch, entering));
    let more = entering.saturating_add(leaving);
    let this = queries.get(key).map_or(0, |query| query.kept(ground));
    if this.saturating_add(more) > bounds.query_bytes {
        return full("bytes of tensors kept for one query", bounds.query_bytes);
    }
    let all: usize = queries.values().map(|query| query.kept(ground)).sum();
    match all.saturating_add(more) > bounds.all_bytes {
        true => full("bytes of tensors kept for all queries", bounds.all_bytes),
        false => Ok(()),
    }
}

/// The queries of an id, by whoever opened them.
fn of_id<'q, 'r>(
    queries: &'q mut BTreeMap<QueryKey, Query<'r>>,
    query: Digest,
) -> impl Iterator<Item = &'q mut Query<'r>> {
    queries.range_mut((query, [0; 64])..=(query, [0xff; 64])).map(|(_, query)| query)
}
