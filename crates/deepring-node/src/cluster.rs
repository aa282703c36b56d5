//! Setting up a network of nodes, and running those of one machine.
//!
//! | step | by | makes |
//! |---|---|---|
//! | [`init_node`] | each party, for itself | a node's keys, which never leave it, and a [`JoinRequest`] of public keys and addresses |
//! | [`assemble()`] | the ring's owner | the deal, the validator set and each node's files, all but its keys |
//! | [`init()`] | somebody who tries it | both, for nodes of one machine |
//! | [`Running`] | the same | the nodes as processes, which end with it |
//!
//! A folder is made whole or not at all: it is written under another name, and renamed.

mod addresses;
mod assemble;
mod error;
mod init;
mod legs;
mod processes;
mod request;
mod whole_folder;

pub use crate::daemon::NodeState;
pub use assemble::{Assembled, NetworkPlan, assemble, new_origin};
pub use error::ClusterError;
pub use init::{LocalPlan, init};
pub use processes::{Looked, Running, node_folders, read_state, stop};
pub use request::{JoinRequest, init_node};
