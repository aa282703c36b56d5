//! The only client of a network in the workspace: one blocking request, and its answer, bounded in time and length.

mod address;
mod pem;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::CertificateError;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::{Body, http};

use crate::error::{CliError, Exit};

pub(crate) use address::Address;

/// Time for a connection to stand.
const CONNECT: Duration = Duration::from_secs(10);
/// Most bytes of an answer's headers.
const MAX_HEADERS: usize = 1 << 14;

/// How a server is spoken to.
pub(crate) struct ClientConfig<'a> {
    /// Authorities that are trusted, and no others; without it, the public ones.
    pub(crate) ca_cert: Option<&'a Path>,
    /// The certificate chain and the secret key that this client shows.
    pub(crate) shown: Option<(&'a Path, &'a Path)>,
    /// Time from looking up the host's name to the answer's last byte.
    pub(crate) whole: Duration,
    /// Most bytes of an answer.
    pub(crate) answer: u64,
    /// Whether the proxy that the environment names is used.
    pub(crate) by_proxy: bool,
}

/// Follows no redirect: an answer from elsewhere is none of the server that was named.
pub(crate) struct Client {
    agent: ureq::Agent,
    answer: u64,
}

/// The answer of a server.
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Without parameters; empty where there is none.
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The body's text; empty where it is none.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or_default()
    }
}

impl Client {
    pub(crate) fn new(access: &ClientConfig<'_>) -> Result<Self, CliError> {
        let roots = match access.ca_cert {
            Some(path) => RootCerts::Specific(Arc::new(pem::authorities(path)?)),
            None => RootCerts::WebPki,
        };
        let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let shown =
            access.shown.map(|(chain, key)| pem::client(chain, key, &crypto)).transpose()?;
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(roots)
            .client_cert(shown)
            .unversioned_rustls_crypto_provider(crypto)
            .build();
        let mut config = ureq::Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_response_header_size(MAX_HEADERS)
            .timeout_global(Some(access.whole))
            .timeout_connect(Some(CONNECT))
            .user_agent(concat!("deepring/", env!("CARGO_PKG_VERSION")));
        if !access.by_proxy {
            config = config.proxy(None);
        }
        Ok(Self { agent: config.build().new_agent(), answer: access.answer })
    }

    /// Posts a body of this type to a URL. `bearer` is a key that the server knows its clients by.
    pub(crate) fn post(
        &self,
        url: &str,
        (content_type, body): (&str, &[u8]),
        bearer: Option<&str>,
    ) -> Result<Response, CliError> {
        let mut request = self.agent.post(url).header("Content-Type", content_type);
        if let Some(key) = bearer {
            request = request.header("Authorization", format!("Bearer {key}"));
        }
        self.read(url, request.send(body))
    }

    /// Gets what is at a URL.
    pub(crate) fn get(&self, url: &str, bearer: Option<&str>) -> Result<Response, CliError> {
        let mut request = self.agent.get(url);
        if let Some(key) = bearer {
            request = request.header("Authorization", format!("Bearer {key}"));
        }
        self.read(url, request.call())
    }

    fn read(
        &self,
        url: &str,
        answer: Result<http::Response<Body>, ureq::Error>,
    ) -> Result<Response, CliError> {
        let failed = |e| no_answer(url, &e);
        let mut answer = answer.map_err(failed)?;
        if answer.body().content_length().is_some_and(|length| length > self.answer) {
            return Err(failed(ureq::Error::BodyExceedsLimit(self.answer)));
        }
        let content_type = answer.body().mime_type().unwrap_or_default().to_owned();
        let body = answer.body_mut().with_config().limit(self.answer).read_to_vec();
        let body = body.map_err(failed)?;
        Ok(Response { status: answer.status().as_u16(), content_type, body })
    }
}

/// Why there is no answer. Where a certificate is why, nothing was sent.
fn no_answer(url: &str, e: &ureq::Error) -> CliError {
    let tls = match e {
        ureq::Error::Rustls(e) => Some(e),
        ureq::Error::Io(e) => e.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()),
        _ => None,
    };
    let Some(tls) = tls else { return CliError::new(Exit::Failed, format!("{url}: {e}")) };
    let hint = match tls {
        rustls::Error::InvalidCertificate(e) => match e {
            // The latter of an authority that is called as one that is trusted.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "where an authority of your own issued its certificate, name that authority's with `--ca-cert`"
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => {
                "whoever runs it renews its certificate; or this machine's clock is wrong"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "ask it by a name that its certificate has"
            }
            _ => "whoever runs it needs another certificate",
        },
        rustls::Error::AlertReceived(_) => {
            "it ended the handshake: it may ask for a client's certificate, or not take the one that was shown"
        }
        _ => "what answers there may speak no TLS, or none that is spoken here (1.2 and 1.3)",
    };
    CliError::new(Exit::Failed, format!("{url}: {tls}")).hint(hint)
}
