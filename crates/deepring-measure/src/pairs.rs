//! Runs in turn: what is measured beside what it is compared with.

use std::time::{Duration, Instant};

/// Something that runs once and says how long it took, setting up and clearing away not counted.
pub type Timed<'a, E> = Box<dyn FnMut() -> Result<Duration, E> + 'a>;

/// One run of what is compared with, and one of what is measured, next to each other.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    /// The time of what is compared with.
    pub base: Duration,
    /// The time of what is measured.
    pub measured: Duration,
}

/// Numbers of runs of the two.
#[derive(Debug, Clone, Copy)]
pub struct Rounds {
    /// Unmeasured runs of each at first: neither side is to pay for the first touch of its memory, nor for a choice that
    /// is made by what first uses cost.
    pub warm_up: usize,
    /// Pairs that are measured.
    pub pairs: usize,
    /// True if runs of less than 5 ms are repeated, up to 50 times as many pairs: of so short ones, the clock and the
    /// scheduler show.
    pub more_of_short: bool,
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
///
/// # Errors
/// The first error of either; nothing runs after it.
pub fn in_turn<E>(
    base: &mut dyn FnMut() -> Result<Duration, E>,
    measured: &mut dyn FnMut() -> Result<Duration, E>,
    rounds: Rounds,
) -> Result<Vec<Pair>, E> {
    let mut shortest = SHORT;
    for _ in 0..rounds.warm_up {
        shortest = shortest.min(base()?);
        measured()?;
    }
    let times = match rounds.more_of_short {
        true => SHORT.as_nanos().div_ceil(shortest.as_nanos().max(1)).clamp(1, MOST_TIMES),
        false => 1,
    };
    let count = rounds.pairs.saturating_mul(usize::try_from(times).unwrap_or(1));
    let mut pairs = Vec::with_capacity(count);
    for round in 0..count {
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

/// The time that `work` takes, and what it returned, which is dropped only after the clock was read.
///
/// # Errors
/// Those of `work`.
pub fn timed<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<(Duration, T), E> {
    let start = Instant::now();
    let done = work()?;
    Ok((start.elapsed(), std::hint::black_box(done)))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::convert::Infallible;

    use super::*;

    #[test]
    fn each_is_first_by_turns() {
        let order = RefCell::new(String::new());
        let run = |name: char, ms: u64| -> Timed<'_, Infallible> {
            let order = &order;
            Box::new(move || {
                order.borrow_mut().push(name);
                Ok(Duration::from_millis(ms))
            })
        };
        let rounds = Rounds { warm_up: 3, pairs: 4, more_of_short: true };
        let Ok(pairs) = in_turn(&mut run('-', 10), &mut run('a', 20), rounds);
        assert_eq!(*order.borrow(), "-a-a-a-aa--aa-");
        assert_eq!(pairs.len(), 4);
        for pair in pairs {
            assert_eq!(pair.base, Duration::from_millis(10));
            assert_eq!(pair.measured, Duration::from_millis(20));
        }
    }

    #[test]
    fn short_runs_are_repeated_more_often() {
        let run =
            |us: u64| -> Timed<'_, Infallible> { Box::new(move || Ok(Duration::from_micros(us))) };
        for (us, many) in [(6_000, 3), (2_500, 6), (60, 150), (0, 150)] {
            for (more_of_short, due) in [(true, many), (false, 3)] {
                let rounds = Rounds { warm_up: 1, pairs: 3, more_of_short };
                let Ok(pairs) = in_turn(&mut run(us), &mut run(1), rounds);
                assert_eq!(pairs.len(), due, "{us}");
            }
        }
    }

    #[test]
    fn nothing_runs_after_an_error() {
        let ran = RefCell::new(0);
        let mut fails = || -> Result<Duration, &str> { Err("broken") };
        let mut counts = || {
            *ran.borrow_mut() += 1;
            Ok(Duration::ZERO)
        };
        let rounds = Rounds { warm_up: 0, pairs: 3, more_of_short: false };
        assert_eq!(in_turn(&mut counts, &mut fails, rounds).unwrap_err(), "broken");
        assert_eq!(*ran.borrow(), 1);
    }
}
