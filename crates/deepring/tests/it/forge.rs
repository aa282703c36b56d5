//! Makes rings and receipts that the sealer would not make, signed all the same.
//!
//! Written from `docs/FORMAT.md` with offsets of its own; shares no code with the crate.

use aws_lc_rs::signature::Ed25519KeyPair;

use crate::forge_outline::sign_outline;
use crate::small_ring::{Places, u32_at};

pub(crate) fn derive(label: &str, bytes: &[u8]) -> [u8; 32] {
    blake3::derive_key(label, bytes)
}

pub(crate) fn sign(seed: &[u8; 32], label: &str, message: &[u8]) -> [u8; 64] {
    let key = Ed25519KeyPair::from_seed_unchecked(seed).unwrap();
    let labelled = [label.as_bytes(), &[0], message].concat();
    key.sign(&labelled).as_ref().try_into().unwrap()
}

/// A ring file taken apart.
#[derive(Debug, Clone)]
pub(crate) struct RawRing {
    /// Ring id to `sealed at`: the closure's first 134 bytes. The count in it is filled in anew.
    pub(crate) statement_head: Vec<u8>,
    pub(crate) body_digests: Vec<[u8; 32]>,
    pub(crate) revision: u32,
    pub(crate) headers: Vec<Vec<u8>>,
    pub(crate) bodies: Vec<Vec<u8>>,
}

impl RawRing {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let places = Places::of(bytes);
        let closure = &bytes[places.closure.clone()];
        let count = places.headers.len();
        let digest = |i: usize| closure[134 + 32 * i..166 + 32 * i].try_into().unwrap();
        Self {
            statement_head: closure[..134].to_vec(),
            body_digests: (0..count).map(digest).collect(),
            revision: u32_at(closure, 134 + 32 * count),
            headers: places.headers.iter().map(|r| bytes[r.clone()].to_vec()).collect(),
            bodies: places.bodies.iter().map(|r| bytes[r.clone()].to_vec()).collect(),
        }
    }

    /// Overwrites bytes of a header's unsigned part and signs it anew.
    pub(crate) fn edit_header(&mut self, block: usize, at: usize, bytes: &[u8], seed: &[u8; 32]) {
        self.headers[block][at..at + bytes.len()].copy_from_slice(bytes);
        self.sign_header(block, seed);
    }

    /// Replaces a range of a header by bytes of another length and signs it anew.
    pub(crate) fn splice_header(
        &mut self,
        block: usize,
        range: std::ops::Range<usize>,
        bytes: &[u8],
        seed: &[u8; 32],
    ) {
        self.headers[block].splice(range, bytes.iter().copied());
        self.sign_header(block, seed);
    }

    pub(crate) fn sign_header(&mut self, block: usize, seed: &[u8; 32]) {
        let header = &mut self.headers[block];
        let unsigned = header.len() - 64;
        let digest = derive("deepring v1 header digest", &header[..unsigned]);
        let signature = sign(seed, "deepring v1 sign header", &digest);
        header[unsigned..].copy_from_slice(&signature);
    }

    /// Offset of a header field that follows the name; `after_name` as in FORMAT.md, without L.
    pub(crate) fn after_name(&self, block: usize, after_name: usize) -> usize {
        let len = &self.headers[block][32..34];
        after_name + usize::from(u16::from_le_bytes(len.try_into().unwrap()))
    }

    /// The file, its closure signed with `seed`, whatever key the closure names.
    pub(crate) fn close(&self, seed: &[u8; 32]) -> Vec<u8> {
        let count = u32::try_from(self.headers.len()).unwrap();
        let mut statement = self.statement_head.clone();
        statement[24..28].copy_from_slice(&count.to_le_bytes());
        statement.extend(self.body_digests.concat());
        let mut rows = self.revision.to_le_bytes().to_vec();
        for (header, body) in self.headers.iter().zip(&self.bodies) {
            rows.extend(u32::try_from(header.len()).unwrap().to_le_bytes());
            rows.extend((body.len() as u64).to_le_bytes());
            rows.extend(derive("deepring v1 header digest", header));
        }
        rows.extend(sign_outline(self, &statement, seed));
        let digest = derive("deepring v1 ring digest", &statement);
        let signature =
            sign(seed, "deepring v1 sign closure", &[digest.as_slice(), &rows].concat());
        let closure = [statement.as_slice(), &rows, &signature].concat();
        let blocks: usize = self.headers.iter().chain(&self.bodies).map(Vec::len).sum();
        let mut out = b"DEEPRING\x04\0\x01\0".to_vec();
        out.extend(count.to_le_bytes());
        out.extend(((24 + closure.len() + blocks) as u64).to_le_bytes());
        out.extend(closure);
        self.headers.iter().chain(&self.bodies).for_each(|b| out.extend(b));
        out
    }
}

/// An owner key whose signing half is the curve's neutral point.
pub(crate) fn weak_owner() -> [u8; 64] {
    let mut key = [0x5a; 64];
    key[..32].fill(0);
    key[0] = 1;
    key
}

/// The ring under the weak key, with the one signature that would fit every message under it.
pub(crate) fn signed_by_weak_owner(ring: &[u8]) -> Vec<u8> {
    let mut signature = [0x66; 64];
    signature[0] = 0x58;
    signature[32..].fill(0);
    signature[32] = 1;
    let mut raw = RawRing::of(ring);
    raw.statement_head[62..126].copy_from_slice(&weak_owner());
    for header in &mut raw.headers {
        let unsigned = header.len() - 64;
        header[unsigned..].copy_from_slice(&signature);
    }
    let mut out = raw.close(&[0; 32]);
    let end = Places::of(&out).closure.end;
    for at in [end - 128, end - 64] {
        out[at..at + 64].copy_from_slice(&signature);
    }
    out
}

/// A receipt file taken apart.
#[derive(Debug, Clone)]
pub(crate) struct RawReceipts {
    pub(crate) opening: Vec<u8>,
    pub(crate) receipts: Vec<Vec<u8>>,
    /// The validations of each receipt.
    pub(crate) validations: Vec<Vec<Vec<u8>>>,
    /// Inputs digest and outputs digest of each query.
    pub(crate) items: Vec<[u8; 64]>,
    pub(crate) closed_by: [u8; 64],
    pub(crate) signature: [u8; 64],
    pub(crate) salt: [u8; 32],
}

impl RawReceipts {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut at = RECEIPTS + 4;
        let (mut receipts, mut validations) = (Vec::new(), Vec::new());
        for _ in 0..u32_at(bytes, RECEIPTS) {
            let len = host_at(&bytes[at..]) + 128;
            receipts.push(bytes[at..at + len].to_vec());
            at += len;
            let n = u32_at(bytes, at);
            at += 4;
            let one = |_| {
                let len = validation_len(&bytes[at..]);
                at += len;
                bytes[at - len..at].to_vec()
            };
            validations.push((0..n).map(one).collect());
        }
        let n = u32_at(bytes, at) as usize;
        at += 4;
        let item = |i: usize| bytes[at + 64 * i..at + 64 * (i + 1)].try_into().unwrap();
        Self {
            opening: bytes[10..RECEIPTS].to_vec(),
            items: (0..n).map(item).collect(),
            receipts,
            validations,
            closed_by: bytes[bytes.len() - 160..bytes.len() - 96].try_into().unwrap(),
            signature: bytes[bytes.len() - 96..bytes.len() - 32].try_into().unwrap(),
            salt: bytes[bytes.len() - 32..].try_into().unwrap(),
        }
    }

    pub(crate) fn sign_opening(&mut self, seed: &[u8; 32]) {
        let signature = sign(seed, "deepring v2 sign opening", &self.opening_digest());
        self.opening[320..].copy_from_slice(&signature);
    }

    pub(crate) fn opening_digest(&self) -> [u8; 32] {
        derive("deepring v2 opening digest", &self.opening[..320])
    }

    pub(crate) fn sign_receipt(&mut self, i: usize, seed: &[u8; 32]) {
        self.sign_receipt_as("v4", i, seed);
    }

    /// Signs receipt `i` under the two labels of a version: `v1` to `v4`.
    pub(crate) fn sign_receipt_as(&mut self, version: &str, i: usize, seed: &[u8; 32]) {
        let receipt = &mut self.receipts[i];
        let unsigned = receipt.len() - 64;
        let digest = derive(&format!("deepring {version} receipt digest"), &receipt[..unsigned]);
        let signature = sign(seed, &format!("deepring {version} sign receipt"), &digest);
        receipt[unsigned..].copy_from_slice(&signature);
    }

    /// Overwrites bytes of receipt `i`, from where a field begins.
    pub(crate) fn edit_receipt(&mut self, i: usize, field: Field, bytes: &[u8]) {
        let at = field.at(&self.receipts[i]);
        self.receipts[i][at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Says anew what check receipt `i` was about: its code, share and rotation, and for each block the
    /// codes of its parts.
    pub(crate) fn claim(&mut self, i: usize, check: (u8, u32, u16), coverage: &[&[u8]]) {
        let receipt = &mut self.receipts[i];
        let range = Field::Check.at(receipt)..Field::ComputedWith.at(receipt);
        let mut claim = vec![check.0];
        claim.extend(check.1.to_le_bytes());
        claim.extend(check.2.to_le_bytes());
        claim.extend(u32::try_from(coverage.len()).unwrap().to_le_bytes());
        for codes in coverage {
            claim.extend(u32::try_from(codes.len()).unwrap().to_le_bytes());
            claim.extend(*codes);
        }
        receipt.splice(range, claim);
    }

    pub(crate) fn unsigned(&self) -> Vec<u8> {
        let mut out = self.opening.clone();
        out.extend(u32::try_from(self.receipts.len()).unwrap().to_le_bytes());
        for (i, receipt) in self.receipts.iter().enumerate() {
            out.extend(receipt);
            // A receipt that was put in has none.
            let validations = self.validations.get(i).map_or(&[][..], Vec::as_slice);
            out.extend(u32::try_from(validations.len()).unwrap().to_le_bytes());
            validations.iter().for_each(|v| out.extend(v));
        }
        out.extend(u32::try_from(self.items.len()).unwrap().to_le_bytes());
        self.items.iter().for_each(|i| out.extend(i));
        out.extend(self.closed_by);
        out
    }

    pub(crate) fn sign_decision(&mut self, seed: &[u8; 32]) {
        let id = derive("deepring v2 decision digest", &self.unsigned());
        self.signature = sign(seed, "deepring v2 sign decision", &id);
    }

    pub(crate) fn file(&self) -> Vec<u8> {
        [b"DRECEIPT\x04\0".as_slice(), &self.unsigned(), &self.signature, &self.salt].concat()
    }

    /// The file, its closing signed anew by a key, whatever host it names.
    pub(crate) fn signed_by(mut self, seed: &[u8; 32]) -> Vec<u8> {
        self.sign_decision(seed);
        self.file()
    }
}

/// Offset of the list of receipts in a file: after magic, version and opening.
pub(crate) const RECEIPTS: usize = 10 + 384;

/// Offset of what was computed with, in a record that begins these bytes: after the coverage, which is a
/// list of lists.
pub(crate) fn computed_with_at(record: &[u8]) -> usize {
    let list = 79 + 32 * u32_at(record, 68) as usize;
    let blocks = u32_at(record, list);
    (0..blocks).fold(list + 4, |at, _| at + 4 + u32_at(record, at) as usize)
}

/// Offset of what follows it: engine, library, processor and threads.
pub(crate) fn after_computed_with(record: &[u8]) -> usize {
    let string = |at: usize| at + 2 + usize::from(u16::from_le_bytes([record[at], record[at + 1]]));
    string(string(computed_with_at(record)) + 32) + 2
}

/// Offset of the host's key in a receipt that begins these bytes: after three digests.
pub(crate) fn host_at(receipt: &[u8]) -> usize {
    after_computed_with(receipt) + 96
}

/// Length of a validation that begins these bytes: to inputs, outputs, agreement, host and signature.
pub(crate) fn validation_len(validation: &[u8]) -> usize {
    after_computed_with(validation) + 64 + 9 + 128
}

/// A receipt's field, by its offset in FORMAT.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Query,
    Ring,
    FirstBlock,
    Block(usize),
    Check,
    ComputedWith,
    Inputs,
    Outputs,
    Previous,
    Host,
}

impl Field {
    fn at(self, receipt: &[u8]) -> usize {
        let after = 32 * u32_at(receipt, 68) as usize;
        match self {
            Self::Query => 0,
            Self::Ring => 32,
            Self::FirstBlock => 64,
            Self::Block(i) => 72 + 32 * i,
            Self::Check => 72 + after,
            Self::ComputedWith => computed_with_at(receipt),
            Self::Inputs => host_at(receipt) - 96,
            Self::Outputs => host_at(receipt) - 64,
            Self::Previous => host_at(receipt) - 32,
            Self::Host => host_at(receipt),
        }
    }

    /// Every field whose first byte can be changed alone and still decodes, for receipts of at least one
    /// block. The check, its share, the rotation and the coverage hold one another.
    pub(crate) const FREE: [Self; 8] = [
        Self::Query,
        Self::Ring,
        Self::FirstBlock,
        Self::Block(0),
        Self::Inputs,
        Self::Outputs,
        Self::Previous,
        Self::Host,
    ];

    pub(crate) fn read(self, receipt: &[u8], len: usize) -> Vec<u8> {
        receipt[self.at(receipt)..self.at(receipt) + len].to_vec()
    }
}
