//! Genesis in memory: labels and pre-processing, checked like parameters.

use deepring::{
    AuthenticRing, Finding, Header, Host, Manifest, OpenError, OpenedBlock, OpeningKey, PartName,
    SecretKey,
};

use super::CHANGED_IN_MEMORY;
use crate::error::RunError;
use crate::mac::LiveMac;
use crate::weights::Buffer;

/// Genesis, opened. Labels and pre-processing decide as much as weights do, so they stay in their checked
/// bytes and are decoded anew whenever somebody asks.
pub(super) struct Manifested {
    bytes: Buffer,
    opened: OpenedBlock,
    tags: Option<LiveMac>,
}

impl Manifested {
    /// Opens Genesis; with tags where live memory is to be checked.
    pub(super) fn open(
        ring: &AuthenticRing,
        key: &SecretKey<Host>,
        tagged: bool,
    ) -> Result<Self, RunError> {
        let header = ring.genesis();
        let too_large = || OpenError::TooLarge { bytes: header.plain_len };
        let len = usize::try_from(header.plain_len).map_err(|_| too_large())?;
        let mut bytes = Buffer::zeroed(len).ok_or_else(too_large)?;
        let decrypted = ring.decrypt_block(0, OpeningKey::Host(key), bytes.bytes_mut())?;
        // Tags first, digest second: there is no moment in between.
        let made = || LiveMac::of(std::hint::black_box(bytes.bytes()), &header.parts);
        let tags = tagged.then(|| made().ok_or(RunError::NoRandomness)).transpose()?;
        let opened = decrypted.confirm(bytes.bytes())?;
        Ok(Self { bytes, opened, tags })
    }

    pub(super) fn opened(&self) -> &OpenedBlock {
        &self.opened
    }

    pub(super) fn bytes(&self) -> &[u8] {
        std::hint::black_box(self.bytes.bytes())
    }

    pub(super) fn check(&self, header: &Header) -> Result<(), RunError> {
        let Some(tags) = &self.tags else { return Ok(()) };
        tags.check(self.bytes()).map_err(|_| changed(header))
    }

    /// The manifest, decoded from its bytes as they are now, if these are the verified ones.
    pub(super) fn manifest(&self, header: &Header) -> Result<Manifest, RunError> {
        self.check(header)?;
        let decoded = Manifest::decode(self.bytes());
        Ok(decoded.map_err(|source| OpenError::Malformed { index: 0, source })?)
    }
}

fn changed(header: &Header) -> RunError {
    let finding = Finding::tampered(PartName::Body, CHANGED_IN_MEMORY)
        .in_block(header.index, Some(&header.name))
        .of_tensor("manifest");
    RunError::Tampered(finding)
}
