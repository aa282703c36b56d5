//! Runs in turn: what is measured beside what it is compared with.

use std::time::{Duration, Instant};

use super::WARM_UP;
use crate::error::CliError;

/// Something that runs once and says how long it took, setting up and clearing away not counted.
pub(super) type Timed<'a> = Box<dyn FnMut() -> Result<Duration, CliError> + 'a>;

/// One run of what is compared with, and one of what is measured, next to each other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    pub(super) base: Duration,
    pub(super) measured: Duration,
}

/// Below this, a run is so short that the clock and the scheduler show: more pairs are made.
const SHORT: Duration = Duration::from_millis(5);
/// At most so many times the pairs asked for.
const MOST_TIMES: u128 = 50;

/// Runs the two by turns, and which of them is first in a pair by turns as well, so that what one run leaves
/// behind for the next meets both alike.
///
/// Two at a time and no more: with three in rotation around a base, the base runs more often than each of them
/// and finds more of itself in the caches. They would seem slower for it.
pub(super) fn in_turn(
    base: &mut Timed<'_>,
    measured: &mut Timed<'_>,
    repeat: usize,
) -> Result<Vec<Pair>, CliError> {
    let mut shortest = Duration::MAX;
    for _ in 0..WARM_UP {
        shortest = shortest.min(base()?);
        measured()?;
    }
    let times = SHORT.as_nanos().div_ceil(shortest.as_nanos().max(1)).clamp(1, MOST_TIMES);
    let rounds = repeat.saturating_mul(usize::try_from(times).unwrap_or(1));
    let mut pairs = Vec::with_capacity(rounds);
    for round in 0..rounds {
        pairs.push(if round % 2 == 0 {
            let base = base()?;
            Pair { base, measured: measured()? }
        } else {
            let measured = measured()?;
            Pair { base: base()?, measured }
        });
    }
    Ok(pairs)
}

/// How long `work` takes. What it gives is dropped only after the clock was read.
pub(super) fn timed<T>(
    work: impl FnOnce() -> Result<T, CliError>,
) -> Result<(Duration, T), CliError> {
    let start = Instant::now();
    let done = work()?;
    Ok((start.elapsed(), std::hint::black_box(done)))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn each_is_first_by_turns() {
        let order = RefCell::new(String::new());
        let run = |name: char, ms: u64| -> Timed<'_> {
            let order = &order;
            Box::new(move || {
                order.borrow_mut().push(name);
                Ok(Duration::from_millis(ms))
            })
        };
        let pairs = in_turn(&mut run('-', 10), &mut run('a', 20), 4).unwrap();
        assert_eq!(*order.borrow(), "-a-a-a-aa--aa-");
        assert_eq!(pairs.len(), 4);
        for pair in pairs {
            assert_eq!(pair.base, Duration::from_millis(10));
            assert_eq!(pair.measured, Duration::from_millis(20));
        }
    }

    #[test]
    fn short_runs_are_repeated_more_often() {
        let run = |us: u64| -> Timed<'_> { Box::new(move || Ok(Duration::from_micros(us))) };
        for (us, pairs) in [(6_000, 3), (2_500, 6), (60, 150), (0, 150)] {
            assert_eq!(in_turn(&mut run(us), &mut run(1), 3).unwrap().len(), pairs);
        }
    }
}
