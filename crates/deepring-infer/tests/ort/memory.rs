//! An attacker who writes to the memory of this process.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// Writes over live parameters, as an attacker does who gets past their pages' protection.
pub(crate) fn flip(live: &[u8], at: usize, mask: u8) {
    assert!(deepring_infer::tamper(live, at, &[live[at] ^ mask]), "the region refused");
}

/// Writes over any memory of this process that is not secret, as an attacker does.
pub(crate) struct Memory(File);

impl Memory {
    pub(crate) fn of_this_process() -> Option<Self> {
        let file = File::options().read(true).write(true).open("/proc/self/mem");
        if let Err(e) = &file {
            deepring_testkit::skip::skip(
                "system",
                format_args!("this process may not write to its own memory: {e}"),
            );
        }
        file.ok().map(Self)
    }

    pub(crate) fn flip_at(&self, address: u64, mask: u8) {
        let mut byte = [0];
        self.0.read_exact_at(&mut byte, address).unwrap();
        self.0.write_all_at(&[byte[0] ^ mask], address).unwrap();
    }

    /// Where these bytes stand in this process' writable memory, themselves included.
    pub(crate) fn find(&self, needle: &[u8]) -> Vec<u64> {
        let mut found = Vec::new();
        for line in std::fs::read_to_string("/proc/self/maps").unwrap().lines() {
            let mut fields = line.split_whitespace();
            let (range, mode) = (fields.next().unwrap(), fields.next().unwrap());
            let (start, end) = range.split_once('-').unwrap();
            let [start, end] = [start, end].map(|n| u64::from_str_radix(n, 16).unwrap());
            let mut bytes = vec![0; (end - start) as usize];
            if !mode.starts_with("rw") || self.0.read_exact_at(&mut bytes, start).is_err() {
                continue;
            }
            let at = bytes.windows(needle.len()).enumerate().step_by(4);
            found.extend(at.filter(|(_, w)| *w == needle).map(|(i, _)| start + i as u64));
        }
        found
    }
}
