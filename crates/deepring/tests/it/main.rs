//! The crate from outside: what holds, and for each check the input that it refuses.
#![allow(clippy::cast_possible_truncation, reason = "tests handle a few kilobytes")]

mod every_bit;
mod forge;
mod round_trip;
mod small_ring;
