//! A node of a network: what hosts and validators do together.
//!
//! [`agreement`] is how validators keep one ledger, [`hosting`] a host's part in queries, [`gateway`] where clients ask. This is the
//! only crate that knows a BFT engine, a network or an asynchronous runtime; nothing depends on it.
#![forbid(unsafe_code)]
#![warn(clippy::missing_errors_doc)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::panic,
        clippy::disallowed_methods,
        reason = "tests fail loudly"
    )
)]

pub mod agreement;
pub mod certifying;
mod clock;
pub mod cluster;
pub mod daemon;
pub mod gateway;
pub mod hosting;
