//! Seats that are taken and given back: so many in all, and of one payer at most a share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::rates::Payer;

/// The seats. Those of a payer are counted while he holds one, so what is kept of payers is bounded by the seats.
pub(crate) struct Seats {
    most: usize,
    taken: Mutex<SeatsTaken>,
}

#[derive(Default)]
struct SeatsTaken {
    all: usize,
    of: HashMap<Payer, usize>,
}

/// Why a seat is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoSeat {
    /// All are taken.
    Full,
    /// The payer holds its share.
    Share,
}

/// One seat, given back when it is dropped.
pub(crate) struct Seat {
    seats: Arc<Seats>,
    payer: Payer,
}

impl Seats {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default() })
    }

    /// Takes a seat for a payer who may hold `share` of them.
    pub(crate) fn take(self: &Arc<Self>, payer: Payer, share: usize) -> Result<Seat, NoSeat> {
        let mut taken = self.taken();
        let held = taken.of.get(&payer).copied().unwrap_or(0);
        if taken.all >= self.most {
            return Err(NoSeat::Full);
        }
        if held >= share {
            return Err(NoSeat::Share);
        }
        taken.all += 1;
        taken.of.insert(payer, held + 1);
        Ok(Seat { seats: Arc::clone(self), payer })
    }

    fn taken(&self) -> MutexGuard<'_, SeatsTaken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        taken.all = taken.all.saturating_sub(1);
        match taken.of.get_mut(&self.payer) {
            Some(held) if *held > 1 => *held -= 1,
            _ => {
                taken.of.remove(&self.payer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payer(n: u8) -> Payer {
        Payer::address([10, 0, 0, n].into())
    }

    #[test]
    fn a_payer_holds_its_share_and_all_hold_no_more_than_there_is() {
        let seats = Seats::new(3);
        let held = [1, 1].map(|n| seats.take(payer(n), 2).unwrap());
        assert_eq!(seats.take(payer(1), 2).err(), Some(NoSeat::Share));
        let other = seats.take(payer(2), 2).unwrap();
        assert_eq!(seats.take(payer(3), 2).err(), Some(NoSeat::Full));
        drop(other);
        assert_eq!(seats.take(payer(1), 2).err(), Some(NoSeat::Share));
        drop(held);
        let again = [1, 1, 2].map(|n| seats.take(payer(n), 2).unwrap());
        drop(again);
        // Of who holds nothing, nothing is kept.
        let taken = seats.taken();
        assert_eq!((taken.all, taken.of.len()), (0, 0));
    }
}
