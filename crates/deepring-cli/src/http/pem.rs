//! Certificates and keys of TLS in PEM files.

use std::fmt::Display;
use std::io::ErrorKind;
use std::path::Path;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use ureq::tls::{Certificate, ClientCert, PrivateKey};
use webpki::{EndEntityCert, KeyUsage};
use zeroize::Zeroizing;

use crate::error::{CliError, Exit};

/// Most bytes of a file of certificates: four times all the public roots.
const MAX_CERTIFICATES: u64 = 1 << 20;
/// Most bytes of a file with a secret key.
const MAX_KEY: u64 = 1 << 16;

/// The certificates of a file; at least one. Text beside them is none of them.
pub(super) fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, CliError> {
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
                found.push(Certificate::from_der(&der).to_owned());
            }
            Ok(_) => {
                return Err(failed(&"holds something else than certificates").hint(
                    "name a file with certificates alone; the secret key stays where it is",
                ));
            }
            Err(_) => return Err(refused(&"its PEM is damaged")),
        }
    }
    // None would trust nobody, and each server would be blamed for it.
    match found.is_empty() {
        true => Err(refused(&"holds none")),
        false => Ok(found),
    }
}

/// The certificates of a file, each of which says that it may issue others.
pub(super) fn authorities(path: &Path) -> Result<Vec<Certificate<'static>>, CliError> {
    let found = certificates(path)?;
    match found.iter().position(|one| !is_an_authoritys(one.der())) {
        None => Ok(found),
        Some(at) => Err(CliError::new(
            Exit::Failed,
            format!("certificates {}: number {} is no authority's", path.display(), at + 1),
        )
        .hint("it does not say that it may issue others: name that of who issued the server's")),
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

/// The credentials that a client shows: the chain, its own certificate first, and the secret key of that one.
pub(super) fn client(
    chain: &Path,
    key: &Path,
    crypto: &CryptoProvider,
) -> Result<ClientCert, CliError> {
    let failed =
        |what: &dyn Display| CliError::new(Exit::Failed, format!("key {}: {what}", key.display()));
    let shown = certificates(chain)?;
    let pem = Zeroizing::new(deepring::files::read_plain(key, MAX_KEY).map_err(|e| failed(&e))?);
    let secret = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        failed(&"holds no secret key in PEM")
            .hint("one begins with `-----BEGIN PRIVATE KEY-----`, and is under no passphrase")
    })?;
    // The client would end the process over a key that is not the certificate's.
    let ders = shown.iter().map(|one| CertificateDer::from(one.der()).into_owned()).collect();
    CertifiedKey::from_der(ders, secret, crypto)
        .map_err(|e| failed(&format_args!("does not go with {}: {e}", chain.display())))?;
    let secret = PrivateKey::from_pem(&pem).map_err(|e| failed(&e))?;
    Ok(ClientCert::new_with_certs(&shown, secret))
}
