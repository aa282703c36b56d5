//! Where the nodes of a network are: at addresses that can be reached, none of them twice.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use super::error::ClusterError;

/// The addresses of a network's nodes.
#[derive(Debug, Default)]
pub(super) struct Addresses(BTreeSet<(IpAddr, u16)>);

impl Addresses {
    /// Adds one. An IPv4 address is the same in IPv6's writing.
    pub(super) fn add(&mut self, at: SocketAddr) -> Result<(), ClusterError> {
        let (ip, port) = (at.ip().to_canonical(), at.port());
        let everybody = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast()) || ip.is_multicast();
        let why = if port == 0 {
            "no port is 0"
        } else if ip.is_unspecified() {
            "it stands for all addresses of a machine, and leads to none"
        } else if everybody {
            "it is not of one machine"
        } else if !self.0.insert((ip, port)) {
            return Err(ClusterError::Twice { what: "address", value: at.to_string() });
        } else {
            return Ok(());
        };
        Err(ClusterError::Unreachable { at, why })
    }

    /// Adds those of a node.
    pub(super) fn add_all(
        &mut self,
        (validator, hosting): (SocketAddr, SocketAddr),
        gateway: Option<SocketAddr>,
    ) -> Result<(), ClusterError> {
        [validator, hosting].into_iter().chain(gateway).try_for_each(|at| self.add(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_that_leads_to_no_node_is_refused_by_name() {
        for bad in [
            "127.0.0.1:0",
            "0.0.0.0:0",
            "0.0.0.0:4100",
            "[::]:4100",
            "[::ffff:0.0.0.0]:4100",
            "[::1]:0",
            "224.0.0.1:4100",
            "255.255.255.255:4100",
            "[ff02::1]:4100",
        ] {
            let refused = Addresses::default().add(at(bad)).unwrap_err();
            assert!(matches!(refused, ClusterError::Unreachable { .. }), "{bad}: {refused}");
            assert!(refused.to_string().contains(bad), "{refused}");
        }
    }

    #[test]
    fn an_address_is_one_however_it_is_written() {
        for (one, other) in [
            ("192.0.2.1:4100", "192.0.2.1:4100"),
            ("192.0.2.1:4100", "[::ffff:192.0.2.1]:4100"),
            ("[fe80::1%1]:4100", "[fe80::1%2]:4100"),
        ] {
            let mut addresses = Addresses::default();
            addresses.add(at(one)).unwrap();
            let twice = addresses.add(at(other));
            assert!(matches!(twice, Err(ClusterError::Twice { .. })), "{one} {other}: {twice:?}");
            addresses.add(at("192.0.2.1:4101")).unwrap();
            addresses.add(at("192.0.2.2:4100")).unwrap();
        }
    }
}
