//! A query around the ring where nobody validates: leg after leg, each by one host.

use std::time::Instant;

use deepring::TensorValue;
use deepring::receipt::{
    Chain, Item, Parcel, ParcelError, QueryStart, Salt, VerifiedPrefix, batch_digest,
    tensors_digest,
};

use super::{RunOutcome, Session, now_ms};
use crate::engine::Engine;
use crate::error::RunError;
use crate::host::{RingHost, Timings};

impl<E: Engine> Session<E> {
    /// Answers a batch whose inputs were checked, unvalidated.
    pub(super) fn answer_alone(
        &self,
        batch: Vec<Vec<TensorValue>>,
    ) -> Result<RunOutcome, RunError> {
        let opener = self.route.opener;
        let first = self.host(opener)?;
        let mut timings = Timings::default();
        let clock = Instant::now();
        let start = self.start()?;
        let salt = start.salt;
        let input_digests: Vec<_> = batch.iter().map(|t| tensors_digest(&salt, t)).collect();
        let mut chain = first.begin_on(batch_digest(&input_digests), &start, false)?;
        timings.receipt += clock.elapsed();
        let mut current = batch;
        let mut output_digests = Vec::new();
        let mut known: Vec<Option<VerifiedPrefix>> = vec![None; self.hosts.len()];
        let mut at = opener;
        for leg in &self.route.legs {
            let host = self.host(leg.host)?;
            if at != leg.host {
                let clock = Instant::now();
                at = leg.host;
                (chain, current) = transfer(chain, &salt, &current, host, known.get_mut(at))?;
                timings.receipt += clock.elapsed();
            }
            let computed = host.compute(&salt, &current, leg.blocks.clone())?;
            timings += computed.timings;
            let clock = Instant::now();
            chain.extend(host.key(), computed.result);
            timings.receipt += clock.elapsed();
            (current, output_digests) = (computed.outputs, computed.digests);
        }
        let clock = Instant::now();
        if at != opener {
            // The answer is Genesis' to give, and its host believes the last one no more than any other.
            let known = known.get_mut(opener);
            (chain, current) = transfer(chain, &salt, &current, first, known)?;
        }
        // A parcel is opened only if its tensors are those of the last receipt, so these digests stand.
        let pairs = input_digests.into_iter().zip(output_digests);
        let items = pairs.map(|(inputs, outputs)| Item { inputs, outputs }).collect();
        let known = known.get(opener).copied().flatten();
        let decision = first.close(chain, items, salt, known.as_ref())?;
        timings.receipt += clock.elapsed();
        let outputs = self.in_declared_order(current);
        Ok(RunOutcome { outputs, rejected: Vec::new(), decision, named: Vec::new(), timings })
    }

    /// A query's name and salt, with the nonce that was asked for.
    pub(super) fn start(&self) -> Result<QueryStart, RunError> {
        QueryStart::random(self.nonce, now_ms()).map_err(|_| RunError::NoRandomness)
    }
}

/// Passes chain and tensors to the next host as bytes, as a network would. `known` is what that host verified of the
/// chain, and then what it has.
pub(super) fn transfer<E: Engine>(
    chain: Chain,
    salt: &Salt,
    batch: &[Vec<TensorValue>],
    next: &RingHost<E>,
    known: Option<&mut Option<VerifiedPrefix>>,
) -> Result<(Chain, Vec<Vec<TensorValue>>), RunError> {
    let parcel = Parcel::seal(chain, salt, batch, &[next.public()])?.encode();
    let parcel = Parcel::decode(&parcel).map_err(ParcelError::from)?;
    let before = known.as_ref().and_then(|known| **known);
    let delivered = next.accept_after(parcel, before.as_ref())?;
    if let Some(known) = known {
        *known = Some(delivered.prefix);
    }
    Ok((delivered.chain, delivered.batch))
}
