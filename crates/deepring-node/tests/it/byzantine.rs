//! One validator of four lies, a file for each way to: nothing of it gets into a ledger, and the others go on.

mod checkpoints;
mod proposals;
mod votes;
