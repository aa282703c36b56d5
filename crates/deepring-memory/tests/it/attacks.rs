//! Attacks that are stopped and that are not: each way to a process's memory, by its own user and by root, on each kind of region.
//!
//! `cargo test -p deepring-memory --test it attacks -- --nocapture` prints the table as Markdown. It needs
//! root, to act as somebody else; other users see it skipped.

use std::io;

use deepring_memory::{Region, Use, harden_process};

use crate::attacker::METHODS;
use crate::child::{NOBODY, Role, has_secret_memory, is_root, role, tell, wait};

/// A frozen region of each use, and the heap to compare with.
const PLACES: [&str; 4] = ["heap", "Bulk", "SmallParameters", "Secrets"];
const BEFORE: u64 = 0x0707_0707_0707_0707;

/// In the child that is attacked: tells where its memory is, and later what is there.
fn victim(hardened: bool) {
    if hardened {
        let got = harden_process();
        assert!(got.not_dumpable && got.no_core);
    }
    let heap = vec![7_u8; 64];
    let regions = [Use::Bulk, Use::SmallParameters, Use::Secrets].map(|purpose| {
        let mut region = Region::new(64, purpose).unwrap();
        region.bytes_mut().fill(7);
        region.freeze();
        region
    });
    let bytes = || {
        let heap = std::hint::black_box(heap.as_slice());
        [heap, regions[0].bytes(), regions[1].bytes(), regions[2].bytes()]
    };
    let addresses = bytes().map(|b| format!("{:x}", b.as_ptr() as usize));
    tell(&addresses.join(" "));
    for _ in METHODS {
        wait();
        let values = bytes().map(|b| u64::from_ne_bytes(*b.first_chunk().unwrap()).to_string());
        tell(&values.join(" "));
    }
    wait();
}

/// In the child that attacks: tries one way on each address, and tells what came of it.
fn attack(arguments: &str) {
    let mut words = arguments.split(' ');
    let pid = words.next().unwrap().parse().unwrap();
    let addresses: Vec<usize> = words.map(|w| usize::from_str_radix(w, 16).unwrap()).collect();
    for (n, way) in (1_u64..).zip(METHODS) {
        let told: Vec<String> = addresses
            .iter()
            .map(|at| {
                let read = way.read(pid, *at).is_ok();
                let write = word(way.write(pid, *at, n));
                format!("{}/{write}", if read { "read" } else { "-" })
            })
            .collect();
        tell(&told.join(" "));
        wait();
    }
}

fn word(outcome: io::Result<()>) -> String {
    match outcome {
        Ok(()) => "written".to_owned(),
        Err(e) => e.raw_os_error().map_or_else(|| "short".to_owned(), |e| format!("errno{e}")),
    }
}

/// The access that one way had to one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Access {
    read: bool,
    written: bool,
}

impl Access {
    fn text(self) -> &'static str {
        match (self.read, self.written) {
            (true, true) => "reads, writes",
            (true, false) => "reads",
            (false, true) => "writes",
            (false, false) => "refused",
        }
    }
}

/// By way, then by place.
type Rows = [[Access; 4]; 3];

/// Has an attacker of one user go at a victim of another.
fn rows(test: &str, hardened: bool, victim_is: u32, attacker_is: Option<u32>) -> Rows {
    let role = if hardened { "hardened" } else { "plain" };
    let mut victim = Role::start(test, role, Some(victim_is));
    let addresses = victim.hear();
    let mut attacker =
        Role::start(test, &format!("attack {} {addresses}", victim.pid()), attacker_is);
    let mut before = [BEFORE; 4];
    METHODS.map(|way| {
        let told = attacker.hear();
        victim.go_on();
        let now = victim.hear();
        // Only now may the next way be tried.
        attacker.go_on();
        let mut now = now.split(' ').map(|w| w.parse::<u64>().unwrap());
        let mut told = told.split(' ');
        std::array::from_fn(|place| {
            let now = now.next().unwrap();
            let (read, wrote) = told.next().unwrap().split_once('/').unwrap();
            let changed = now != before[place];
            before[place] = now;
            // What the system says to the attacker, and what the victim sees, must agree.
            assert_eq!(wrote == "written", changed, "{} {}: {wrote}", way.name(), PLACES[place]);
            Access { read: read == "read", written: changed }
        })
    })
}

#[test]
fn what_stops_whom() {
    const TEST: &str = "attacks::what_stops_whom";
    match role().as_deref() {
        Some("plain") => return victim(false),
        Some("hardened") => return victim(true),
        Some(role) => return attack(role.strip_prefix("attack ").unwrap()),
        None => {}
    }
    if !is_root() {
        crate::skip::skip("system", "it needs root to act as two users");
        return;
    }
    let secret = has_secret_memory();
    println!("| attacker | process | by | {} |", PLACES.join(" | "));
    println!("|---|---|---|---|---|---|---|");
    let open = Access { read: true, written: true };
    let refused = Access { read: false, written: false };
    for (who, attacker, victim) in
        [("same user", Some(NOBODY), NOBODY), ("root", None, NOBODY), ("root", None, 0)]
    {
        for hardened in [false, true] {
            let rows = rows(TEST, hardened, victim, attacker);
            for (way, cells) in METHODS.iter().zip(rows) {
                let process = format!(
                    "{}, {}",
                    if victim == 0 { "root's" } else { "a user's" },
                    if hardened { "hardened" } else { "as it is" }
                );
                let texts = cells.map(Access::text).join(" | ");
                println!("| {who} | {process} | `{}` | {texts} |", way.name());

                let case = format!("{who}, {process}, {}", way.name());
                if who == "same user" && hardened {
                    assert_eq!(cells, [refused; 4], "{case}");
                    continue;
                }
                // Nothing but what is measured stands in the attacker's way.
                assert_eq!(cells[0], open, "{case}");
                if way.name() == "process_vm" {
                    assert!(!cells[1].written, "{case}");
                }
                if secret {
                    assert_eq!(cells[2..], [refused; 2], "{case}");
                }
            }
        }
    }
}
