//! The return of a query to Genesis: the host that opened the query closes it, or, where it does not, another after it.

use std::sync::Arc;

use deepring::Decision;
use deepring::receipt::{Chain, Item, Require, VerifiedPrefix, tensors_digest};

use super::super::action::{Action, Closed, WhyFailed};
use super::super::host_message::HostMessage;
use super::super::leg_part::Held;
use super::super::not_accepted::NotAccepted;
use super::super::scene::Scene;
use super::{Query, QueryEnd};

/// A whole chain with the outputs, at a host of Genesis.
#[derive(Debug)]
pub(super) struct Closing {
    chain: Chain,
    prefix: VerifiedPrefix,
    held: Held,
    at: u64,
}

impl Closing {
    pub(super) fn kept(&self) -> usize {
        self.held.len()
    }
}

impl<'r> Query<'r> {
    /// The whole chain is here. Who opened the query closes it at once; the others in the deal's order, each after a further
    /// patience.
    pub(super) fn return_to_genesis(
        &mut self,
        scene: &mut Scene<'_, 'r>,
        chain: Chain,
        prefix: VerifiedPrefix,
        held: Held,
    ) {
        let me = scene.ground.me;
        let others = scene.ground.deal.genesis.iter().filter(|host| **host != self.opener);
        let rank = match self.opened_here {
            true => 0,
            false => others.take_while(|host| **host != me).count() as u64 + 1,
        };
        // Also where one of them is cut off from here: who opened the query is to close it, if only it lives.
        let wait = rank.saturating_mul(scene.ground.patience.with_copy(0));
        let at = scene.now.saturating_add(wait);
        self.closing = Some(Closing { chain, prefix, held, at });
        self.close_if_due(scene);
    }

    /// When this host is to close the query.
    pub(super) fn closing_at(&self) -> Option<u64> {
        let able = self.inputs.is_some() && self.end.is_none();
        self.closing.as_ref().filter(|_| able).map(|closing| closing.at)
    }

    pub(super) fn close_if_due(&mut self, scene: &mut Scene<'_, 'r>) {
        if self.closing_at().is_some_and(|at| scene.now >= at) {
            self.close(scene);
        }
    }

    fn close(&mut self, scene: &mut Scene<'_, 'r>) {
        let (Some(closing), Some(inputs)) = (self.closing.take(), &self.inputs) else { return };
        let Closing { chain, prefix, held, .. } = closing;
        let outputs = held.batch.iter().map(|tensors| tensors_digest(&self.salt, tensors));
        let items: Vec<Item> =
            inputs.iter().zip(outputs).map(|(i, o)| Item { inputs: *i, outputs: o }).collect();
        let (outline, key) = (scene.ground.outline, &scene.ground.key);
        let known = Some(&prefix);
        let decision = Decision::close_after(chain.clone(), items, self.salt, outline, key, known);
        let decision = match decision {
            Ok(decision) => decision,
            Err(_) if !self.opened_here => return,
            Err(error) => return self.fail(scene, WhyFailed::CannotClose(error.to_string())),
        };
        let without = HostMessage::Decided(Box::new(decision.clone().without_salt()));
        let bytes: Arc<[u8]> = without.encode().into();
        let named = self.named(scene);
        let closed =
            Closed { query: self.key.0, decision, outputs: Arc::clone(&held.batch), named };
        scene.out.push(Action::Closed(Box::new(closed)));
        if !self.opened_here {
            // If that host was only slow, it has its answer, too.
            scene.send_parcel((&chain, &self.salt, &held.batch), &[self.opener]);
        }
        for host in scene.ground.others.clone() {
            scene.send_bytes(host, Arc::clone(&bytes));
        }
        self.end = Some(QueryEnd::Decided(bytes));
    }

    /// Another host closed the query: nothing is left to do, but that who opened it wants its outputs.
    pub(in super::super) fn was_decided(
        &mut self,
        scene: &mut Scene<'_, 'r>,
        decision: Decision,
    ) -> Result<(), NotAccepted> {
        decision.verify(scene.ground.outline, Require::AsDealt)?;
        match self.opened_here {
            true => {
                self.elsewhere.get_or_insert(decision);
            }
            false => {
                let bytes = HostMessage::Decided(Box::new(decision)).encode().into();
                self.end = Some(QueryEnd::Decided(bytes));
            }
        }
        Ok(())
    }

    /// The time that the query was given is over.
    pub(super) fn give_up(&mut self, scene: &mut Scene<'_, 'r>) {
        if !self.opened_here {
            self.end = Some(QueryEnd::Gone);
            return;
        }
        let why = match self.elsewhere.take() {
            Some(decision) => WhyFailed::ClosedElsewhere(Box::new(decision)),
            None => WhyFailed::OutOfPatience,
        };
        self.fail(scene, why);
    }
}
