//! The form of a URI: RFC 3986, appendix A.

use std::net::Ipv6Addr;

/// Returns whether a text is a URI: a scheme and what may follow it, in the characters that it may have.
pub(super) fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let (rest, fragment) = split(rest, '#');
    let (hierarchy, query) = split(rest, '?');
    is_scheme(scheme)
        && is_hierarchy(hierarchy)
        && consists(query, |c| is_pchar(c) || "/?".contains(c))
        && consists(fragment, |c| is_pchar(c) || "/?".contains(c))
}

/// The text before a delimiter, and the text behind it.
fn split(text: &str, delimiter: char) -> (&str, &str) {
    text.split_once(delimiter).unwrap_or((text, ""))
}

fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// `"//" authority path-abempty`, or a path: which cannot begin with `//` by itself.
fn is_hierarchy(hierarchy: &str) -> bool {
    let is_path = |path| consists(path, |c| is_pchar(c) || c == '/');
    let Some(rest) = hierarchy.strip_prefix("//") else { return is_path(hierarchy) };
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    is_authority(authority) && is_path(path)
}

fn is_authority(authority: &str) -> bool {
    let (user, rest) = authority.split_once('@').unwrap_or(("", authority));
    let literal = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (is_host, port) = match literal {
        Some((address, port)) => (is_address(address), port),
        None => {
            let (name, port) = rest.split_at(rest.find(':').unwrap_or(rest.len()));
            (consists(name, is_of_name), port)
        }
    };
    let is_port = port.is_empty()
        || port.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
    is_host && is_port && consists(user, |c| is_of_name(c) || c == ':')
}

/// `IPv6address / IPvFuture`
fn is_address(address: &str) -> bool {
    let Some(future) = address.strip_prefix(['v', 'V']) else {
        return address.parse::<Ipv6Addr>().is_ok();
    };
    let Some((version, rest)) = future.split_once('.') else { return false };
    let of = |text: &str, allowed: fn(char) -> bool| !text.is_empty() && text.chars().all(allowed);
    of(version, |c| c.is_ascii_hexdigit()) && of(rest, |c| is_of_name(c) || c == ':')
}

/// Returns whether a text has nothing but these characters, and others as `%` and two hexadecimal digits.
fn consists(text: &str, allowed: impl Fn(char) -> bool) -> bool {
    let mut pieces = text.split('%');
    let plain = |piece: &str| piece.chars().all(&allowed);
    pieces.next().is_none_or(plain)
        && pieces.all(|piece| {
            let (digits, rest) = piece.split_at_checked(2).unwrap_or(("", ""));
            !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit()) && plain(rest)
        })
}

/// `unreserved / sub-delims`
fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=".contains(c)
}

/// `pchar`, but for what is encoded
fn is_pchar(c: char) -> bool {
    is_of_name(c) || ":@".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rfc_3986_calls_a_uri_is_one() {
        for uri in [
            // Its section 1.1.2.
            "ftp://ftp.is.co.za/rfc/rfc1808.txt",
            "http://www.ietf.org/rfc/rfc2396.txt",
            "ldap://[2001:db8::7]/c=GB?objectClass?one",
            "mailto:John.Doe@example.com",
            "news:comp.infosystems.www.servers.unix",
            "tel:+1-816-555-1212",
            "telnet://192.0.2.16:80/",
            "urn:oasis:names:specification:docbook:dtd:xml:4.1.2",
            "foo://example.com:8042/over/there?name=ferret#nose",
            "x:",
            "x:?#",
            "x:/a//b",
            "x://",
            "file:///etc/hosts",
            "x://user:pass@host:/p?q/?#f/?",
            "x://[v1.a:b]",
            "x:%00%fF",
            "ni:///sha-256;abc",
        ] {
            assert!(is_uri(uri), "{uri}");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [
            "",
            "verifier",
            ":x",
            "1:x",
            "a b:c",
            "x:<script>alert(1)</script>\"&",
            "x:<",
            "x:\"",
            "x:\\",
            "x:^",
            "x:`",
            "x:{}",
            "x:|",
            "x:a b",
            "x:\n",
            "x:\u{7f}",
            "x:\u{e9}",
            "x:%",
            "x:%4",
            "x:%4g",
            "x:%\u{e9}",
            "x:a%",
            "x:[",
            "x:/[1]",
            "x:a#b#c",
            "x:?[",
            "x://a@b@c",
            "x://a:b:80",
            "x://a:8o",
            "x://[::1",
            "x://::1]",
            "x://[::1]a",
            "x://[fe80::1%25en0]",
            "x://[1.2.3.4]",
            "x://[v.a]",
            "x://[v1.]",
            "x://[]",
        ] {
            assert!(!is_uri(text), "{text:?}");
        }
    }
}
