//! Genesis in memory: labels and pre-processing, checked like parameters.

use std::sync::Arc;

use deepring::Section;
use deepring::opening::OpenError;
use deepring::{
    AuthenticRing, Finding, Header, Host, Manifest, OpenedBlock, OpeningKey, SecretKey,
};
use deepring_memory::Region;

use super::alarms::Alarms;
use super::fault::{CHANGED_IN_MEMORY, undecided};
use super::opening::BlockMemory;
use crate::checks::{BlockCheck, CheckFault, Mode, PlanKind};
use crate::error::RunError;

/// Genesis, opened. Labels and pre-processing decide as much as weights do, so they stay in their checked
/// bytes and are decoded anew, from a verified copy, whenever somebody asks.
pub(super) struct GenesisBlock {
    buffer: Region,
    opened: OpenedBlock,
    check: Option<BlockCheck>,
    alarms: Arc<Alarms>,
}

impl GenesisBlock {
    /// Opens Genesis; with tags where live memory is to be checked.
    pub(super) fn open(
        ring: &AuthenticRing,
        key: &SecretKey<Host>,
        tagged: bool,
        alarms: &Arc<Alarms>,
    ) -> Result<Self, RunError> {
        let mode = tagged.then_some(Mode::Bytes);
        let BlockMemory { buffer, opened, check } =
            BlockMemory::of(ring, key, ring.genesis(), mode, &[])?;
        Ok(Self { buffer, opened, check, alarms: Arc::clone(alarms) })
    }

    pub(super) fn opened(&self) -> &OpenedBlock {
        &self.opened
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.bytes()
    }

    pub(super) fn check(&self, header: &Header) -> Result<(), RunError> {
        let Some(check) = &self.check else { return Ok(()) };
        let compared = check.begin(PlanKind::Bytes).and_then(|mut verification| {
            verification.compare_bytes(self.bytes())?;
            verification.finish()
        });
        compared.map(|_| ()).map_err(|fault| self.handle_fault(check, header, fault))
    }

    /// Compares the live bytes with their tags and with the digest that the owner signed, while nothing is computed.
    pub(super) fn audit(&self, ring: &AuthenticRing, key: OpeningKey<'_>) -> Result<(), RunError> {
        let header = ring.genesis();
        self.check(header)?;
        ring.confirm_opened(0, key, self.bytes()).map_err(|error| match error {
            OpenError::Tampered(finding) => {
                self.retire();
                self.alarms.raise(&finding);
                RunError::Tampered(finding)
            }
            other => other.into(),
        })
    }

    /// See [`LoadedBlock::retire`](super::LoadedBlock).
    pub(super) fn retire(&self) {
        if let Some(check) = &self.check {
            check.retire();
        }
    }

    /// The manifest, decoded from a copy of its bytes as they are now, if these are the verified ones.
    pub(super) fn manifest(&self, header: &Header) -> Result<Manifest, RunError> {
        self.check(header)?;
        let decoded = match &self.check {
            Some(check) => {
                let copy = check.copy_of(self.bytes(), 0);
                Manifest::decode(&copy.map_err(|fault| self.handle_fault(check, header, fault))?)
            }
            None => Manifest::decode(self.bytes()),
        };
        Ok(decoded.map_err(|source| OpenError::Malformed { index: 0, source })?)
    }

    fn handle_fault(&self, check: &BlockCheck, header: &Header, fault: CheckFault) -> RunError {
        let fault = match undecided(header, fault) {
            Ok(error) => return error,
            Err(CheckFault::Retired) => {
                return RunError::OutOfUse { block: header.index, name: header.name.clone() };
            }
            Err(fault) => fault,
        };
        check.retire();
        let mut finding = Finding::tampered(Section::Body, CHANGED_IN_MEMORY)
            .in_block(header.index, Some(&header.name))
            .of_tensor("manifest");
        if let CheckFault::Bytes { range, .. } = fault {
            finding = finding.at(range.start as u64..range.end as u64);
        }
        self.alarms.raise(&finding);
        RunError::Tampered(finding)
    }
}
