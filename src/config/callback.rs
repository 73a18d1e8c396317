//! `[callbacks.name]`: who else is asked about a token, and what holds when no answer comes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;

use crate::secret::Secret;

/// `[callbacks.name]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbackConfig {
    /// What routes call it.
    pub name: Arc<str>,
    /// Who is asked, and how.
    pub kind: CallbackKind,
    /// From a question to its whole answer; a turn is waited for as long at most.
    pub timeout: Duration,
    /// Questions that are out at once.
    pub concurrency: usize,
    /// What happens when no answer comes.
    pub when_down: WhenDown,
    /// How long verdicts are kept.
    pub cache: CallbackCache,
}

/// Who is asked, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallbackKind {
    /// The issuer's token introspection endpoint (RFC 7662).
    Introspection {
        /// Where it is.
        endpoint: CallbackEndpoint,
        /// Who we are there.
        client_id: Box<str>,
        /// How we show it (RFC 6749 §2.3.1, HTTP Basic).
        client_secret: Secret,
    },
    /// A service that is sent the claims and answers with a verdict.
    Http {
        /// Where it is.
        endpoint: CallbackEndpoint,
        /// What we show it as bearer token.
        bearer_secret: Option<Secret>,
    },
    /// An async closure of the program that embeds the library, registered under the name.
    Closure,
}

/// Where a callback is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbackEndpoint {
    /// `https`, or `http` where the configuration says that it may be.
    pub url: Uri,
    /// Authorities that its certificate may come from; `None`: the system's.
    pub ca: Option<PathBuf>,
}

/// What happens to a verified token when no answer comes: there is no answer, or only that the other
/// side can't answer now. An answer that is wrong is always refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenDown {
    /// 503 with `Retry-After`.
    Reject,
    /// It passes.
    Allow,
}

/// How long verdicts are kept, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallbackCache {
    /// A verdict in the token's favour, at most until the token's `exp`; zero: not kept.
    pub ttl: Duration,
    /// Any other verdict; never longer.
    pub refused_ttl: Duration,
    /// Verdicts.
    pub entries: usize,
    /// Bytes, tokens included.
    pub bytes: u64,
}
