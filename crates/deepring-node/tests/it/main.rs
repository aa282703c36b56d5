//! Validators as their users see them, over a simulated network in virtual time: each test with several seeds.
// Clippy knows a test by its attribute; the functions that tests share are tests too.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod agreement;
mod byzantine;
mod cluster;
mod faults;
mod hosting;
mod joining;
mod mending;
mod net;
mod processes;
mod said;
mod succession;
mod terms;
