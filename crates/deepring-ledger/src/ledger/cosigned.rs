//! Keeping what witnesses signed.

use super::Ledger;
use crate::error::LedgerError;
use crate::witness::CosignedCheckpoint;

impl Ledger {
    /// Keeps cosignatures with the newest checkpoint, in the database and its file: proofs and
    /// certificates that are made until the next append carry them.
    ///
    /// # Errors
    /// [`LedgerError::ReadOnly`]; [`LedgerError::NotTheNewest`] where the ledger has grown since;
    /// [`LedgerError::CheckpointFile`] where they are in the database, and only there.
    pub fn keep_cosignatures(&mut self, cosigned: &CosignedCheckpoint) -> Result<(), LedgerError> {
        if self.secret.is_none() {
            return Err(LedgerError::ReadOnly);
        }
        let new = cosigned.checkpoint();
        let (size, cosigned) = (self.len(), new.size());
        // Bodies of one log and size that differ are two histories, of which the key signed both.
        if new.body() != self.head.body() {
            return Err(match cosigned == size && new.origin() == self.head.origin() {
                true => LedgerError::Rewritten { known: size },
                false => LedgerError::NotTheNewest { cosigned, size },
            });
        }
        self.store.replace_checkpoint(&self.head, new)?;
        self.head = new.clone();
        let written = self.directory.write_checkpoint(self.head.as_str());
        written.map_err(|source| LedgerError::CheckpointFile {
            first: size,
            count: 0,
            path: self.directory.checkpoint(),
            source,
        })
    }
}
