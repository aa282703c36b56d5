//! The bytes that products cover, compared a share at a time, in an order that is secret and dealt anew each round.

use std::sync::{Mutex, MutexGuard, PoisonError};

use deepring_memory::{Region, Use};

/// Uses within which every byte under a product is compared, whatever came between.
pub(crate) const ROTATION: u16 = 64;
/// Turns of a round. A piece has one turn in each round, so that two of its turns are less than two rounds apart.
const TURNS: u32 = ROTATION as u32 / 2;

/// Words before the order: uses so far (two words), and pieces.
const HEAD: usize = 2;

/// Whose turn it is. Counter and order lie in secret memory: who could read them would know when to lift an edit, who
/// could write them would stop the rotation.
pub(crate) struct Rotation {
    state: Mutex<Region>,
}

/// One use's turn.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RotationTurn {
    /// How many uses came before.
    pub(crate) use_number: u64,
    /// How many pieces are dealt in a round.
    pub(crate) dealt: usize,
    /// The pieces to compare.
    pub(crate) pieces: Vec<u32>,
}

impl Rotation {
    /// Deals these pieces. `None` without memory or randomness.
    pub(crate) fn new(pieces: &[u32]) -> Option<Self> {
        let words = pieces.len().checked_add(HEAD)?;
        let mut state = Region::new(words.checked_mul(4)?, Use::Secrets)?;
        let all = words_mut(&mut state)?;
        all.get_mut(HEAD..)?.copy_from_slice(pieces);
        shuffle(all.get_mut(HEAD..)?)?;
        Some(Self { state: Mutex::new(state) })
    }

    /// Counts one use. `None` if there is no randomness to deal anew with.
    pub(crate) fn next(&self) -> Option<RotationTurn> {
        let mut state = self.lock();
        let words = words_mut(&mut state)?;
        let (head, order) = words.split_at_mut_checked(HEAD)?;
        let use_number = u64::from(*head.first()?) | u64::from(*head.get(1)?) << 32;
        let turn = (use_number % u64::from(TURNS)) as usize;
        if turn == 0 && use_number > 0 {
            shuffle(order)?;
        }
        let pieces = order.iter().skip(turn).step_by(TURNS as usize).copied().collect();
        let next = use_number.wrapping_add(1);
        *head.first_mut()? = next as u32;
        *head.get_mut(1)? = (next >> 32) as u32;
        Some(RotationTurn { use_number, dealt: order.len(), pieces })
    }

    fn lock(&self) -> MutexGuard<'_, Region> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Rotation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rotation")
    }
}

fn words_mut(region: &mut Region) -> Option<&mut [u32]> {
    bytemuck::try_cast_slice_mut(region.bytes_mut()).ok()
}

/// Fisher and Yates with the system's generator. `None` without randomness.
fn shuffle(items: &mut [u32]) -> Option<()> {
    let mut random = zeroize::Zeroizing::new(vec![0u8; items.len().checked_mul(8)?]);
    aws_lc_rs::rand::fill(&mut random).ok()?;
    let numbers = random.as_chunks().0.iter().map(|b| u64::from_le_bytes(*b));
    for (i, number) in numbers.enumerate().skip(1) {
        // A remainder of 64 bits is even to one part in 10^9 at least: pieces are numbered with 32.
        items.swap(i, (number % (i as u64 + 1)) as usize);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_piece_has_its_turn_within_the_promised_uses_and_no_two_rounds_are_alike() {
        for count in [0u32, 1, 5, 31, 32, 33, 200] {
            let pieces: Vec<u32> = (10..10 + count).collect();
            let rotation = Rotation::new(&pieces).unwrap();
            let mut last = vec![0u64; count as usize];
            let mut rounds: Vec<Vec<u32>> = Vec::new();
            for n in 1..=20 * u64::from(TURNS) {
                let turn = rotation.next().unwrap();
                assert_eq!(turn.use_number, n - 1);
                if (n - 1) % u64::from(TURNS) == 0 {
                    rounds.push(Vec::new());
                }
                rounds.last_mut().unwrap().extend(&turn.pieces);
                for piece in turn.pieces {
                    let place = &mut last[piece as usize - 10];
                    assert!(n - *place <= u64::from(ROTATION), "{count}: {} uses", n - *place);
                    *place = n;
                }
            }
            for round in &rounds {
                let mut sorted = round.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, pieces, "each once a round");
            }
            if count >= 31 {
                assert!(rounds.windows(2).all(|pair| pair[0] != pair[1]));
            }
        }
    }
}
