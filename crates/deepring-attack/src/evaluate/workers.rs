//! Independent pieces of work, one after the other on each of so many threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Stack of a thread, as much as a program's first thread commonly has.
const STACK: usize = 8 << 20;

/// Does all pieces, and gives what came of each in their order. After the first error no piece is begun.
///
/// These are threads of their own and not rayon's: the engine computes in a pool of its own, and a worker of rayon's
/// that waits for another pool begins further pieces meanwhile, each on the stack of the one before.
pub(super) fn side_by_side<P: Sync, T: Send, E: Send>(
    workers: usize,
    pieces: &[P],
    of: impl Fn(&P) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Result<T, E>)>> = Mutex::new(Vec::with_capacity(pieces.len()));
    let lane = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(piece) = pieces.get(at) else { return };
            let result = of(piece);
            if result.is_err() {
                next.store(pieces.len(), Ordering::Relaxed);
            }
            done.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
        }
    };
    std::thread::scope(|scope| {
        let mut started = 0;
        for _ in 1..workers.min(pieces.len()) {
            let thread = std::thread::Builder::new().stack_size(STACK);
            started += usize::from(thread.spawn_scoped(scope, lane).is_ok());
        }
        tracing::debug!(started, "workers");
        lane();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_done_once_and_in_its_place() {
        let pieces: Vec<usize> = (0..100).collect();
        for workers in [1, 3, 200] {
            let done: Result<Vec<usize>, ()> = side_by_side(workers, &pieces, |p| Ok(p * 2));
            assert_eq!(done.unwrap(), (0..100).map(|p| p * 2).collect::<Vec<_>>());
        }
        assert_eq!(side_by_side(4, &pieces, |p| if *p == 50 { Err(*p) } else { Ok(()) }), Err(50));
    }

    /// With rayon's workers in the engine's place: each piece waits for another pool.
    #[test]
    fn pieces_that_wait_for_another_pool_do_not_pile_up() {
        use std::cell::Cell;
        thread_local!(static DEPTH: Cell<usize> = const { Cell::new(0) });
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let pieces: Vec<usize> = (0..200).collect();
        let deepest = side_by_side(2, &pieces, |_| {
            let depth = DEPTH.get() + 1;
            DEPTH.set(depth);
            pool.install(std::thread::yield_now);
            DEPTH.set(depth - 1);
            Ok::<_, ()>(depth)
        });
        assert_eq!(deepest.unwrap().into_iter().max(), Some(1));
    }
}
