//! Who may use the control port. Digests are compared, all of them, in constant time.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::{ConditionallySelectable, ConstantTimeEq};
use thiserror::Error;

use crate::config::{ControlConfig, Role};
use crate::secret::Secret;

/// The name of the credential that is made at first start.
const MADE: &str = "operator";
/// Random bytes in it.
const MADE_BYTES: usize = 32;
/// No credential file is larger.
const MAX_FILE: u64 = 4096;

/// Every credential, as its digest.
#[derive(Debug)]
pub struct Credentials(Vec<Credential>);

/// Who makes a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The credential's name: the actor of the audit trail.
    pub name: Arc<str>,
    /// What it may do.
    pub role: Role,
}

/// Why the credentials could not be had.
#[derive(Debug, Error)]
pub enum CredentialError {
    /// Reading or writing the file failed.
    #[error("{}: {error}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// Others can read it.
    #[error(
        "{}: mode {mode:04o} lets others read the control credential; `chmod 600` it, or delete it \
         to have a new one made",
        path.display()
    )]
    Mode {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It does not hold a credential.
    #[error("{}: this is no control credential (at least 32 visible characters); delete it to have one made", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
    },
    /// The system has no randomness.
    #[error("the system gives no random bytes")]
    Random,
}

struct Credential {
    digest: [u8; 32],
    caller: Caller,
}

// === impl Credentials ===

impl Credentials {
    /// The configured credentials; with none configured, the one in the credential file, made if need be.
    pub fn open(config: &ControlConfig) -> Result<Self, CredentialError> {
        if config.credentials.is_empty() {
            let secret = made_credential(&config.credential_file)?;
            let caller = Caller { name: MADE.into(), role: Role::Admin };
            return Ok(Self(vec![Credential::new(secret.expose(), caller)]));
        }
        let each = config.credentials.iter().map(|one| {
            let caller = Caller { name: Arc::clone(&one.name), role: one.role };
            Credential::new(one.secret.expose(), caller)
        });
        Ok(Self(each.collect()))
    }

    /// Whose credential the request presents, if anyone's.
    pub(super) fn identify(&self, headers: &HeaderMap) -> Option<&Caller> {
        self.holder(presented(headers)?)
    }

    fn holder(&self, presented: &[u8]) -> Option<&Caller> {
        let digest = sha256(presented);
        let mut found = u32::MAX;
        // Every one is compared, so that the time tells nothing about which is near.
        for (index, one) in (0u32..).zip(&self.0) {
            found.conditional_assign(&index, one.digest.ct_eq(&digest));
        }
        self.0.get(usize::try_from(found).ok()?).map(|one| &one.caller)
    }
}

// === impl Credential ===

impl Credential {
    fn new(secret: &[u8], caller: Caller) -> Self {
        Self { digest: sha256(secret), caller }
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.caller.fmt(f)
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// What follows `Bearer` (RFC 6750 §2.1); the field must be there once.
fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else { return None };
    let (scheme, rest) = field.as_bytes().split_at_checked(7)?;
    let credential = rest.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !credential.is_empty()).then_some(credential)
}

/// The credential of the file, which is made when it is not there.
fn made_credential(path: &Path) -> Result<Secret, CredentialError> {
    let file_error = |error| CredentialError::File { path: path.to_owned(), error };
    match read_credential(path) {
        Err(CredentialError::File { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
            let mut bytes = [0; MADE_BYTES];
            rand::fill(&mut bytes).map_err(|_unspecified| CredentialError::Random)?;
            let text = URL_SAFE_NO_PAD.encode(bytes);
            match publish(path, text.as_bytes()) {
                // Another process was quicker: its credential is the one.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => {
                    made.map_err(file_error)?;
                    tracing::info!(path = %path.display(), "a control credential was made");
                }
            }
            read_credential(path)
        }
        read => read,
    }
}

/// The credential that a file of mode 0600 holds; also for the command line.
pub(crate) fn read_credential(path: &Path) -> Result<Secret, CredentialError> {
    let file_error = |error| CredentialError::File { path: path.to_owned(), error };
    let file = File::open(path).map_err(file_error)?;
    let metadata = file.metadata().map_err(file_error)?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(CredentialError::Mode { path: path.to_owned(), mode });
    }
    let mut text = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut text).map_err(file_error)?;
    let text = text.trim_ascii();
    if !metadata.is_file() || text.len() < 32 || !text.iter().all(u8::is_ascii_graphic) {
        return Err(CredentialError::Content { path: path.to_owned() });
    }
    Ok(Secret::new(text.to_vec()))
}

/// Puts the whole file there at once or not at all: a link to a finished one, never over another.
fn publish(path: &Path, text: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let draft = folder.join(format!(".control-{}.tmp", uuid::Uuid::new_v4().simple()));
    let published = write_private(&draft, text).and_then(|()| fs::hard_link(&draft, path));
    // The draft is of no more use, whether it was linked or not.
    drop(fs::remove_file(&draft));
    published?;
    File::open(folder)?.sync_all()
}

fn write_private(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.write_all(b"\n")?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
