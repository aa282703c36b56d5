use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;

use futures::channel::oneshot;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::*;
use crate::gateway::GatewaySection;
use crate::gateway::connections;
use crate::gateway::front::tests::answering;

struct Authority(CertifiedIssuer<'static, KeyPair>);

struct Credential {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn certify(&self, name: &str) -> Credential {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        Credential { certificate: params.signed_by(&key, &self.0).unwrap(), key }
    }
}

/// The files of a gateway's TLS.
fn files(server: &Credential, client_ca: Option<&Authority>) -> (tempfile::TempDir, TlsSection) {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let section = TlsSection {
        certificates: write("chain.pem", server.certificate.pem()),
        key: write("key.pem", server.key.serialize_pem()),
        client_ca: client_ca.map(|ca| write("ca.pem", ca.0.pem())),
    };
    (folder, section)
}

/// A gateway over TLS that runs until the sender is used.
fn started(tls: TlsSection) -> (SocketAddr, oneshot::Sender<()>, std::thread::JoinHandle<()>) {
    let section: GatewaySection = toml::from_str("listen = \"127.0.0.1:0\"").unwrap();
    let listener = TcpListener::bind(section.listen).unwrap();
    let at = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = std::thread::spawn(move || {
        let config = server_config(&tls).unwrap();
        let (front, _folder) = answering(&section);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let stop = async move {
            let _ = stopped.await;
        };
        runtime.block_on(connections::serve(listener, front, Some(config), stop)).unwrap();
    });
    (at, stop, serving)
}

/// Fetches `/health` as a client that trusts an authority and shows a certificate.
fn health_at(
    at: SocketAddr,
    trusts: &Authority,
    shows: Option<&Credential>,
) -> Result<String, String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusts.0.der().clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match shows {
        None => builder.with_no_client_auth(),
        Some(shown) => {
            let key = PrivateKeyDer::Pkcs8(shown.key.serialize_der().into());
            builder.with_client_auth_cert(vec![shown.certificate.der().clone()], key).unwrap()
        }
    };
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(at).unwrap());
    let request = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut answer = String::new();
    let done = stream.write_all(request).and_then(|()| stream.read_to_string(&mut answer));
    done.map(|_| answer).map_err(|e| e.to_string())
}

#[test]
fn a_gateway_shows_its_certificate_and_stops_when_it_is_told() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let (_folder, tls) = files(&ours.certify("localhost"), None);
    let (at, stop, serving) = started(tls);
    let answer = health_at(at, &ours, None).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("up\n"), "{answer}");
    assert!(health_at(at, &other, None).unwrap_err().contains("UnknownIssuer"));
    stop.send(()).unwrap();
    serving.join().unwrap();
    assert!(TcpStream::connect(at).is_err());
}

#[test]
fn a_client_without_the_right_certificate_is_not_let_in() {
    let (ours, clients, other) =
        (Authority::new("ours"), Authority::new("clients"), Authority::new("other"));
    let (_folder, tls) = files(&ours.certify("localhost"), Some(&clients));
    let (at, stop, serving) = started(tls);
    for stranger in [None, Some(other.certify("me")), Some(ours.certify("me"))] {
        let refused = health_at(at, &ours, stranger.as_ref());
        assert!(refused.is_err(), "{refused:?}");
    }
    let answer = health_at(at, &ours, Some(&clients.certify("me"))).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    stop.send(()).unwrap();
    serving.join().unwrap();
}

#[test]
fn files_that_are_none_are_refused_by_name() {
    let ours = Authority::new("ours");
    let (folder, whole) = files(&ours.certify("localhost"), Some(&ours));
    server_config(&whole).unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let other = folder.path().join("other.pem");
    std::fs::write(&other, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    for (broken, named) in [
        (TlsSection { certificates: empty.clone(), ..whole.clone() }, &empty),
        (TlsSection { key: empty.clone(), ..whole.clone() }, &empty),
        (TlsSection { client_ca: Some(empty.clone()), ..whole.clone() }, &empty),
        (
            TlsSection { key: folder.path().join("none"), ..whole.clone() },
            &folder.path().join("none"),
        ),
        // Another key than the certificate's.
        (TlsSection { key: other.clone(), ..whole.clone() }, &other),
        (TlsSection { certificates: other.clone(), ..whole.clone() }, &other),
    ] {
        let refused = server_config(&broken).unwrap_err().to_string();
        assert!(refused.starts_with(&format!("{}: ", named.display())), "{refused}");
    }
}
