//! Edits of a ring's parameters without a key: put into the stored file, or into the memory of an open session.

use std::io;

use deepring::{AuthenticRing, Part, PartKind};
use deepring_infer::engine::Engine;
use deepring_infer::{Session, tamper};

use super::{RingAttackError, RingFileError, Tampered};
use crate::network::Network;

/// Other bytes for a stretch of a block's plaintext.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RingEdit {
    /// The block.
    pub block: u32,
    /// The part of it: of a parameter tensor, its name.
    pub part: String,
    /// First byte in the block's plaintext.
    pub at: usize,
    /// The bytes that are there.
    pub before: Vec<u8>,
    /// Those that take their place, as many.
    pub after: Vec<u8>,
}

impl RingEdit {
    /// True if this system has pages that can be written behind their protection: [`write_live`](Self::write_live)
    /// fails otherwise.
    pub const MEMORY_IS_WRITABLE: bool = cfg!(unix);

    /// The edits that a ring needs to hold the parameters of `attacked`, which was made of `exported`, the network that the
    /// ring exports. In the order of the ring's blocks.
    ///
    /// # Errors
    /// [`RingAttackError::Unfit`] where a tensor that differs is not in the ring with as many bytes.
    pub fn between(
        ring: &AuthenticRing,
        exported: &Network,
        attacked: &Network,
    ) -> Result<Vec<Self>, RingAttackError> {
        let differing = |name: &str| {
            let (before, after) = (exported.tensor(name).ok()?, attacked.tensor(name).ok()?);
            (before.bytes() != after.bytes()).then_some((before.bytes(), after.bytes()))
        };
        let mut edits = Vec::new();
        for header in ring.headers() {
            for part in &header.parts {
                // What lies in a shared block is edited there.
                if part.shared.is_some() || !matches!(part.kind, PartKind::Parameter(_)) {
                    continue;
                }
                let Some((before, after)) = differing(part.label()) else { continue };
                if before.len() as u64 != part.len || after.len() != before.len() {
                    return Err(RingAttackError::Unfit {
                        reason: "a tensor has another size there",
                    });
                }
                edits.extend(Self::of_part(header.index, part, before, after));
            }
        }
        let changed = exported.tensors().filter(|t| differing(t.name()).is_some());
        let placed = |name: &str| edits.iter().any(|e| e.part == name);
        if changed.into_iter().any(|t| !placed(t.name())) {
            return Err(RingAttackError::Unfit { reason: "the ring has no such tensor" });
        }
        Ok(edits)
    }

    /// The stretch of a part from its first differing byte to its last; `None` if none differs.
    pub(super) fn of_part(block: u32, part: &Part, before: &[u8], after: &[u8]) -> Option<Self> {
        let differs = |at: &usize| before.get(*at) != after.get(*at);
        let first = (0..before.len()).find(differs)?;
        let last = (0..before.len()).rev().find(differs)?;
        Some(Self {
            block,
            part: part.label().to_owned(),
            at: part.offset as usize + first,
            before: before.get(first..=last)?.to_vec(),
            after: after.get(first..=last)?.to_vec(),
        })
    }

    /// The part that it touches.
    #[must_use]
    pub fn touched(&self) -> Tampered {
        Tampered { block: self.block, part: self.part.clone() }
    }

    /// Puts the edit into the ring's file. Where a cipher works as a stream, the bits that are flipped in the ciphertext
    /// are flipped in the plaintext.
    ///
    /// # Errors
    /// [`RingFileError::NoPlace`] if the place is not in the file.
    pub fn flip_stored(&self, ring: &AuthenticRing, file: &mut [u8]) -> Result<(), RingFileError> {
        let pairs = self.before.iter().zip(&self.after).enumerate();
        for (i, (before, after)) in pairs.filter(|(_, (b, a))| b != a) {
            let (block, byte) = (self.block, (self.at + i) as u64);
            let at = ring.stored_at(block, byte).and_then(|at| usize::try_from(at).ok());
            let stored = at.and_then(|at| file.get_mut(at));
            *stored.ok_or(RingFileError::NoPlace { block, byte })? ^= before ^ after;
        }
        Ok(())
    }

    /// Writes the edit over the parameters of an open session, behind their pages' protection, as an exploit within the
    /// process would.
    ///
    /// # Errors
    /// If the block is not loaded, holds other bytes there, or this system lets nobody write.
    pub fn write_live<E: Engine>(&self, session: &Session<E>) -> io::Result<()> {
        let live = session.live_bytes(self.block).unwrap_or_default();
        replace_live(live, self.at, &self.before, &self.after)
    }
}

/// Writes `bytes` over a stretch of `live` that begins at `at`, which must hold `before`.
pub(crate) fn replace_live(live: &[u8], at: usize, before: &[u8], bytes: &[u8]) -> io::Result<()> {
    if before.len() != bytes.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let end = at.checked_add(before.len());
    // The bytes were changed behind the compiler's back.
    let present = end.and_then(|end| std::hint::black_box(live).get(at..end));
    if present != Some(before) {
        return Err(io::Error::other("the bytes are not where they should be"));
    }
    write_live(live, at, bytes)
}

/// Writes from `at` on, whatever is there.
pub(crate) fn write_live(live: &[u8], at: usize, bytes: &[u8]) -> io::Result<()> {
    match tamper(live, at, bytes) {
        true => Ok(()),
        false => Err(io::Error::other("live memory cannot be written on this system")),
    }
}

#[cfg(test)]
mod tests;
