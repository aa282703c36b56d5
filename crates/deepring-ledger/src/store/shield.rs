//! The shield around the database library: its panics become errors of the ledger.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::error::LedgerError;

/// Runs database work and turns a panic inside redb into an error.
///
/// This is the only place that catches panics. redb checks a file before it trusts it
/// ([`Store::open`](super::Store::open)), and a file that passes that check is read without panicking unless an
/// attacker computed its unkeyed checksums anew. Against such a file, this is the last line: the
/// ledger is damaged, and reported so, instead of taking the process with it. (The panic's message
/// still goes through the process's panic hook, which can ask [`in_database`].)
pub(super) fn shielded<T>(
    path: &Path,
    work: impl FnOnce() -> Result<T, LedgerError>,
) -> Result<T, LedgerError> {
    let _within = Within::enter();
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(LedgerError::damaged(path, format!("reading it failed: {}", message(&*panic))))
    })
}

thread_local! {
    static WITHIN: Cell<u32> = const { Cell::new(0) };
}

/// A piece of database work on this thread, until it is dropped, also by a panic.
struct Within;

impl Within {
    fn enter() -> Self {
        WITHIN.set(WITHIN.get().saturating_add(1));
        Self
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        WITHIN.set(WITHIN.get().saturating_sub(1));
    }
}

/// Returns whether this thread is reading or writing a ledger's database. A panic there is caught,
/// and its message is in the error; a program's panic hook can keep still about it. The ledger sets
/// no hook itself.
#[must_use]
pub fn in_database() -> bool {
    WITHIN.try_with(|within| within.get() > 0).unwrap_or(false)
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown reason")
}
