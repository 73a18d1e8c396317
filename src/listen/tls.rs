//! TLS on the data port: certificate, key and client authorities, read again when their files change.

use std::hash::{DefaultHasher, Hasher};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::config::TlsConfig;
use crate::shutdown::Drain;

/// The configuration that new connections are spoken with.
#[derive(Debug)]
pub struct Tls {
    files: TlsConfig,
    current: ArcSwap<ServerConfig>,
}

/// Watches a [`Tls`]' files.
#[derive(Debug)]
pub struct TlsReloader {
    tls: Arc<Tls>,
    seen: u64,
}

/// The socket below TLS. One record alone, which is all of a short answer, is sent as it is: the system
/// call for a list of pieces costs more.
#[derive(Debug)]
pub(super) struct Records(TcpStream);

/// Why certificate, key or authorities cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// A file is not PEM of the right kind.
    #[error("{path} does not hold what it should")]
    Pem {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: pem::Error,
    },
    /// A file has no certificate in it.
    #[error("{path} holds no certificate")]
    Empty {
        /// Which.
        path: PathBuf,
    },
    /// Certificate and key cannot be used (together).
    #[error("the certificate and its key cannot be used")]
    Certificate(#[source] rustls::Error),
    /// The client authorities cannot be used.
    #[error("the client authorities cannot be used")]
    ClientCa(#[from] VerifierBuilderError),
}

/// The bytes of all files, read before any of them is believed.
struct Files {
    certificate: Vec<u8>,
    private_key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(2);

// === impl Tls ===

impl Tls {
    /// Reads the files.
    pub fn load(files: &TlsConfig) -> Result<Self, TlsError> {
        let config = Files::read(files)?.server_config(files)?;
        Ok(Self { files: files.clone(), current: ArcSwap::from_pointee(config) })
    }

    /// Does the handshake. Has no deadline of its own.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<Records>> {
        let acceptor = tokio_rustls::TlsAcceptor::from(self.current.load_full());
        acceptor.accept(Records(stream)).await
    }
}

// === impl TlsReloader ===

impl TlsReloader {
    pub(super) fn new(tls: Arc<Tls>) -> Self {
        // What was loaded before may have changed since; 0 makes the first look load again.
        Self { tls, seen: 0 }
    }

    /// Looks at the files every two seconds until told to stop.
    pub async fn run(mut self, mut drain: Drain) {
        let mut clock = tokio::time::interval(INTERVAL);
        loop {
            tokio::select! {
                _ = clock.tick() => self.look(),
                () = drain.begun() => return,
            }
        }
    }

    /// Takes new files when they are whole and good; otherwise the old ones stay.
    fn look(&mut self) {
        let files = match Files::read(&self.tls.files) {
            Ok(files) => files,
            Err(error) => return tell(&error, &mut self.seen, 1),
        };
        let content = files.fingerprint();
        if content == self.seen {
            return;
        }
        match files.server_config(&self.tls.files) {
            Ok(config) => {
                let first = self.seen == 0;
                self.seen = content;
                self.tls.current.store(Arc::new(config));
                if !first {
                    tracing::info!("certificate loaded again");
                }
            }
            Err(error) => tell(&error, &mut self.seen, content),
        }
    }
}

// === impl Records ===

impl AsyncRead for Records {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Records {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match slices {
            [record] => Pin::new(&mut self.0).poll_write(cx, record),
            records => Pin::new(&mut self.0).poll_write_vectored(cx, records),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

// === impl Files ===

impl Files {
    fn read(files: &TlsConfig) -> Result<Self, TlsError> {
        Ok(Self {
            certificate: read(&files.certificate)?,
            private_key: read(&files.private_key)?,
            client_ca: files.client_ca.as_deref().map(read).transpose()?,
        })
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for file in [Some(&self.certificate), Some(&self.private_key), self.client_ca.as_ref()] {
            hasher.write_usize(file.map_or(0, Vec::len));
            hasher.write(file.map_or(&[], Vec::as_slice));
        }
        hasher.finish()
    }

    fn server_config(&self, files: &TlsConfig) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let chain = certificates(&self.certificate, &files.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&self.private_key)
            .map_err(|source| TlsError::Pem { path: files.private_key.clone(), source })?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Certificate)?;
        let builder = match (&self.client_ca, &files.client_ca) {
            (Some(ca), Some(path)) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates(ca, path)? {
                    roots.add(authority).map_err(TlsError::Certificate)?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .build()?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Certificate)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

// === free functions ===

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

fn certificates(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|source| TlsError::Pem { path: path.to_owned(), source })?;
    if chain.is_empty() { Err(TlsError::Empty { path: path.to_owned() }) } else { Ok(chain) }
}

/// Says it once for each state of the files.
fn tell(error: &TlsError, seen: &mut u64, state: u64) {
    if *seen != state {
        *seen = state;
        tracing::error!(
            error = error as &dyn std::error::Error,
            "the changed certificate cannot be used; the old one stays"
        );
    }
}
