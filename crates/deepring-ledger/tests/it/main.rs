//! Ledgers as their users see them: recording, proving, crashes and tampering.
// Clippy knows a test by its attribute; the functions that tests share are tests too.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod append;
mod authority;
mod beside;
mod certificate;
mod crash;
mod full;
mod fuzz_seeds;
mod heights;
mod kept;
mod policy;
mod proofs;
mod quarantine;
mod rows;
mod sample;
mod signers;
#[path = "../../../deepring-testkit/src/skip.rs"]
mod skip;
mod tamper;
mod tiles;
mod vectors_authority;
mod vectors_certificates;
mod vectors_damaged;
mod vectors_entries;
mod vectors_histories;
mod vectors_keys;
mod vectors_ledger;
mod vectors_logs;
mod witnesses;

use deepring_testkit::rings;
