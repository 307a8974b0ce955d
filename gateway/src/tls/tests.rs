//! A whole node that speaks TLS, asked from outside; and what is said of files that it cannot use.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::node::Node;
use crate::node::tests::METRICS;
use crate::settings::{Settings, Tls};

/// Self-signed for localhost, until 2126: `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes
/// -days 36500 -subj "/CN=tandem test" -addext "subjectAltName=DNS:localhost,IP:127.0.0.1"
/// -addext "basicConstraints=critical,CA:FALSE"`. They open nothing.
fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tls/testdata").join(name)
}

fn files(cert: &str, key: &str) -> Tls {
    Tls { cert: testdata(cert), key: testdata(key) }
}

async fn start(folder: &Path, tls: Tls) -> anyhow::Result<Node> {
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut settings = Settings { tls, ..Settings::default() };
    (settings.http.addr, settings.sip.addr) = (free, free);
    settings.data.dir = folder.join("data");
    Node::start(settings, METRICS.clone()).await
}

/// A client that trusts this certificate and no other.
async fn connect(http: SocketAddr, trusted: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(testdata(trusted)).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let connector = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
    let socket = TcpStream::connect(http).await?;
    connector.connect(ServerName::try_from("localhost").unwrap(), socket).await
}

/// The whole answer to a request for the version.
async fn version(mut stream: TlsStream<TcpStream>) -> String {
    stream.write_all(b"GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_sessions_are_encrypted_and_nothing_else_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let node = start(folder.path(), files("first.cert.pem", "first.key.pem")).await.unwrap();
    let http = node.state.settings.http.addr;
    assert!(crate::banner::text(&node).contains(&format!("https://{http}/")));
    let answer = version(connect(http, "first.cert.pem").await.unwrap()).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("tandem"), "{answer}");
    assert!(connect(http, "second.cert.pem").await.is_err(), "a client that trusts somebody else");

    let stream = connect(http, "first.cert.pem").await.unwrap();
    let (mut socket, _) = client_async("wss://localhost/ws/v1/session", stream).await.unwrap();
    socket.send(Message::text(r#"{"type":"start","mode":"text"}"#)).await.unwrap();
    let mut told = String::new();
    while !told.contains(r#""type":"text""#) {
        told = socket.next().await.unwrap().unwrap().into_text().unwrap().to_string();
    }

    let mut plain = TcpStream::connect(http).await.unwrap();
    plain.write_all(b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_clients_that_do_not_shake_hands() {
    let folder = tempfile::tempdir().unwrap();
    let node = start(folder.path(), files("first.cert.pem", "first.key.pem")).await.unwrap();
    let http = node.state.settings.http.addr;
    let mut stalled = Vec::new();
    for _ in 0..50 {
        let mut socket = TcpStream::connect(http).await.unwrap();
        // The head of a record that never comes.
        socket.write_all(&[0x16, 3, 1, 2, 0]).await.unwrap();
        stalled.push(socket);
    }
    assert!(version(connect(http, "first.cert.pem").await.unwrap()).await.starts_with("HTTP/1.1 200 "));
    let mut first = stalled.swap_remove(0);
    let mut rest = Vec::new();
    // Its time is over.
    let _ = first.read_to_end(&mut rest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_presented_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let tls = Tls { cert: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
    let mut number = 1_000;
    let mut install = |name: &str| {
        // Files of a test are younger than the clock of a folder can tell.
        number += 1;
        let at = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(number);
        for (from, to) in [(format!("{name}.cert.pem"), &tls.cert), (format!("{name}.key.pem"), &tls.key)] {
            std::fs::copy(testdata(&from), to).unwrap();
            std::fs::File::options().write(true).open(to).unwrap().set_modified(at).unwrap();
        }
    };
    install("first");
    let mut certificates = Certificates::open(&tls).unwrap().unwrap();
    let config = certificates.server().unwrap();
    let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let mut listener = TlsListener::new(tcp, config);
    let mut shaken = async |trusted: &'static str| {
        tokio::select! {
            connected = connect(address, trusted) => connected.is_ok(),
            never = async { loop { axum::serve::Listener::accept(&mut listener).await; } } => never,
        }
    };
    assert!(shaken("first.cert.pem").await);
    install("second");
    certificates.look();
    assert!(shaken("second.cert.pem").await && !shaken("first.cert.pem").await);
    std::fs::write(&tls.cert, "no certificate").unwrap();
    certificates.look();
    assert!(shaken("second.cert.pem").await, "the old one stays");
}

#[test]
fn what_came_by_halves_is_taken_when_it_is_whole_though_no_file_is_younger() {
    let folder = tempfile::tempdir().unwrap();
    let tls = Tls { cert: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
    let install = |name: &str, to: &Path, second: u64| {
        std::fs::copy(testdata(name), to).unwrap();
        let at = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(second);
        std::fs::File::options().write(true).open(to).unwrap().set_modified(at).unwrap();
    };
    install("first.cert.pem", &tls.cert, 1_000);
    install("first.key.pem", &tls.key, 1_000);
    let mut certificates = Certificates::open(&tls).unwrap().unwrap();
    let first = certificates.presented();
    install("second.cert.pem", &tls.cert, 1_001);
    certificates.look();
    assert!(Arc::ptr_eq(&certificates.presented(), &first), "a certificate without its key");
    install("second.key.pem", &tls.key, 1_000);
    certificates.look();
    assert!(!Arc::ptr_eq(&certificates.presented(), &first));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_files_is_said_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let missing = PathBuf::from("/nowhere/cert.pem");
    for (tls, said) in [
        (Tls { cert: missing, key: testdata("first.key.pem") }, "cannot read tls.cert = /nowhere/cert.pem"),
        (files("first.key.pem", "first.key.pem"), "holds no certificate"),
        (files("first.cert.pem", "first.cert.pem"), "holds no private key"),
        (files("first.cert.pem", "second.key.pem"), "is not the key of the first certificate in tls.cert"),
    ] {
        let error = start(folder.path(), tls).await.err().map(|error| format!("{error:#}")).unwrap_or_default();
        assert!(error.contains(said), "{error} should say {said}");
    }
}
