//! `[revocation]`, every rule already checked.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::secret::Secret;
use crate::token::TokenTypes;

mod url;

pub use url::StoreUrl;

/// What is checked, where the records are kept, and what happens when they can't be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationConfig {
    /// The store and feed.
    pub feed: FeedConfig,
    /// This node's own copy of what such a store holds; none of the embedded one.
    pub local_copy: Option<PathBuf>,
    /// Whether unknown tokens pass.
    pub mode: RevocationMode,
    /// The register of issued tokens; `None`: no listings, and seen-times are not kept.
    pub register: Option<RegisterConfig>,
    /// Token types that are checked unless a route says otherwise.
    pub check: TokenTypes,
    /// Claims that can be revoked by, beside `jti`, `iss`, `kid` and `token`, which always can.
    pub claims: Vec<Arc<str>>,
    /// How old the known state may be before `when_stale` decides.
    pub max_staleness: Duration,
    /// The default for routes.
    pub when_stale: WhenStale,
    /// What this node is called among those that follow the store; `None`: as its host.
    pub node: Option<Arc<str>>,
}

/// What becomes of a token that nothing is known of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RevocationMode {
    /// It passes.
    #[default]
    DenyList,
    /// It is refused as revoked.
    AllowList,
}

/// `revocation.register`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterConfig {
    /// The most tokens that can be listed.
    pub max_tokens: usize,
    /// How often the times at which tokens were seen are recorded.
    pub seen_every: Duration,
}

/// Which store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedConfig {
    /// One file on this machine.
    Embedded {
        /// The file; made at first start.
        path: PathBuf,
    },
    /// A Redis Stream and what is kept beside it.
    Redis(RedisConfig),
    /// A JetStream stream.
    Nats(NatsConfig),
    /// A PostgreSQL table.
    Postgres(PostgresConfig),
}

/// `revocation.redis`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisConfig {
    /// Where the server is; `rediss` for TLS.
    pub url: StoreUrl,
    /// The stream's key; other keys begin with it.
    pub stream: String,
    /// Replicas that must have a record before it is acknowledged.
    pub replicas: u8,
    /// The ACL user; `None`: as in the URL, else Redis' default user.
    pub username: Option<String>,
    /// Its password; `None`: as in the URL, else none.
    pub password: Option<Secret>,
    /// Whom to trust and what to show.
    pub tls: Option<StoreTls>,
}

/// `revocation.nats`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsConfig {
    /// Where the servers are: one URL, or several with commas in between.
    pub url: StoreUrl,
    /// The stream's name.
    pub stream: String,
    /// Copies of the stream that the servers keep.
    pub replicas: u8,
    /// The user; `None`: as in the URL, else none.
    pub username: Option<String>,
    /// Its password; `None`: as in the URL, else none.
    pub password: Option<Secret>,
    /// A credentials file (JWT and NKey seed).
    pub credentials: Option<PathBuf>,
    /// Whom to trust and what to show.
    pub tls: Option<StoreTls>,
}

/// `revocation.postgres`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresConfig {
    /// Where the database is.
    pub url: StoreUrl,
    /// The table's name, with or without its schema.
    pub table: String,
    /// The role; `None`: as in the URL.
    pub username: Option<String>,
    /// Its password; `None`: as in the URL, else none.
    pub password: Option<Secret>,
    /// Whom to trust and what to show.
    pub tls: Option<StoreTls>,
}

/// TLS to a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreTls {
    /// Authorities that the server's certificate may come from, PEM; `None`: the system's.
    pub ca: Option<PathBuf>,
    /// Our certificate chain and its key, PEM, for a server that asks for them.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// What a route does when the revocation state is too old to be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenStale {
    /// 503 with `Retry-After`.
    Reject,
    /// Goes on with the last known state.
    Allow,
}

// === impl FeedConfig ===

impl FeedConfig {
    /// The word for it in the configuration.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Embedded { .. } => "embedded",
            Self::Redis(_) => "redis",
            Self::Nats(_) => "nats",
            Self::Postgres(_) => "postgres",
        }
    }
}
