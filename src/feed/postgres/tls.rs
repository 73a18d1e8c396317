//! Encryption on the way to the server: verified, or said to be off.

use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::outbound;
use crate::revocation::{FeedError, StoreTls};

/// Takes the server's certificate if it leads to a configured root, or to one of the system's.
pub(super) fn connector(tls: Option<&StoreTls>) -> Result<MakeRustlsConnect, FeedError> {
    let builder = outbound::trusting(tls.and_then(|tls| tls.ca.as_deref()))
        .map_err(|error| FeedError::Refused(error.to_string()))?;
    let config = match tls.and_then(|tls| tls.identity.as_ref()) {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let certificates = CertificateDer::pem_file_iter(chain).and_then(Iterator::collect);
            let certificates = certificates.map_err(|error| refused(chain, &error))?;
            let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| refused(key, &error))?;
            let config = builder.with_client_auth_cert(certificates, secret);
            config.map_err(|error| refused(chain, &error))?
        }
    };
    Ok(MakeRustlsConnect::new(config))
}

/// Without a word about encryption: demanded, unless everything stays on this machine.
pub(super) fn default_mode(hosts: &[Host]) -> SslMode {
    let local = |host: &Host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            let address = name.parse::<std::net::IpAddr>();
            name == "localhost" || address.is_ok_and(|address| address.is_loopback())
        }
    };
    if hosts.iter().all(local) { SslMode::Prefer } else { SslMode::Require }
}

fn refused(file: &Path, why: &dyn std::fmt::Display) -> FeedError {
    FeedError::Refused(format!("{}: {why}", file.display()))
}
