//! The newest checkpoint with more signatures, in a transaction of its own.

use super::{META, META_CHECKPOINT, Store};
use crate::checkpoint::Checkpoint;
use crate::error::{LedgerError, failure};

impl Store {
    /// Replaces the text of the newest checkpoint, which must be `old` still, by one with the same
    /// body.
    pub(crate) fn replace_checkpoint(
        &self,
        old: &Checkpoint,
        new: &Checkpoint,
    ) -> Result<(), LedgerError> {
        let path = &self.path;
        if old.body() != new.body() {
            return Err(LedgerError::damaged(path, "the new checkpoint says something else"));
        }
        self.writing(|database| {
            let txn = Self::begin(database, path)?;
            {
                let mut meta = txn.open_table(META).map_err(|e| failure(path, e))?;
                let replaced = meta
                    .insert(META_CHECKPOINT, new.as_str())
                    .map_err(|e| failure(path, e))?
                    .is_some_and(|replaced| replaced.value() == old.as_str());
                if !replaced {
                    return Err(LedgerError::damaged(path, "the checkpoint is another one"));
                }
            }
            txn.commit().map_err(|e| failure(path, e))
        })
    }
}
