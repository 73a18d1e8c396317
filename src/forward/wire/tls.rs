//! TLS: versions by ALPN, certificates that change, clients that must show one.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;

/// An authority that signs for localhost.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Self { issuer: Issuer::new(params, key), pem, der }
    }

    fn leaf(&self) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        (params.signed_by(&key, &self.issuer).expect("a signature"), key)
    }

    /// Writes a new leaf where the gate reads it.
    fn write(&self, dir: &Path) -> TlsConfig {
        let (certificate, key) = self.leaf();
        let config = TlsConfig {
            certificate: dir.join("cert.pem"),
            private_key: dir.join("key.pem"),
            client_ca: None,
        };
        std::fs::write(&config.private_key, key.serialize_pem()).expect("a file");
        std::fs::write(&config.certificate, certificate.pem()).expect("a file");
        config
    }

    /// A client that trusts this authority.
    fn client(&self, alpn: &[&[u8]], identity: Option<&Self>) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let (certificate, key) = authority.leaf();
                let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
                builder
                    .with_client_auth_cert(vec![certificate.der().clone()], key)
                    .expect("an identity")
            }
        };
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }
}

async fn open(gate: &Gate, client: &TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").expect("a name");
    within(client.connect(name, gate.connect().await)).await
}

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test]
async fn the_version_is_agreed_on_or_sniffed() {
    let upstream = Recorder::answering(HELLO).await;
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    let gate = Setup::new(upstream.address).with_tls(authority.write(dir.path())).start();
    for alpn in [&[b"http/1.1".as_slice()][..], &[]] {
        let mut stream = open(&gate, &authority.client(alpn, None)).await.unwrap();
        assert_eq!(status(&exchange(&mut stream, GET).await), 200);
    }
    assert_eq!(fields(&upstream.seen()[0], "x-forwarded-proto"), ["https"]);
    for alpn in [&[b"h2".as_slice(), b"http/1.1"][..], &[]] {
        let stream = open(&gate, &authority.client(alpn, None)).await.unwrap();
        let mut sender = http2::client(stream).await;
        let request = Request::get("https://localhost/").body(Default::default()).unwrap();
        assert_eq!(within(sender.send_request(request)).await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_cut_off() {
    let upstream = Recorder::answering(HELLO).await;
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    let mut setup = Setup::new(upstream.address).with_tls(authority.write(dir.path()));
    setup.listener.limits.header_timeout = Duration::from_millis(300);
    let gate = setup.start();
    for start in [&b""[..], b"\x16\x03\x01", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let mut client = gate.connect().await;
        client.write_all(start).await.unwrap();
        let mut answer = Vec::new();
        let _end = within(client.read_to_end(&mut answer)).await;
        assert!(find(&answer, b"HTTP").is_none());
    }
    eventually(|| gate.metrics.connections.get() == 0).await;
}

#[tokio::test]
async fn a_new_certificate_is_taken_and_a_broken_one_is_not() {
    let upstream = Recorder::answering(HELLO).await;
    let (old, new) = (Authority::new(), Authority::new());
    let dir = tempfile::tempdir().unwrap();
    let files = old.write(dir.path());
    let mut gate = Setup::new(upstream.address).with_tls(files.clone()).start();
    let reloader = gate.tls.take().unwrap();
    tokio::spawn(reloader.run(gate.drain.clone()));
    let mut kept = open(&gate, &old.client(&[], None)).await.unwrap();

    std::fs::write(&files.certificate, "not a certificate").unwrap();
    pause(Duration::from_millis(2500)).await;
    assert!(open(&gate, &old.client(&[], None)).await.is_ok());

    new.write(dir.path());
    within(async {
        while open(&gate, &new.client(&[], None)).await.is_err() {
            pause(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert!(open(&gate, &old.client(&[], None)).await.is_err());
    assert_eq!(status(&exchange(&mut kept, GET).await), 200);
}

#[tokio::test]
async fn clients_must_show_a_certificate_of_the_authority() {
    let upstream = Recorder::answering(HELLO).await;
    let (authority, stranger) = (Authority::new(), Authority::new());
    let dir = tempfile::tempdir().unwrap();
    let mut files = authority.write(dir.path());
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, &authority.pem).unwrap();
    files.client_ca = Some(ca);
    let gate = Setup::new(upstream.address).with_tls(files).start();
    let mut stream = open(&gate, &authority.client(&[], Some(&authority))).await.unwrap();
    assert_eq!(status(&exchange(&mut stream, GET).await), 200);
    for identity in [None, Some(&stranger)] {
        // With TLS 1.3 the client learns of its refusal when it reads.
        let client = authority.client(&[], identity);
        if let Ok(mut stream) = open(&gate, &client).await {
            let _sent = stream.write_all(GET.as_bytes()).await;
            let mut answer = Vec::new();
            assert!(within(stream.read_to_end(&mut answer)).await.is_err());
            assert!(answer.is_empty());
        }
    }
    assert_eq!(upstream.seen().len(), 1);
}
