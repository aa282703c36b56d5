//! Validations, objections and evidence that an honest copy would not sign, written from `docs/FORMAT.md` with offsets
//! of their own; shares no code with the crate.

use crate::forge::{after_computed_with, computed_with_at, derive, host_at, sign, validation_len};
use crate::small_ring::u32_at;

/// A field of a validation or an objection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordField {
    Query,
    Receipt,
    FirstBlock,
    Block,
    /// The code of the check; share, rotation and coverage follow.
    Check,
    Threads,
    Inputs,
    Outputs,
    /// Code 1, largest difference 4, bound 4.
    Agreement,
    Host,
}

impl RecordField {
    pub(crate) fn at(self, record: &[u8]) -> usize {
        match self {
            Self::Query => 0,
            Self::Receipt => 32,
            Self::FirstBlock => 64,
            Self::Block => 72,
            Self::Check => 72 + 32 * u32_at(record, 68) as usize,
            Self::Threads => after_computed_with(record) - 2,
            Self::Inputs => after_computed_with(record),
            Self::Outputs => after_computed_with(record) + 32,
            Self::Agreement => after_computed_with(record) + 64,
            Self::Host => after_computed_with(record) + 73,
        }
    }
}

/// Overwrites bytes of a record, from where a field begins, and signs it anew.
pub(crate) fn edit_record(record: &mut [u8], field: RecordField, bytes: &[u8], seed: &[u8; 32]) {
    let at = field.at(record);
    record[at..at + bytes.len()].copy_from_slice(bytes);
    sign_record(record, seed);
}

/// Flips a bit of a field, and signs the record anew: whatever it was, it is something else.
pub(crate) fn flip_record(record: &mut [u8], field: RecordField, seed: &[u8; 32]) {
    record[field.at(record)] ^= 1;
    sign_record(record, seed);
}

/// Says of a record of one block anew how the parts were checked: code of the check, and codes of each list.
pub(crate) fn claim_of(record: &mut Vec<u8>, check: u8, coverage: &[&[u8]], seed: &[u8; 32]) {
    let mut claim = vec![check];
    claim.extend([0; 6]);
    claim.extend(u32::try_from(coverage.len()).unwrap().to_le_bytes());
    for codes in coverage {
        claim.extend(u32::try_from(codes.len()).unwrap().to_le_bytes());
        claim.extend(*codes);
    }
    let range = RecordField::Check.at(record)..computed_with_at(record);
    record.splice(range, claim);
    sign_record(record, seed);
}

pub(crate) fn sign_record(record: &mut [u8], seed: &[u8; 32]) {
    let unsigned = record.len() - 64;
    let digest = derive("deepring v1 validation digest", &record[..unsigned]);
    record[unsigned..].copy_from_slice(&sign(seed, "deepring v1 sign validation", &digest));
}

pub(crate) fn receipt_digest(receipt: &[u8]) -> [u8; 32] {
    derive("deepring v4 receipt digest", &receipt[..receipt.len() - 64])
}

pub(crate) fn sign_receipt(receipt: &mut [u8], seed: &[u8; 32]) {
    let unsigned = receipt.len() - 64;
    let signature = sign(seed, "deepring v4 sign receipt", &receipt_digest(receipt));
    receipt[unsigned..].copy_from_slice(&signature);
}

/// Evidence taken apart: receipts and records in their order.
#[derive(Debug, Clone)]
pub(crate) struct RawEvidence {
    pub(crate) kind: u8,
    pub(crate) pieces: Vec<Vec<u8>>,
}

impl RawEvidence {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let receipts: &[bool] = match bytes[0] {
            1 => &[true, true],
            2 => &[true, false],
            3 => &[true, false, false],
            4 => &[true, false, true],
            other => panic!("kind {other} is not known"),
        };
        let mut at = 1;
        let mut pieces = Vec::new();
        for is_receipt in receipts {
            let len = match is_receipt {
                true => host_at(&bytes[at..]) + 128,
                false => validation_len(&bytes[at..]),
            };
            pieces.push(bytes[at..at + len].to_vec());
            at += len;
        }
        assert_eq!(at, bytes.len());
        Self { kind: bytes[0], pieces }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        [vec![self.kind], self.pieces.concat()].concat()
    }
}
