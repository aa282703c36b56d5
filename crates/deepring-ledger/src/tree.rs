//! The Merkle tree of RFC 6962: stored hashes for appending and proving, a frontier for checking.

use std::cell::RefCell;
use std::path::Path;

use redb::{ReadableTable, StorageError};
use tlog_tiles::tlog::{EMPTY_HASH, Error, Hash, HashReader, node_hash};

use crate::error::{LedgerError, failure};

/// Hashes of the tree as they lie in a table, in the order of `stored_hash_index`.
pub(crate) struct StoredHashes<'a, T> {
    table: &'a T,
    /// The reader's interface has no room for an I/O error, so it waits here.
    failed: RefCell<Option<StorageError>>,
}

/// Runs `work` over the hashes in `table`.
pub(crate) fn with_hashes<T, R>(
    database: &Path,
    table: &T,
    work: impl FnOnce(&StoredHashes<'_, T>) -> Result<R, Error>,
) -> Result<R, LedgerError>
where
    T: ReadableTable<u64, &'static [u8; 32]>,
{
    let hashes = StoredHashes { table, failed: RefCell::new(None) };
    work(&hashes).map_err(|e| match hashes.failed.take() {
        Some(source) => failure(database, source),
        None => LedgerError::damaged(database, format!("hashes of the tree: {e}")),
    })
}

impl<T: ReadableTable<u64, &'static [u8; 32]>> HashReader for StoredHashes<'_, T> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        let read = |index: &u64| match self.table.get(*index) {
            Ok(Some(hash)) => Ok(Hash(*hash.value())),
            Ok(None) => Err(Error::IndexesNotInTree),
            Err(source) => {
                *self.failed.borrow_mut() = Some(source);
                Err(Error::IndexesNotInTree)
            }
        };
        indexes.iter().map(read).collect()
    }
}

/// The roots of the complete subtrees of a growing tree, largest first.
///
/// Appending goes through `tlog_tiles` and the stored hashes; checking goes through this type and
/// the entries alone, so that it shares no code and no data with what it checks.
#[derive(Debug, Default)]
pub(crate) struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// Adds a leaf; returns the leaf and each subtree that it completes, in the order in which they
    /// are stored.
    pub(crate) fn push(&mut self, leaf: Hash) -> Vec<Hash> {
        let mut completed = vec![leaf];
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                node = node_hash(left, node);
                completed.push(node);
            }
        }
        self.peaks.push(node);
        self.size += 1;
        completed
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Root of the tree over all leaves so far.
    pub(crate) fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return EMPTY_HASH };
        peaks.fold(*last, |right, left| node_hash(*left, right))
    }
}

#[cfg(test)]
mod tests {
    use tlog_tiles::tlog::{record_hash, stored_hash_index, stored_hashes, tree_hash};

    use super::*;

    struct InMemory(Vec<Hash>);

    impl HashReader for InMemory {
        fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
            Ok(indexes.iter().map(|i| self.0[usize::try_from(*i).unwrap()]).collect())
        }
    }

    /// The eight leaves and roots that Certificate Transparency implementations share.
    const LEAVES: [&str; 8] = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn known_answers_of_rfc_6962() {
        let mut stored = InMemory(Vec::new());
        let mut frontier = Frontier::default();
        for (n, leaf) in LEAVES.iter().enumerate() {
            let n = n as u64;
            assert_eq!(frontier.root().0.as_slice(), hex(ROOTS[n as usize]));
            assert_eq!(tree_hash(n, &stored).unwrap().0.as_slice(), hex(ROOTS[n as usize]));
            let completed = frontier.push(record_hash(&hex(leaf)));
            let hashes = stored_hashes(n, &hex(leaf), &stored).unwrap();
            assert_eq!(completed, hashes);
            assert_eq!(stored.0.len() as u64, stored_hash_index(0, n));
            stored.0.extend(hashes);
        }
        assert_eq!(frontier.root().0.as_slice(), hex(ROOTS[8]));
        assert_eq!(tree_hash(8, &stored).unwrap().0.as_slice(), hex(ROOTS[8]));
    }
}
