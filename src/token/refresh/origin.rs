//! Where an issuer's key document is: behind a URL, behind discovery, in a file.

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use serde::Deserialize;

use crate::token::{IssuerConfig, KeysConfig, KeysError};

use super::fetch::{FetchError, Fetcher, checked};
use super::{Document, DocumentOrigin, INTERVAL, POLL, RefreshError};

/// The place itself.
pub(super) enum Origin {
    Url { fetcher: Fetcher, url: Uri },
    Discovery { fetcher: Fetcher, issuer: Box<str>, url: Uri },
    File(PathBuf),
}

/// What is read of an OpenID Provider's metadata (OpenID Connect Discovery 1.0 §3).
#[derive(Deserialize)]
struct Metadata {
    issuer: Box<str>,
    jwks_uri: Box<str>,
}

// === impl Origin ===

impl Origin {
    /// The issuer's; `None` when there is nothing to keep fresh.
    pub(super) fn of(config: &IssuerConfig) -> Result<Option<Self>, FetchError> {
        Ok(Some(match &config.keys {
            KeysConfig::Secret(_) => return Ok(None),
            KeysConfig::JwksFile(path) | KeysConfig::PemFile(path) => Self::File(path.clone()),
            KeysConfig::JwksUrl(url) => {
                Self::Url { fetcher: Fetcher::new()?, url: checked(url.clone())? }
            }
            KeysConfig::Discovery => {
                let issuer = config.issuer.as_deref().ok_or(FetchError::Url)?;
                let url =
                    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
                let url = checked(url.parse().map_err(|_cause| FetchError::Url)?)?;
                Self::Discovery { fetcher: Fetcher::new()?, issuer: issuer.into(), url }
            }
        }))
    }
}

impl DocumentOrigin for Origin {
    async fn document(&self) -> Result<Document, RefreshError> {
        match self {
            Self::Url { fetcher, url } => Ok(fetcher.document(url).await?),
            Self::Discovery { fetcher, issuer, url } => {
                let metadata = fetcher.document(url).await?;
                let url = jwks_uri(&metadata.bytes, issuer)?;
                Ok(fetcher.document(&url).await?)
            }
            Self::File(path) => {
                let bytes = tokio::fs::read(path)
                    .await
                    .map_err(|source| KeysError::Read { path: path.clone(), source })?;
                Ok(Document { bytes, max_age: None })
            }
        }
    }

    fn interval(&self) -> Duration {
        match self {
            Self::Url { .. } | Self::Discovery { .. } => INTERVAL,
            Self::File(_) => POLL,
        }
    }
}

/// The key set's place. Metadata of another issuer is refused (OpenID Connect Discovery 1.0 §4.3).
fn jwks_uri(metadata: &[u8], issuer: &str) -> Result<Uri, FetchError> {
    let metadata: Metadata =
        serde_json::from_slice(metadata).map_err(|_cause| FetchError::Metadata)?;
    if *metadata.issuer != *issuer {
        return Err(FetchError::OtherIssuer);
    }
    checked(metadata.jwks_uri.parse().map_err(|_cause| FetchError::Url)?)
}
