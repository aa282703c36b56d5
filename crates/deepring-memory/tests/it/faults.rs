//! A stray write inside the process ends it, before anything is changed.

use std::os::unix::process::ExitStatusExt as _;

use deepring_memory::{Region, Use};

use crate::attacker::stray_write;
use crate::child::{Role, role};

const SIGSEGV: i32 = 11;
/// More than a page, and no whole number of them.
const LEN: usize = 5000;

fn use_named(name: &str) -> Use {
    match name {
        "secrets" => Use::Secrets,
        "small" => Use::SmallParameters,
        _ => Use::Bulk,
    }
}

/// In a child: the address that a case writes to.
fn address(case: &str) -> (Region, usize) {
    let (purpose, place) = case.split_once(' ').unwrap();
    let len = if place.starts_with("huge") { 5 << 20 } else { LEN };
    let mut region = Region::new(len, use_named(purpose)).unwrap();
    region.bytes_mut().fill(7);
    let first = region.bytes().as_ptr() as usize;
    let end = first + len.next_multiple_of(4096);
    let address = match place {
        "writable" => first,
        "frozen" | "huge frozen" => {
            region.freeze();
            first
        }
        "frozen end" => {
            region.freeze();
            end - 1
        }
        "before" | "huge before" => first - 1,
        _ => end,
    };
    (region, address)
}

#[test]
fn stray_writes_to_frozen_pages_and_to_guards_fault() {
    const TEST: &str = "faults::stray_writes_to_frozen_pages_and_to_guards_fault";
    if let Some(case) = role() {
        let (region, address) = address(&case);
        stray_write(address);
        drop(region);
        return;
    }
    for purpose in ["secrets", "small", "bulk"] {
        let ends = |place: &str| Role::start(TEST, &format!("{purpose} {place}"), None).end();
        assert!(ends("writable").success(), "{purpose}: the write itself does no harm");
        for place in
            ["frozen", "frozen end", "before", "after", "huge frozen", "huge before", "huge after"]
        {
            assert_eq!(ends(place).signal(), Some(SIGSEGV), "{purpose} {place}");
        }
    }
}
