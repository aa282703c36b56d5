//! A party's own part: its node's keys, and the request by which it joins.

use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr;

use deepring::files::{read_plain_text, replace_file, write_key_pair};
use deepring::keys::Node;
use deepring::{Host, PublicKey, SecretKey};
use serde::{Deserialize, Serialize};

use super::addresses::Addresses;
use super::error::ClusterError;
use super::whole_folder::{WholeFolder, private_folder};

/// The file of a request in a node's folder.
pub(super) const REQUEST: &str = "join.toml";
const MAX_REQUEST: u64 = 1 << 14;

/// Public keys and addresses of a node that is to join: nothing in it is secret, and nothing in it is proven before the node
/// is connected to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// The node's public key.
    pub node: String,
    /// Its host's public key.
    pub host: String,
    /// Where other validators reach it.
    pub validator: SocketAddr,
    /// Where other hosts reach it.
    pub hosting: SocketAddr,
    /// Where clients are to reach it, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<SocketAddr>,
}

/// A request whose keys were parsed.
#[derive(Debug, Clone)]
pub(super) struct ParsedRequest {
    pub(super) request: JoinRequest,
    pub(super) node: PublicKey<Node>,
    pub(super) host: PublicKey<Host>,
}

impl JoinRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// [`ClusterError::Io`] and [`ClusterError::Request`].
    pub fn read(path: &Path) -> Result<Self, ClusterError> {
        let text = read_plain_text(path, MAX_REQUEST).map_err(ClusterError::io(path))?;
        let bad = |why: String| ClusterError::Request { path: path.to_owned(), why };
        let request: Self =
            toml::from_str(&text).map_err(|e| bad(e.to_string().trim_end().to_owned()))?;
        request.parsed().map_err(bad)?;
        Ok(request)
    }

    pub(super) fn parsed(&self) -> Result<ParsedRequest, String> {
        let node = PublicKey::from_str(&self.node).map_err(|e| format!("node: {e}"))?;
        let host = PublicKey::from_str(&self.host).map_err(|e| format!("host: {e}"))?;
        Ok(ParsedRequest { request: self.clone(), node, host })
    }

    /// The request as it is written.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }
}

/// Makes a node's keys and its request in a new folder.
///
/// # Errors
/// [`ClusterError::Unreachable`], [`ClusterError::Twice`], [`ClusterError::Exists`], [`ClusterError::NoRandomness`], [`ClusterError::Key`] and [`ClusterError::Io`].
pub fn init_node(
    folder: &Path,
    (validator, hosting): (SocketAddr, SocketAddr),
    gateway: Option<SocketAddr>,
) -> Result<JoinRequest, ClusterError> {
    Addresses::default().add_all((validator, hosting), gateway)?;
    let whole = WholeFolder::begin(folder)?;
    let request = write_node(whole.path(), (validator, hosting), gateway)?;
    whole.commit()?;
    Ok(request)
}

/// Writes a node's keys and its request into a folder.
pub(super) fn write_node(
    folder: &Path,
    (validator, hosting): (SocketAddr, SocketAddr),
    gateway: Option<SocketAddr>,
) -> Result<JoinRequest, ClusterError> {
    private_folder(folder).map_err(ClusterError::io(folder))?;
    let (node, host) = (SecretKey::<Node>::generate()?, SecretKey::<Host>::generate()?);
    write_key_pair(folder, &node)?;
    write_key_pair(folder, &host)?;
    let request = JoinRequest {
        node: node.public().to_string(),
        host: host.public().to_string(),
        validator,
        hosting,
        gateway,
    };
    let path = folder.join(REQUEST);
    replace_file(&path, request.to_toml().as_bytes()).map_err(ClusterError::io(&path))?;
    Ok(request)
}
