//! Fixtures for the tests of several crates. Not published, and no crate's but for its tests.
//!
//! `graphs` builds small ONNX networks, `zoo` has the committed ones and seals rings of them, `running` runs cut blocks
//! on the bare engine, [`plans`] has pieces of rings that compute nothing, [`rings`]
//! seals such rings and comes to decisions by them, [`skip`] says what cannot be tested here. All of it
//! fails loudly: a fixture that cannot be made is a failed test.
#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "fixtures of tests fail loudly"
)]

#[cfg(feature = "networks")]
pub mod graphs;
pub mod plans;
pub mod rings;
#[cfg(feature = "networks")]
pub mod running;
pub mod skip;
#[cfg(feature = "networks")]
pub mod zoo;
