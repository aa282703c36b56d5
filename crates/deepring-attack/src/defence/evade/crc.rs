//! Restoring the CRC-32 of an edited tensor by low bits that nobody misses.
//!
//! The CRC is affine over GF(2): flipping a set of bits changes it by the sum of what each does alone. So 32 bits whose
//! effects are independent reach every CRC, and which of them to flip is a linear system. The polynomial is primitive,
//! so the powers of `x^32` (bit 0 of 32 neighbouring f32), and of `x^8` (of bytes), are independent: the lowest bits
//! of 32 elements always do.

use super::harm::Edit;
use crate::network::Network;

/// Restores every tensor that an edit changed. `None` if one is too small for that.
pub(super) fn restored(clean: &Network, edit: Edit) -> Option<Edit> {
    let Edit { mut network, what } = edit;
    let mut fixed = Vec::new();
    for before in clean.tensors() {
        let after = network.tensor(before.name()).ok()?;
        if after.bytes() != before.bytes() {
            let bytes = with_crc_of(before.bytes(), after.bytes(), before.dtype().size())?;
            fixed.push((before.name().to_owned(), bytes));
        }
    }
    for (name, bytes) in fixed {
        network.set_bytes(&name, bytes).ok()?;
    }
    Some(Edit { network, what })
}

/// `edited` with the CRC of `clean`, which is as long, by as low bits of its last elements as will do.
fn with_crc_of(clean: &[u8], edited: &[u8], element: usize) -> Option<Vec<u8>> {
    let mut system = System::default();
    let ends: Vec<usize> = (0..edited.len() / element.max(1)).rev().take(32).collect();
    let bits = (0..element * 8).flat_map(|bit| ends.iter().map(move |at| (at * element, bit)));
    for (start, bit) in bits {
        if system.places.len() == 32 {
            break;
        }
        // Little-endian: bit 0 is in the first byte.
        let place = (start + bit / 8, 1u8 << (bit % 8));
        system.add(place, effect(edited.len() - place.0, place.1));
    }
    let flips = system.solve(crc32fast::hash(clean) ^ crc32fast::hash(edited))?;
    let mut out = edited.to_vec();
    for (at, mask) in flips {
        *out.get_mut(at)? ^= mask;
    }
    // In a tensor of one element the solution is to undo the edit.
    (out != clean).then_some(out)
}

/// How the CRC changes if these bits flip in the byte that has `rest` bytes from itself to the end.
fn effect(rest: usize, mask: u8) -> u32 {
    let mut bytes = vec![0; rest];
    let zeros = crc32fast::hash(&bytes);
    if let Some(first) = bytes.first_mut() {
        *first = mask;
    }
    crc32fast::hash(&bytes) ^ zeros
}

/// Gaussian elimination over GF(2), a vector at a time.
#[derive(Debug, Default)]
struct System {
    /// Reduced vectors by their highest bit, each with the set of places whose sum it is.
    rows: [Option<(u32, u32)>; 32],
    places: Vec<(usize, u8)>,
}

impl System {
    /// Takes a place whose effect is independent of those that it has.
    fn add(&mut self, place: (usize, u8), effect: u32) {
        let (rest, set) = self.reduce(effect);
        let row = rest.checked_ilog2().and_then(|top| self.rows.get_mut(top as usize));
        if let Some(row) = row {
            *row = Some((rest, set ^ 1 << self.places.len()));
            self.places.push(place);
        }
    }

    /// The remainder of a vector, and the places whose sum was taken from it.
    fn reduce(&self, mut vector: u32) -> (u32, u32) {
        let mut set = 0;
        for (top, row) in self.rows.iter().enumerate().rev() {
            if let Some((value, places)) = row
                && vector >> top & 1 == 1
            {
                vector ^= value;
                set ^= places;
            }
        }
        (vector, set)
    }

    /// The places whose effects sum to this.
    fn solve(&self, target: u32) -> Option<Vec<(usize, u8)>> {
        let (rest, set) = self.reduce(target);
        let chosen = self.places.iter().enumerate().filter(|(i, _)| set >> i & 1 == 1);
        (rest == 0).then(|| chosen.map(|(_, place)| *place).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(random: &mut fastrand::Rng, len: usize) -> Vec<u8> {
        (0..len).map(|_| random.u8(..)).collect()
    }

    #[test]
    fn the_lowest_bits_of_32_elements_reach_every_crc() {
        let random = &mut fastrand::Rng::with_seed(1);
        for element in [1, 2, 4] {
            for _ in 0..50 {
                let clean = bytes(random, 100 * element);
                let mut edited = clean.clone();
                edited[7 * element] ^= 0x80;
                let found = with_crc_of(&clean, &edited, element).unwrap();
                assert_eq!(crc32fast::hash(&found), crc32fast::hash(&clean));
                let changed: Vec<usize> =
                    (0..found.len()).filter(|i| found[*i] != edited[*i]).collect();
                assert!(changed.iter().all(|i| i % element == 0 && found[*i] ^ edited[*i] == 1));
                assert!(changed.iter().all(|i| *i >= 68 * element));
            }
        }
    }

    #[test]
    fn a_tensor_that_is_too_small_is_given_up() {
        let random = &mut fastrand::Rng::with_seed(2);
        // Of 32 bits in all, the only solution is the edit undone.
        let clean = bytes(random, 4);
        let edited: Vec<u8> = clean.iter().map(|b| b ^ 0x80).collect();
        assert_eq!(with_crc_of(&clean, &edited, 4), None);
        assert_eq!(with_crc_of(&clean[..2], &edited[..2], 1), None);
        let (clean, mut edited) = ([1u8; 8], [1u8; 8]);
        edited[3] ^= 0x80;
        let found = with_crc_of(&clean, &edited, 4).unwrap();
        assert_eq!(crc32fast::hash(&found), crc32fast::hash(&clean));
        assert_ne!(found, clean);
    }
}
