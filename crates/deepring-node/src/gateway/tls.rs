//! TLS of a gateway: its certificates, and those that it asks of clients.

use std::path::Path;
use std::sync::Arc;

use axum::http::Extensions;
pub(super) use axum_server::tls::TlsInfo;
use deepring::files::read_plain;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::GatewayError;
use crate::gateway::TlsSection;

/// Most bytes of a file of certificates, or of a key.
const MAX_PEM: u64 = 1 << 20;

/// TLS 1.2 and 1.3, HTTP/1.1.
pub(super) fn server_config(section: &TlsSection) -> Result<Arc<ServerConfig>, GatewayError> {
    let provider = Arc::new(default_provider());
    let chain = certificates(&section.certificates)?;
    let key = read(&section.key)?;
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|_| bad(&section.key, "holds no secret key in PEM"))?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| bad(&section.certificates, e))?;
    let builder = match &section.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|e| bad(path, e))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(|e| bad(path, e))?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|e| bad(&section.key, e))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The certificate that the client of a request showed, if it showed one: its own, without those above it.
pub(super) fn client_certificate(extensions: &Extensions) -> Option<&[u8]> {
    let info = extensions.get::<Arc<TlsInfo>>()?;
    info.peer_certificates.first().map(Vec::as_slice)
}

/// The certificates of a file; at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, GatewayError> {
    let pem = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(bad(path, "holds no certificate in PEM")),
        Err(_) => Err(bad(path, "its PEM is damaged")),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, GatewayError> {
    read_plain(path, MAX_PEM).map_err(|e| bad(path, e))
}

fn bad(path: &Path, why: impl ToString) -> GatewayError {
    GatewayError::Tls { path: path.to_owned(), why: why.to_string() }
}

#[cfg(test)]
mod tests;
