//! A network of one machine, to try it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use super::addresses::Addresses;
use super::assemble::{self, Assembled, NetworkPlan};
use super::error::ClusterError;
use super::request::write_node;
use super::whole_folder::WholeFolder;
use crate::daemon::MAX_PEERS;

/// Ports of a node: for validators, for hosts, for clients.
const PORTS: usize = 3;

/// How many nodes, and where they listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalPlan {
    /// Number of nodes.
    pub nodes: usize,
    /// Node `n` (from 0) listens on the three ports from `first_port + 3 n` on, on the loopback address.
    pub first_port: u16,
}

/// Makes a new folder with everything that the nodes of a network on this machine need, their keys among it.
///
/// # Errors
/// [`ClusterError`]. Nothing is left behind.
pub fn init(
    plan: &NetworkPlan<'_>,
    local: LocalPlan,
    folder: &Path,
) -> Result<Assembled, ClusterError> {
    let LocalPlan { nodes, first_port } = local;
    let least = plan.copies.count();
    if !(least..=MAX_PEERS).contains(&nodes) {
        return Err(ClusterError::Nodes { nodes, least, most: MAX_PEERS });
    }
    assemble::refuse_origin(plan.origin)?;
    let at = |port: usize| {
        let port = u16::try_from(port + usize::from(first_port));
        let port = port.map_err(|_| ClusterError::Ports { nodes, first: first_port })?;
        Ok::<_, ClusterError>(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    };
    let (mut places, mut all) = (Vec::new(), Addresses::default());
    for first in (0..nodes).map(|n| PORTS * n) {
        let addresses = ((at(first)?, at(first + 1)?), Some(at(first + 2)?));
        all.add_all(addresses.0, addresses.1)?;
        places.push(addresses);
    }
    let whole = WholeFolder::begin(folder)?;
    let (mut names, mut requests) = (Vec::new(), Vec::new());
    for (n, (addresses, gateway)) in (1..).zip(places) {
        let name = format!("node-{n}");
        requests.push(write_node(&whole.path().join(&name), addresses, gateway)?);
        names.push(name);
    }
    let joining = assemble::joining(&requests, plan.copies)?;
    let assembled = assemble::write(plan, &joining, names, whole.path())?;
    whole.commit()?;
    Ok(assembled)
}
