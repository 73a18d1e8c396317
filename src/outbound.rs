//! What we ask other servers ourselves (key documents, verdicts, a store): whom TLS trusts there, and the
//! way to them. Bounds are set where one asks.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::client::WantsClientCert;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use thiserror::Error;

/// What our own requests call themselves (RFC 9110 §10.1.5).
pub const AGENT: &str = concat!("portcullis/", env!("CARGO_PKG_VERSION"));

/// TLS that knows whom to trust, and not yet whether it has a certificate of its own.
pub type Trusting = ConfigBuilder<ClientConfig, WantsClientCert>;

/// Why there is no TLS.
#[derive(Debug, Error)]
pub enum TrustError {
    /// The file of root certificates can't be used.
    #[error("{}: {problem}", path.display())]
    Ca {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The cryptography.
    #[error("no TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// Trusts certificates that lead to one of the file's, or without a file to one of the system's. A machine
/// without root certificates trusts nobody, and still reaches what needs no TLS.
pub fn trusting(ca: Option<&Path>) -> Result<Trusting, TrustError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?;
    let Some(file) = ca else {
        return Ok(builder.clone().with_native_roots().unwrap_or_else(|error| {
            tracing::warn!(%error, "no root certificates: nobody is trusted over TLS");
            builder.with_root_certificates(RootCertStore::empty())
        }));
    };
    Ok(builder.with_root_certificates(roots(file)?))
}

/// The way of HTTP/1.1 requests, over TLS or in plain text: who asks says which URL may be in plain text.
pub fn connector(tls: Trusting) -> HttpsConnector<HttpConnector> {
    let tls = tls.with_no_client_auth();
    HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build()
}

fn roots(file: &Path) -> Result<RootCertStore, TrustError> {
    let wrong =
        |why: &dyn Display| TrustError::Ca { path: file.to_owned(), problem: why.to_string() };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| wrong(&error))? {
        let certificate = certificate.map_err(|error| wrong(&error))?;
        roots.add(certificate).map_err(|error| wrong(&error))?;
    }
    if roots.is_empty() {
        return Err(wrong(&"it holds no certificate"));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_certificate_is_named_and_no_other_is_taken_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let said = || trusting(Some(&path)).err().map(|error| error.to_string());
        assert!(said().is_some_and(|said| said.contains("ca.pem: ")), "no such file");
        std::fs::write(&path, "").unwrap();
        assert!(said().is_some_and(|said| said.ends_with("ca.pem: it holds no certificate")));
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        std::fs::write(&path, certificate.pem()).unwrap();
        assert_eq!(said(), None);
    }
}
