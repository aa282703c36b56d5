//! The only client of a network in the workspace: one blocking POST of a text, and its bounded answer.

use std::fmt::Display;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{CertificateError, RootCertStore};
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use webpki::{EndEntityCert, KeyUsage};

use crate::error::{CliError, Exit};

/// Time from looking up the host's name to the answer's last byte.
const WHOLE: Duration = Duration::from_secs(30);
/// Time for a connection to stand.
const CONNECT: Duration = Duration::from_secs(10);
/// Most bytes of an answer: the signature lines of twenty ML-DSA-44 keys.
const MAX_ANSWER: u64 = 1 << 16;
/// Most bytes of an answer's headers.
const MAX_HEADERS: usize = 1 << 14;
/// Most bytes of a file of certificates: four times all the public roots.
const MAX_CERTIFICATES: u64 = 1 << 20;

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
    /// Trusts the authorities whose certificates are in a file, and no others; without one, the public ones.
    pub(super) fn new(ca_cert: Option<&Path>) -> Result<Self, CliError> {
        let roots = match ca_cert {
            Some(path) => RootCerts::Specific(Arc::new(authorities(path)?)),
            None => RootCerts::WebPki,
        };
        let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(roots)
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
        Ok(Self(config.new_agent()))
    }

    /// Posts a text to a URL.
    pub(super) fn post(&self, url: &str, text: &str) -> Result<Response, CliError> {
        let failed = |e| no_answer(url, &e);
        let request = self.0.post(url).header("Content-Type", "text/plain; charset=utf-8");
        let mut answer = request.send(text).map_err(failed)?;
        let content_type = answer.body().mime_type().unwrap_or_default().to_owned();
        let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
        let body = String::from_utf8(body.map_err(failed)?).unwrap_or_default();
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
                "whoever runs the witness renews its certificate; or this machine's clock is wrong"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "ask it by a name that its certificate has"
            }
            _ => "whoever runs the witness needs another certificate",
        },
        _ => "what answers there may speak no TLS, or none that is spoken here (1.2 and 1.3)",
    };
    CliError::new(Exit::Failed, format!("{url}: {tls}")).hint(hint)
}

/// The certificates of a file, in PEM; at least one. Text beside them is none of them.
fn authorities(path: &Path) -> Result<Vec<Certificate<'static>>, CliError> {
    let failed = |what: &dyn Display| {
        CliError::new(Exit::Failed, format!("certificates {}: {what}", path.display()))
    };
    let refused = |what: &dyn Display| {
        failed(what).hint(
            "each begins with `-----BEGIN CERTIFICATE-----`; `openssl x509 -inform der -in FILE` makes one of another form into that",
        )
    };
    let file = match deepring::files::read_plain(path, MAX_CERTIFICATES) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::FileTooLarge => {
            return Err(failed(&"too long").hint("name the file of one authority, or of a few"));
        }
        Err(e) => return Err(failed(&e)),
    };
    let mut found = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(&file) {
        match section {
            Ok((SectionKind::Certificate, der)) => {
                let number = found.len() + 1;
                // A client leaves out silently what it cannot read.
                RootCertStore::empty()
                    .add(CertificateDer::from(der.as_slice()))
                    .map_err(|_| refused(&format_args!("number {number} is malformed")))?;
                if !is_an_authoritys(&der) {
                    return Err(failed(&format_args!("number {number} is no authority's"))
                        .hint("it does not say that it may issue others: name that of who issued the witness's"));
                }
                found.push(Certificate::from_der(&der).to_owned());
            }
            Ok(_) => {
                return Err(failed(&"holds something else than certificates")
                    .hint("name a file with the authority's certificate alone; its secret key stays where it is"));
            }
            Err(_) => return Err(refused(&"its PEM is damaged")),
        }
    }
    // None would trust nobody, and each witness would be blamed for it.
    match found.is_empty() {
        true => Err(refused(&"holds none")),
        false => Ok(found),
    }
}

/// Returns whether a certificate says that it may issue others (`cA` in its basic constraints). A client takes the key of each
/// that it is given, whatever that one says.
fn is_an_authoritys(der: &[u8]) -> bool {
    let der = CertificateDer::from(der);
    let Ok(certificate) = EndEntityCert::try_from(&der) else { return false };
    let as_server = |time| {
        let of_servers = KeyUsage::server_auth();
        certificate.verify_for_usage(&[], &[], &[], time, of_servers, None, None).map(drop)
    };
    // The library tells it of a certificate that is shown as a server's, and asks for its dates before. Those are no argument.
    let verified = match as_server(UnixTime::now()) {
        Err(webpki::Error::CertExpired { not_after, .. }) => as_server(not_after),
        Err(webpki::Error::CertNotValidYet { not_before, .. }) => as_server(not_before),
        verified => verified,
    };
    verified == Err(webpki::Error::CaUsedAsEndEntity)
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
