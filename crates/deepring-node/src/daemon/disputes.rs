//! Disputed legs, kept for an arbiter.

use std::io;
use std::path::PathBuf;

use deepring::Digest;
use deepring::files::replace_file;
use deepring::replication::Dispute;

/// Most disputes that are kept. The first are: a host that lies in each query pushes none of them out.
const KEPT: usize = 64;
/// Most bytes of them together.
const KEPT_BYTES: u64 = 1 << 30;

/// The folder of a node's disputes: a file for each disputed leg of a query.
#[derive(Debug)]
pub(super) struct DisputeFolder {
    path: PathBuf,
}

/// The result of keeping a dispute.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DisputeKept {
    /// It is on stable storage.
    At(PathBuf),
    /// The folder is full.
    Full,
}

impl DisputeFolder {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Writes a dispute, whole or not at all. What is in it is sealed for the arbiter.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn keep(
        &self,
        query: Digest,
        first_block: u32,
        dispute: &Dispute,
    ) -> io::Result<DisputeKept> {
        std::fs::create_dir_all(&self.path)?;
        let bytes = dispute.encode();
        let (mut files, mut size) = (0, bytes.len() as u64);
        for entry in std::fs::read_dir(&self.path)? {
            files += 1;
            // One may be taken away meanwhile.
            let len = entry?.metadata().map_or(0, |metadata| metadata.len());
            size = size.saturating_add(len);
        }
        if files >= KEPT || size > KEPT_BYTES {
            return Ok(DisputeKept::Full);
        }
        let path = self.path.join(format!("{}-{first_block}.dispute", query.to_hex()));
        replace_file(&path, &bytes)?;
        Ok(DisputeKept::At(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deepring_testkit::rings::{Sealed, host};

    #[test]
    fn the_first_disputes_are_kept_whole_and_no_more_than_there_is_room_for() {
        let folder = tempfile::tempdir().unwrap();
        let disputes = DisputeFolder::at(folder.path().join("disputes"));
        let ring = Sealed::new(1, 2);
        let (chain, salt) = ring.begin(&[], None);
        let mut random = |out: &mut [u8]| {
            out.fill(7);
            Ok(())
        };
        let entered = (chain, &salt, &[][..]);
        let dispute = Dispute::seal(ring.contradiction(), entered, &[], &host(9), &mut random);
        let dispute = dispute.unwrap();
        for n in 0..KEPT {
            let query = Digest([u8::try_from(n).unwrap(); 32]);
            let DisputeKept::At(path) = disputes.keep(query, 3, &dispute).unwrap() else {
                panic!("{n} is not kept")
            };
            assert_eq!(std::fs::read(path).unwrap(), dispute.encode());
        }
        assert_eq!(disputes.keep(Digest([99; 32]), 3, &dispute).unwrap(), DisputeKept::Full);
        assert_eq!(std::fs::read_dir(folder.path().join("disputes")).unwrap().count(), KEPT);
    }
}
