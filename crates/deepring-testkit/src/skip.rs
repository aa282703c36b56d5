//! A test, or a part of one, that cannot run here says so; and fails where somebody says that it must run.
//!
//! `DEEPRING_NO_SKIP` lists what is there, so that a test which lacks it fails: `packages` (programs and packages that a step installs),
//! `networks` (files that are not tracked), `system` (root, kinds of memory, tools of the system); or it is `1` for all of them.
//! The file stands alone: crates that must not depend on this one have it by its path.
#![allow(
    unreachable_pub,
    clippy::print_stdout,
    reason = "public where it is a module of a crate; tests print"
)]

/// Says why something is skipped that lacks what `need` says.
///
/// # Panics
/// Where `DEEPRING_NO_SKIP` says that it is there.
pub fn skip(need: &str, reason: impl std::fmt::Display) {
    assert!(["packages", "networks", "system"].contains(&need), "{need} is nothing to need");
    let there = std::env::var("DEEPRING_NO_SKIP").unwrap_or_default();
    let must = there == "1" || there.split(',').any(|one| one.trim() == need);
    assert!(!must, "DEEPRING_NO_SKIP={there}, and yet: {reason}");
    println!("skipped: {reason}");
}
