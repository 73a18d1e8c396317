//! A certificate authority, and what it has signed for both sides of a connection.

use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

/// In its folder: `ca.pem`, and `server` and `client`, each `.pem` and `.key`.
#[derive(Debug)]
pub struct Authority {
    folder: TempDir,
}

// === impl Authority ===

impl Authority {
    /// Certificates for a server of that name, and for a client that is called `node`.
    pub fn new(server: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let write = |name: String, text: String| {
            fs::write(folder.path().join(name), text).expect("written");
        };
        write("ca.pem".to_owned(), issuer.pem());
        for side in ["server", "client"] {
            let key = KeyPair::generate().expect("a key");
            let mut params = CertificateParams::new(vec![server.to_owned()]).expect("parameters");
            params.distinguished_name.push(DnType::CommonName, "node");
            let certificate = params.signed_by(&key, &issuer).expect("signed");
            write(format!("{side}.pem"), certificate.pem());
            write(format!("{side}.key"), key.serialize_pem());
        }
        Self { folder }
    }

    /// One of its files.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
