//! A SHA-256 of the whole file, compared when the file is loaded.

use sha2::{Digest as _, Sha256};

use super::{Defence, DefenceKind, DefenceVerdict, Moment};
use crate::network::Network;

#[derive(Debug)]
pub(super) struct FileDigest {
    digest: [u8; 32],
}

impl FileDigest {
    pub(super) fn of(network: &Network) -> Self {
        Self { digest: digest(network) }
    }
}

fn digest(network: &Network) -> [u8; 32] {
    Sha256::digest(network.encode()).into()
}

impl Defence for FileDigest {
    fn kind(&self) -> DefenceKind {
        DefenceKind::FileDigest
    }

    fn stored_bytes(&self) -> usize {
        self.digest.len()
    }

    /// An edit in memory leaves the file as it was, and the file is all that is looked at.
    fn check(
        &self,
        network: &Network,
        moment: Moment,
        _: &mut dyn FnMut() -> f64,
    ) -> DefenceVerdict {
        match moment {
            Moment::AtRest if digest(network) != self.digest => DefenceVerdict::alarm(),
            Moment::AtRest | Moment::Live => DefenceVerdict::silent(),
        }
    }
}
