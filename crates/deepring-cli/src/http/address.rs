//! Addresses of servers, as command lines give them.

use std::net::{IpAddr, Ipv6Addr};

use crate::error::CliError;

/// Scheme, host and path of a server, and nothing else: no query, fragment or user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// Without the slash at its end.
    prefix: String,
}

impl Address {
    /// `of` is the kind of server, in a word.
    pub(crate) fn parse(text: &str, of: &str) -> Result<Self, CliError> {
        let web = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let plain = web.is_some_and(|rest| {
            !rest.is_empty()
                && !rest.starts_with(['/', ':'])
                && rest
                    .chars()
                    .all(|c| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '@' | '\\'))
        });
        if !plain {
            return Err(CliError::usage(format!("`{text}` is no prefix of a {of}"))
                .hint("give it as https://HOST/PATH, without query, fragment or user"));
        }
        Ok(Self { prefix: text.trim_end_matches('/').to_owned() })
    }

    /// The URL of what lies below it.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.prefix)
    }

    /// Whether others on the way can neither read nor change what is said.
    pub(crate) fn is_secure(&self) -> bool {
        self.prefix.starts_with("https://")
    }

    /// Whether it is on this machine, by a name or number that can be nothing else.
    pub(crate) fn is_loopback(&self) -> bool {
        let rest = self.prefix.split_once("://").map_or("", |(_, rest)| rest);
        let authority = rest.split('/').next().unwrap_or_default();
        if let Some((host, _)) = authority.strip_prefix('[').and_then(|a| a.split_once(']')) {
            return host.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback());
        }
        let host = authority.split(':').next().unwrap_or_default();
        host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Address> {
        Address::parse(text, "witness").ok()
    }

    #[test]
    fn a_prefix_is_a_plain_web_address() {
        for (prefix, url) in [
            ("https://w.example", "https://w.example/add-checkpoint"),
            ("https://w.example/a/", "https://w.example/a/add-checkpoint"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/add-checkpoint"),
        ] {
            assert_eq!(parse(prefix).map(|a| a.at("add-checkpoint")).as_deref(), Some(url));
        }
        for bad in [
            "",
            "w.example",
            "ftp://w.example",
            "https://",
            "https:///a",
            "https://w/?a",
            "https://w/#a",
            "https://u@w",
            "https://w/ a",
            "https://w/\n",
            "https://w\\@v",
        ] {
            assert!(parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_on_this_machine_is_called_so() {
        for here in
            ["127.0.0.1", "127.1.2.3:80", "localhost", "LOCALHOST:1/a", "[::1]", "[::1]:80/a"]
        {
            assert!(parse(&format!("http://{here}")).unwrap().is_loopback(), "{here}");
        }
        for there in [
            "127.0.0.1.example",
            "localhost.example",
            "192.168.0.1",
            "0.0.0.0",
            "[::2]",
            "[::1",
            "example/127.0.0.1",
            "127.0.0.1example:80",
        ] {
            let there = parse(&format!("http://{there}")).unwrap();
            assert!(!there.is_loopback() && !there.is_secure(), "{there:?}");
        }
        assert!(parse("https://localhost").unwrap().is_secure());
    }
}
