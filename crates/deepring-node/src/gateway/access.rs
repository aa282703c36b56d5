//! Who is let in: API keys, known by their digests alone.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use subtle::{Choice, ConstantTimeEq as _};

use super::GatewayError;

/// Most bytes of a key that is looked at.
const MAX_KEY: usize = 512;

/// The digests of the keys that are let in; where there is none, everybody is.
pub(crate) struct ApiKeys(Vec<[u8; 32]>);

/// A key that is let in, by its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct KnownKey([u8; 32]);

/// Whoever asks, as far as keys tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// With a key that is let in.
    Known(KnownKey),
    /// No keys are asked for.
    Anybody,
    /// Without a key, or with another.
    Stranger,
}

impl ApiKeys {
    /// Of 64 hexadecimal digits each.
    pub(crate) fn new(digests: &[String]) -> Result<Self, GatewayError> {
        let parse = |text: &String| {
            blake3::Hash::from_hex(text)
                .map(|hash| *hash.as_bytes())
                .map_err(|_| GatewayError::ApiKey)
        };
        Ok(Self(digests.iter().map(parse).collect::<Result<_, _>>()?))
    }

    /// Whether keys are asked for.
    pub(crate) fn are_needed(&self) -> bool {
        !self.0.is_empty()
    }

    /// Who asks with these headers. The time that it takes tells nothing of the digests.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Caller {
        if !self.are_needed() {
            return Caller::Anybody;
        }
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (given.next(), given.next()) else { return Caller::Stranger };
        let Some(key) = bearer(value.as_bytes()) else { return Caller::Stranger };
        let digest = *blake3::hash(key).as_bytes();
        let known = self.0.iter().fold(Choice::from(0), |known, one| known | one.ct_eq(&digest));
        if bool::from(known) { Caller::Known(KnownKey(digest)) } else { Caller::Stranger }
    }
}

/// The key behind `Bearer`, a word that case says nothing in (RFC 9110).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = value.split_at_checked(7)?;
    let key = key.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !key.is_empty() && key.len() <= MAX_KEY)
        .then_some(key)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn keys() -> ApiKeys {
        let digest = |key: &str| blake3::hash(key.as_bytes()).to_hex().to_string();
        ApiKeys::new(&[digest("first"), digest("second")]).unwrap()
    }

    fn caller(values: &[&str]) -> Caller {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        keys().caller(&headers)
    }

    #[test]
    fn each_key_is_let_in_and_nothing_else_is() {
        for good in ["Bearer first", "Bearer second", "bearer first", "BEARER  first "] {
            assert!(matches!(caller(&[good]), Caller::Known(_)), "{good}");
        }
        assert_ne!(caller(&["Bearer first"]), caller(&["Bearer second"]));
        let digest = blake3::hash(b"first").to_hex().to_string();
        for bad in [
            "",
            "first",
            "Bearer",
            "Bearer ",
            "Bearer firs",
            "Bearer first2",
            "Bearer FIRST",
            "Basic first",
            "Bearerfirst",
            &format!("Bearer {digest}"),
            &format!("Bearer {}", "x".repeat(MAX_KEY + 1)),
        ] {
            assert_eq!(caller(&[bad]), Caller::Stranger, "{bad}");
        }
        assert_eq!(caller(&[]), Caller::Stranger);
        assert_eq!(caller(&["Bearer first", "Bearer second"]), Caller::Stranger);
    }

    #[test]
    fn without_keys_everybody_is_let_in_and_a_digest_that_is_none_is_no_key() {
        let none = ApiKeys::new(&[]).unwrap();
        assert_eq!(none.caller(&HeaderMap::new()), Caller::Anybody);
        for bad in ["", "first", &"0".repeat(63)] {
            assert!(ApiKeys::new(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
