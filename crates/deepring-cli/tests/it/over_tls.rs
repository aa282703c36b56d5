//! Witnesses behind an authority of their own: which certificates are taken, and which files name an authority.

use std::io::{self, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::{fs, thread};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::gateway::{Log, Wrong, answering, serve, site};
use crate::witness::{Reply, Server, Signer, honest};
use crate::workspace::{Ran, Workspace};

/// An authority, which issues certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// The certificates that a server shows, and its key.
struct Certified {
    chain: Vec<rcgen::Certificate>,
    params: CertificateParams,
    key: KeyPair,
}

impl Authority {
    fn new(name: &str) -> Self {
        Self::between(name, 2000, 4000)
    }

    /// One whose own certificate is of some years.
    fn between(name: &str, from: i32, to: i32) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these names, from one year up to another.
    fn certify(&self, name: &str, from: i32, to: i32) -> Certified {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        let key = KeyPair::generate().unwrap();
        let chain = vec![params.signed_by(&key, &self.0).unwrap()];
        Certified { chain, params, key }
    }
}

impl Certified {
    /// One that was issued by who has this one, which says that he may not.
    fn certify(self, name: &str) -> Self {
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::new(self.params, self.key);
        let own = params.signed_by(&key, &issuer).unwrap();
        Self { chain: [own].into_iter().chain(self.chain).collect(), params, key }
    }

    /// The configuration of a server that shows it; it asks for certificates of these clients, if of any.
    fn config(&self, clients: Option<&Authority>) -> Arc<ServerConfig> {
        let chain = self.chain.iter().map(|one| one.der().clone()).collect();
        let key = PrivateKeyDer::Pkcs8(self.key.serialize_der().into());
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.0.der().clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        Arc::new(builder.with_single_cert(chain, key).unwrap())
    }

    /// A server that shows it.
    fn serve(&self, answer: impl Fn(usize, &str) -> Reply + Send + 'static) -> Server {
        let config = self.config(None);
        let wrap =
            move |tcp| StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), tcp);
        Server::over("https", wrap, answer)
    }
}

/// The `https` address of a server that speaks HTTP, and says so.
fn web_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/w", listener.local_addr().unwrap());
    // It ends with the test's process.
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
            let _ = io::copy(&mut stream, &mut io::sink());
        }
    });
    url
}

const HERE: &str = "127.0.0.1";

/// A ledger with one entry.
fn begun() -> Workspace {
    let workspace = Workspace::with_keys();
    workspace.run("ledger init ledger").succeeds();
    workspace.run("revoke key --key keys/owner.key --ledger ledger --reason lost").succeeds();
    workspace
}

fn submit(workspace: &Workspace, url: &str, more: &str) -> Ran {
    let key = Signer::new(1).vkey();
    workspace.run(&format!("ledger witness {url} --ledger ledger --witness-key {key} {more}"))
}

fn checkpoint(workspace: &Workspace) -> String {
    fs::read_to_string(workspace.path("ledger/checkpoint")).unwrap()
}

#[test]
fn a_witness_behind_an_authority_is_asked_where_that_one_is_named() {
    let workspace = begun();
    let authority = Authority::new("ours");
    let before = checkpoint(&workspace);
    let server = authority.certify(HERE, 2020, 4000).serve(honest(1));
    // The public authorities know nothing of it.
    submit(&workspace, &server.url, "").exits(1).says("UnknownIssuer").says("--ca-cert");
    assert!(server.requests().is_empty() && checkpoint(&workspace) == before);

    fs::write(workspace.path("ca.pem"), authority.pem()).unwrap();
    submit(&workspace, &server.url, "--ca-cert ca.pem").succeeds();
    assert_eq!(server.requests().len(), 1);
    assert!(checkpoint(&workspace).contains("— witness.example/w1 "));
    let policy = format!("witness A {}\nquorum A\n", Signer::new(1).vkey());
    fs::write(workspace.path("one.policy"), policy).unwrap();
    workspace.run("ledger verify --ledger ledger --witness-policy one.policy").succeeds();

    // The second of a file, with what people write beside it; and one witness of two without TLS.
    let both = format!(
        "The old one:\n{}\nThe new one:\r\n{}",
        Authority::new("ours").pem(),
        authority.pem()
    );
    fs::write(workspace.path("both.pem"), both).unwrap();
    let plain = Server::honest(1);
    let urls = format!("{} {}", server.url, plain.url);
    submit(&workspace, &urls, "--ca-cert both.pem").succeeds();
    assert_eq!((server.requests().len(), plain.requests().len()), (3, 1));

    // An authority's own dates are not looked at.
    for (from, to) in [(2020, 2021), (3999, 4000)] {
        let authority = Authority::between("dated", from, to);
        let server = authority.certify(HERE, 2020, 4000).serve(honest(1));
        fs::write(workspace.path("dated.pem"), authority.pem()).unwrap();
        submit(&workspace, &server.url, "--ca-cert dated.pem").succeeds();
    }
}

#[test]
fn what_the_named_authority_did_not_certify_is_not_asked() {
    let workspace = begun();
    let authority = Authority::new("ours");
    fs::write(workspace.path("ca.pem"), authority.pem()).unwrap();
    let before = checkpoint(&workspace);
    let refused = |servers: &[&Server], url: &str, says: &str| {
        let error = submit(&workspace, url, "--ca-cert ca.pem --json").exits(1).json();
        let failed = error["failed"][0].to_string();
        assert!(failed.contains(says), "`{says}` is not in {failed}");
        assert!(servers.iter().all(|server| server.requests().is_empty()), "{says}");
        assert_eq!(checkpoint(&workspace), before, "{says}");
    };
    for (certified, says) in [
        (Authority::new("other").certify(HERE, 2020, 4000), "UnknownIssuer"),
        (Authority::new("ours").certify(HERE, 2020, 4000), "--ca-cert"),
        (authority.certify(HERE, 2020, 2021), "expired"),
        (authority.certify(HERE, 3999, 4000), "not valid yet"),
        (authority.certify("witness.example", 2020, 4000), "only valid for"),
        (authority.certify("127.0.0.2", 2020, 4000), "only valid for"),
        (authority.certify(HERE, 2020, 4000).certify(HERE), "invalid peer certificate"),
    ] {
        let server = certified.serve(honest(1));
        refused(&[&server], &server.url, says);
    }
    // Where TLS is due there is none, and the other way about.
    refused(&[], &web_server(), "speak no TLS");
    let server = authority.certify(HERE, 2020, 4000).serve(honest(1));
    let (http, both) = (server.url.replace("https:", "http:"), "https://127.0.0.1:1/w");
    submit(&workspace, &format!("{http} {both}"), "--ca-cert ca.pem").exits(1);
    assert!(server.requests().is_empty() && checkpoint(&workspace) == before);
    // A redirect to elsewhere is not followed here either.
    let redirects =
        authority.certify(HERE, 2020, 4000).serve(|_, _| (307, "text/plain", String::new()));
    submit(&workspace, &redirects.url, "--ca-cert ca.pem").exits(1).says("status 307");
    assert_eq!((redirects.requests().len(), checkpoint(&workspace)), (1, before.clone()));
    // And with the same file, the right one is asked.
    submit(&workspace, &server.url, "--ca-cert ca.pem").succeeds();
}

#[test]
fn a_file_that_names_no_authority_trusts_none() {
    let workspace = begun();
    let authority = Authority::new("ours");
    let server = authority.certify(HERE, 2020, 4000).serve(honest(1));
    let (pem, key) = (authority.pem(), KeyPair::generate().unwrap().serialize_pem());
    let (marked, _) = pem.split_once("-----END").unwrap();
    let of_a_server = |to| authority.certify(HERE, 2000, to).chain.remove(0).pem();
    let nothing = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (file, says) in [
        (String::new(), "holds none"),
        ("no certificate\n".to_owned(), "holds none"),
        (marked.to_owned(), "PEM is damaged"),
        (pem.replacen('M', "!", 1), "PEM is damaged"),
        (nothing.to_owned(), "number 1 is malformed"),
        (format!("{pem}{nothing}"), "number 2 is malformed"),
        (of_a_server(4000), "number 1 is no authority's"),
        (format!("{pem}{}", of_a_server(2001)), "number 2 is no authority's"),
        (format!("{pem}{key}"), "something else"),
        (key, "something else"),
    ] {
        fs::write(workspace.path("ca.pem"), file).unwrap();
        let refused = submit(&workspace, &server.url, "--ca-cert ca.pem").exits(1);
        refused.says("ca.pem").says(says).says("hint: ");
    }
    fs::write(workspace.path("ca.pem"), authority.0.der()).unwrap();
    submit(&workspace, &server.url, "--ca-cert ca.pem").exits(1).says("openssl x509");
    // A terabyte that takes no room on the disk.
    let huge = fs::File::create(workspace.path("huge.pem")).unwrap();
    huge.set_len(1 << 40).unwrap();
    submit(&workspace, &server.url, "--ca-cert huge.pem").exits(1).says("too long");
    submit(&workspace, &server.url, "--ca-cert keys").exits(1).says("keys: ");
    submit(&workspace, &server.url, "--ca-cert none.pem").exits(1).says("none.pem: ");
    // Who names one and asks without TLS has mistaken something.
    fs::write(workspace.path("ca.pem"), authority.pem()).unwrap();
    let plain = Server::honest(1);
    submit(&workspace, &plain.url, "--ca-cert ca.pem").exits(2).says("--ca-cert");
    assert!(server.requests().is_empty() && plain.requests().is_empty());
}

#[test]
fn a_gateway_that_asks_who_its_clients_are_is_shown_a_certificate() {
    let workspace = Arc::new(site());
    let (authority, clients) = (Authority::new("ours"), Authority::new("clients"));
    let config = authority.certify(HERE, 2020, 4000).config(Some(&clients));
    let wrap =
        move |tcp| StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), tcp);
    let log = Log::default();
    let url = serve("https", wrap, answering(&workspace, Wrong::Nothing, &log));
    for (name, shown) in [
        ("me", clients.certify("me", 2020, 4000)),
        ("other", Authority::new("other").certify("me", 2020, 4000)),
    ] {
        fs::write(workspace.path(&format!("{name}.pem")), shown.chain[0].pem()).unwrap();
        fs::write(workspace.path(&format!("{name}.key")), shown.key.serialize_pem()).unwrap();
    }
    fs::write(workspace.path("ca.pem"), authority.pem()).unwrap();
    let asked = |more: &str| {
        let fixed = "--input x.npy --owner keys/owner.pub --validators set.entry";
        workspace.run(&format!("query {url} {fixed} {more}"))
    };
    asked("").exits(1).says("UnknownIssuer");
    asked("--ca-cert ca.pem").exits(1);
    asked("--ca-cert ca.pem --client-cert other.pem --client-key other.key").exits(1);
    asked("--ca-cert ca.pem --client-cert me.pem --client-key other.key")
        .exits(1)
        .says("does not go with");
    asked("--ca-cert ca.pem --client-cert me.pem --client-key me.pem")
        .exits(1)
        .says("no secret key");
    assert!(log.lock().unwrap().is_empty());
    asked("--ca-cert ca.pem --client-cert me.pem --client-key me.key").succeeds();
}
