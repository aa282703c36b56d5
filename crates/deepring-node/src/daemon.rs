//! `deepringd`: one process that votes, hosts its legs and answers clients.

pub mod config;
