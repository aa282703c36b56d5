//! The only client of a network in the workspace: one blocking POST of a text, and its bounded answer.

use std::sync::Arc;
use std::time::Duration;

use ureq::tls::{TlsConfig, TlsProvider};

use crate::error::{CliError, Exit};

/// Time from looking up the host's name to the answer's last byte.
const WHOLE: Duration = Duration::from_secs(30);
/// Time for a connection to stand.
const CONNECT: Duration = Duration::from_secs(10);
/// Most bytes of an answer: the signature lines of twenty ML-DSA-44 keys.
const MAX_ANSWER: u64 = 1 << 16;
/// Most bytes of an answer's headers.
const MAX_HEADERS: usize = 1 << 14;

/// Follows no redirect: an answer from elsewhere is none of the witness that was named.
pub(super) struct Client(ureq::Agent);

/// What a server answered.
pub(super) struct Response {
    pub(super) status: u16,
    /// Without parameters; empty where there is none.
    pub(super) content_type: String,
    /// Empty where it is no text.
    pub(super) body: String,
}

impl Client {
    pub(super) fn new() -> Self {
        let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(crypto)
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_response_header_size(MAX_HEADERS)
            .timeout_global(Some(WHOLE))
            .timeout_connect(Some(CONNECT))
            .user_agent(concat!("deepring/", env!("CARGO_PKG_VERSION")))
            .build();
        Self(config.new_agent())
    }

    /// Posts a text to a URL.
    pub(super) fn post(&self, url: &str, text: &str) -> Result<Response, CliError> {
        let failed = |e: ureq::Error| CliError::new(Exit::Failed, format!("{url}: {e}"));
        let request = self.0.post(url).header("Content-Type", "text/plain; charset=utf-8");
        let mut answer = request.send(text).map_err(failed)?;
        let content_type = answer.body().mime_type().unwrap_or_default().to_owned();
        let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
        let body = String::from_utf8(body.map_err(failed)?).unwrap_or_default();
        Ok(Response { status: answer.status().as_u16(), content_type, body })
    }
}

/// The URL to submit to, of a submission prefix.
pub(super) fn submission(prefix: &str) -> Result<String, CliError> {
    let web = prefix.strip_prefix("https://").or_else(|| prefix.strip_prefix("http://"));
    let plain = web.is_some_and(|rest| {
        !rest.is_empty()
            && rest.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '@'))
    });
    if !plain {
        return Err(CliError::usage(format!("`{prefix}` is no prefix of a witness"))
            .hint("give it as https://HOST/PATH, without query, fragment or user"));
    }
    Ok(format!("{}/add-checkpoint", prefix.trim_end_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_plain_web_address() {
        for (prefix, url) in [
            ("https://w.example", "https://w.example/add-checkpoint"),
            ("https://w.example/a/", "https://w.example/a/add-checkpoint"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/add-checkpoint"),
        ] {
            assert_eq!(submission(prefix).ok().as_deref(), Some(url));
        }
        for bad in [
            "",
            "w.example",
            "ftp://w.example",
            "https://",
            "https://w/?a",
            "https://w/#a",
            "https://u@w",
            "https://w/ a",
            "https://w/\n",
        ] {
            assert!(submission(bad).is_err(), "{bad:?}");
        }
    }
}
