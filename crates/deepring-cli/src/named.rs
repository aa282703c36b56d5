//! `NAME=PATH` in an argument whose path need not be text.

use std::ffi::OsStr;

/// The text behind `prefix`.
pub(crate) fn strip_prefix<'a>(argument: &'a OsStr, prefix: &str) -> Option<&'a OsStr> {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt as _;
        argument.as_bytes().strip_prefix(prefix.as_bytes()).map(OsStr::from_bytes)
    }
    #[cfg(not(unix))]
    {
        argument.to_str()?.strip_prefix(prefix).map(OsStr::new)
    }
}

/// The text before the first `=` and the text behind it; `None` where there is no `=`, or no text before it.
pub(crate) fn split(argument: &OsStr) -> Option<(&str, &OsStr)> {
    let bytes = argument.as_encoded_bytes();
    let end = bytes.iter().position(|byte| *byte == b'=')?;
    let name = std::str::from_utf8(bytes.get(..end)?).ok()?;
    Some((name, strip_prefix(strip_prefix(argument, name)?, "=")?))
}

/// The name of a ledger, in its key.
pub(crate) fn origin_of(key: &str) -> &str {
    key.split('+').next().unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sign_divides() {
        let split = |text: &'static str| split(OsStr::new(text));
        assert_eq!(split("x=a=b.npy"), Some(("x", OsStr::new("a=b.npy"))));
        assert_eq!(split("=b"), Some(("", OsStr::new("b"))));
        assert_eq!(split("é="), Some(("é", OsStr::new(""))));
        assert_eq!(split("x.npy"), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_path_need_not_be_text() {
        use std::os::unix::ffi::OsStrExt as _;
        let path = OsStr::from_bytes(b"a\xff=b.npy");
        assert_eq!(split(path), None);
        assert_eq!(split(OsStr::from_bytes(b"x=a\xff=b.npy")), Some(("x", path)));
        assert_eq!(
            strip_prefix(OsStr::from_bytes(b"a=b=\xff"), "a=b="),
            Some(OsStr::from_bytes(b"\xff"))
        );
    }
}
