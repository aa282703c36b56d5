//! The crate from outside: what holds, and for each check the input that it refuses.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what a test needs is there, or the test has failed"
)]

mod attested;
mod audit;
mod child;
mod chunk_repair;
mod copies;
mod crash;
mod dealing;
mod dealt_ring;
mod disputes;
mod driver;
mod every_bit;
mod evidence;
mod forge;
mod forge_outline;
mod forge_record;
mod fuzz_seeds;
mod grant;
mod keys;
mod opening;
mod outlines;
mod parcels;
mod passphrases;
mod rearranged;
mod receipts;
mod receipts_coverage;
mod receipts_forged;
mod repair;
mod replicated;
mod round_trip;
mod sealing;
mod segments;
mod sharing;
mod signed_nonsense;
mod signers;
#[path = "../../../deepring-testkit/src/skip.rs"]
mod skip;
mod small_query;
mod small_ring;
mod truncation;
mod trust;
mod trust_memory;
mod validated;
mod vectors;
mod vectors_chains;
mod vectors_dealt;
mod vectors_evidence;
mod vectors_generate;
mod vectors_nonsense;
mod vectors_outlines;
mod vectors_records;
mod vectors_required;
mod vectors_validated;
mod vectors_weights;
mod vectors_weights_generate;
mod weights;
mod weights_folder;
