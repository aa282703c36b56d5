//! Audits of a host's copies of blocks while nothing is computed: whether they are what the owner sealed, in memory and in the
//! file, and what they answer another host's challenge.

use std::collections::BTreeSet;

use deepring::audit::Challenge;
use deepring::opening::OpenError;
use deepring::{Digest, Header, Host, OpeningKey, PublicKey};

use super::{GenesisBlock, LoadedBlock, RingHost};
use crate::engine::Engine;
use crate::error::RunError;

impl<E: Engine> RingHost<E> {
    /// Blocks in which tampering was found and that were not opened anew since; a shared block is named by itself, or by the block
    /// that uses it. A host that compares nothing at a use computes with them all the same: whoever embeds it asks here.
    #[must_use]
    pub fn out_of_use(&self) -> BTreeSet<u32> {
        self.alarms.out_of_use()
    }

    /// The answer of this host's live copy of some blocks to a challenge, in the name of `host`: of this one, to be given away;
    /// of another copy, to compare what it gave.
    ///
    /// # Errors
    /// [`RunError::NotLoaded`]; [`RunError::Audit`] where the challenge names no block, or none of this ring.
    pub fn audit(&self, challenge: &Challenge, host: &PublicKey<Host>) -> Result<Digest, RunError> {
        let mut answer = challenge.answer_of(host, &self.ring, OpeningKey::Host(&self.key));
        for index in challenge.blocks() {
            let bytes = self.live_bytes(*index).or_else(|| Some(self.shared.get(*index)?.bytes()));
            answer.block(*index, bytes.ok_or(RunError::NotLoaded { block: *index })?)?;
        }
        Ok(answer.finish()?)
    }

    /// Whether this host's copy of a block that it has opened is what the owner sealed: the live bytes, by tags and by the owner's
    /// digest, and then the bytes in the file; each with those of the shared blocks that it uses. Takes the time of reading both
    /// once. What is found takes the block out of use, and is an [alarm](Self::alarms).
    ///
    /// # Errors
    /// [`RunError::Tampered`]; [`RunError::OutOfUse`] where an earlier finding stands; [`RunError::NotLoaded`];
    /// [`RunError::Open`] where the file cannot be read.
    pub fn verify_copy(&self, index: u32) -> Result<(), RunError> {
        if let Some(header) = self.header(index).filter(|_| self.out_of_use().contains(&index)) {
            return Err(RunError::OutOfUse { block: index, name: header.name.clone() });
        }
        let key = OpeningKey::Host(&self.key);
        match index {
            0 => self.genesis_block()?.audit(&self.ring, key)?,
            index => self.loaded_block(index)?.audit()?,
        }
        let used: Vec<u32> =
            self.header(index).into_iter().flat_map(Header::shared_blocks).collect();
        for shared in &used {
            let bytes = self.shared.get(*shared).ok_or(RunError::NotLoaded { block: *shared })?;
            let confirmed = self.ring.confirm_opened(*shared, key, bytes.bytes());
            confirmed.map_err(|error| self.found(index, error))?;
        }
        for stored in std::iter::once(index).chain(used) {
            let verified = self.ring.verify_block(stored, key);
            verified.map_err(|error| self.found(index, error))?;
        }
        Ok(())
    }

    /// Raises tampering that was found in a block, or in what it shares, as an alarm about that block.
    fn found(&self, index: u32, error: OpenError) -> RunError {
        let OpenError::Tampered(mut finding) = error else { return error.into() };
        if let Some(shared) = finding.block.filter(|block| *block != index) {
            finding.reason = format!("{} (stored in shared block {shared})", finding.reason);
            finding = finding.in_block(index, self.header(index).map(|h| h.name.as_str()));
        }
        match index {
            0 => self.genesis.iter().for_each(GenesisBlock::retire),
            index => self.blocks.get(&index).into_iter().for_each(LoadedBlock::retire),
        }
        self.alarms.raise(&finding);
        RunError::Tampered(finding)
    }
}
