//! Messages of the other copies of a leg: their part in its machine, outputs asked for and shown, and how it was settled.

use std::sync::Arc;

use deepring::receipt::{Chain, ParcelError, SealedTensors, Validation};
use deepring::replication::MessageError;
use deepring::{Digest, Host, PublicKey};

use super::super::host_message::HostMessage;
use super::super::leg_part::{Held, LegPart};
use super::super::not_accepted::NotAccepted;
use super::super::scene::Scene;
use super::Query;

impl<'r> Query<'r> {
    /// Whether a leg with this head is under way here, with the sender among its copies.
    pub(in super::super) fn is_under_way(&self, from: &PublicKey<Host>, head: Digest) -> bool {
        self.parts.iter().flatten().any(|p| p.head == head && p.place_of(from).is_some())
    }

    /// A message of another copy of a leg that [is under way](Self::is_under_way).
    pub(in super::super) fn leg_message(
        &mut self,
        scene: &mut Scene<'_, 'r>,
        from: &PublicKey<Host>,
        head: Digest,
        bytes: &[u8],
    ) -> Result<(), NotAccepted> {
        let found = self.parts.iter_mut().flatten().find(|part| part.head == head);
        let part = found.ok_or(NotAccepted::NoPart { who: "this host" })?;
        let place = part.place_of(from).ok_or(NotAccepted::NoPart { who: "the sender" })?;
        match part.machine.receive(from, bytes) {
            Ok(out) => {
                part.heard_from(scene.now, place);
                part.say(scene, out);
                let leg = part.leg;
                self.advance(scene, leg);
                Ok(())
            }
            // It says again what it said, as this host does where it waits.
            Err(MessageError::TooLate) => Ok(()),
            Err(refused) => Err(NotAccepted::Leg(refused)),
        }
    }

    /// Another copy of a leg waits for this host.
    pub(in super::super) fn was_asked(
        &mut self,
        scene: &mut Scene<'_, 'r>,
        from: &PublicKey<Host>,
        head: Digest,
    ) {
        for part in self.parts.iter_mut().flatten().filter(|part| part.head == head) {
            if let Some(place) = part.place_of(from) {
                part.answer(scene, place);
            }
        }
    }

    /// Whether this host asked for the outputs that another copy's receipt names.
    pub(in super::super) fn asked_for(&self, from: &PublicKey<Host>, receipt: Digest) -> bool {
        self.parts.iter().flatten().any(|part| part.asked_for(from, receipt).is_some())
    }

    /// The outputs that another copy's receipt names, asked for to be compared.
    pub(in super::super) fn was_shown(
        &mut self,
        scene: &mut Scene<'_, 'r>,
        from: &PublicKey<Host>,
        receipt: Digest,
        tensors: &SealedTensors,
    ) -> Result<(), NotAccepted> {
        let asked = |part: &&mut LegPart<'r>| part.asked_for(from, receipt).is_some();
        let part = self.parts.iter_mut().flatten().find(asked).ok_or(NotAccepted::NotAsked)?;
        let outputs = part.asked_for(from, receipt).ok_or(NotAccepted::NotAsked)?;
        let cut = scene.ground.sizes.cut(part.leg + 1).ok_or(NotAccepted::NotAsked)?;
        cut.refuse_body(tensors.body_len())?;
        let (salt, batch) = tensors.open(receipt, outputs, &scene.ground.key)?;
        if salt != self.salt {
            return Err(ParcelError::OtherTensors.into());
        }
        cut.refuse_batch(&batch, scene.ground.bounds.batch)?;
        let leg = part.leg;
        part.was_shown(scene, Held { digest: outputs, batch: Arc::new(batch) });
        self.advance(scene, leg);
        Ok(())
    }

    /// Another copy asks for this host's outputs.
    pub(in super::super) fn show(
        &mut self,
        scene: &mut Scene<'_, 'r>,
        from: &PublicKey<Host>,
        receipt: Digest,
    ) {
        for part in self.parts.iter_mut().flatten() {
            if let Some(place) = part.place_of(from) {
                part.show(scene, place, receipt);
            }
        }
    }

    /// Another copy shows that a leg is settled. As in the leg's machine, a validation counts only of a copy that this one knows to
    /// have come to its outputs: who signed what it saw has no voice among the copies of its leg. What settled all the
    /// same, without this host or on another chain, ends its waiting.
    pub(in super::super) fn was_settled(
        &mut self,
        scene: &mut Scene<'_, 'r>,
        chain: Chain,
    ) -> Result<(), NotAccepted> {
        let Some(leg) = chain.legs().len().checked_sub(1) else { return Ok(()) };
        let open = |part: &LegPart<'r>| part.settled.is_none() && part.machine.has_computed();
        if !self.part(leg).is_some_and(open) {
            return Ok(());
        }
        self.refuse_opening(&chain)?;
        chain.verify_after(scene.ground.outline, self.known.as_ref())?;
        let me = scene.ground.me;
        let (Some(part), Some(last)) = (self.part_mut(leg), chain.legs().last()) else {
            return Ok(());
        };
        let same_chain = last.receipt().previous == part.head;
        let counts = |v: &Validation| v.host == me || part.machine.came_to(&v.host, v.outputs);
        if same_chain && last.validations().iter().any(counts) {
            self.settled_with(scene, leg, chain);
        } else {
            let without =
                last.receipt().host != me && last.validations().iter().any(|v| v.host != me);
            part.overtaken |= without || !same_chain;
        }
        self.advance(scene, leg);
        Ok(())
    }

    /// Answers a parcel on a chain with which the leg does not begin anew: with this host's own chain, or, once the leg is settled,
    /// with how it is.
    pub(in super::super) fn exchange(
        &self,
        scene: &mut Scene<'_, 'r>,
        from: &PublicKey<Host>,
        leg: usize,
    ) {
        let Some(part) = self.part(leg).filter(|part| part.place_of(from).is_some()) else {
            return;
        };
        match &part.settled {
            Some(chain) => scene.send(*from, &HostMessage::Settled(Box::new(chain.clone()))),
            None => part.give(scene, *from),
        }
    }
}
