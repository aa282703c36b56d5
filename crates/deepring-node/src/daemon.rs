//! `deepringd`: one process that votes, hosts its legs and answers clients.
//!
//! [`NodeConfig`] is its file, [`run`] the node. Everything that the file names is read and verified before the first byte goes
//! over a network.

mod approving;
mod config;
mod disputes;
mod error;
mod joining;
mod material;
mod mending;
mod network;
mod node;
mod recording;
mod state;
mod upkeep;
mod voted;

pub use approving::{approve, withdraw};
pub use config::{
    CheckedConfig, CheckedPeer, ConfigError, HostSection, MAX_PEERS, NodeConfig, PeerSection,
    ValidatorSection,
};
pub use error::NodeError;
pub use joining::CopyError;
pub use node::{NodeProgress, StartOptions, run};
pub use state::NodeState;
