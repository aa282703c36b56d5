//! Entries of a ledger.
#![no_main]

use std::sync::LazyLock;

use deepring::keys::AuthorKey;
use deepring::{Host, SecretKey};
use deepring_ledger::Entry;
use deepring_ledger::entry::UnverifiedEntry;

/// The author of every entry here: a fuzzer cannot find a signature by itself.
static AUTHOR: LazyLock<AuthorKey> =
    LazyLock::new(|| SecretKey::<Host>::generate().expect("a key").into());

/// Where an entry names its author: role and key.
const NAMED: std::ops::Range<usize> = 50..115;
const SIGNATURE: usize = 64;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // As it is: nobody signed it.
    let _ = UnverifiedEntry::decode(bytes).map(UnverifiedEntry::verify);
    let Some(unsigned) = bytes.len().checked_sub(SIGNATURE).filter(|n| *n >= NAMED.end) else {
        return;
    };
    let mut bytes = bytes.to_vec();
    bytes[NAMED.start] = 1;
    bytes[NAMED.start + 1..NAMED.end].copy_from_slice(AUTHOR.public().as_bytes());
    let signature = AUTHOR.sign_entry(&bytes[..unsigned]).expect("a host signs");
    bytes[unsigned..].copy_from_slice(&signature);
    if let Ok(entry) = UnverifiedEntry::decode(&bytes) {
        let entry = entry.verify().expect("signed above");
        let again = Entry::sign(entry.binding(), entry.at(), entry.event(), &AUTHOR).expect("what was read");
        assert_eq!(again.as_bytes(), bytes, "accepted bytes are not canonical");
    }
});
