//! The configuration, typed: every value parsed, every rule checked, nothing running yet.
//!
//! Text becomes `raw` (the TOML's shape, with places), `parse` makes this of it, and `snapshot`
//! builds what runs. Nothing below this room knows that a file exists.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Uri};

use crate::access::Access;
use crate::peer::TrustedProxies;
use crate::revocation::{RevocationConfig, WhenStale};
use crate::route::RoutePattern;
use crate::secret::Secret;
use crate::token::{ClaimPath, IssuerConfig};

mod callback;
mod describe;
mod error;
mod load;
mod parse;
mod raw;
pub mod reference;
mod refusal;
mod units;

pub use callback::{CallbackCache, CallbackConfig, CallbackEndpoint, CallbackKind, WhenDown};
pub use error::{ConfigError, ConfigErrors};
pub use refusal::{CodeForm, ErrorForm, Fill, Media, Template};
pub use units::parse_duration;

/// All of `gateway.toml`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data listener.
    pub listener: ListenerConfig,
    /// The control port.
    pub control: ControlConfig,
    /// Where lines go.
    pub log: LogConfig,
    /// Trusted issuers.
    pub issuers: Vec<IssuerConfig>,
    /// Revocation.
    pub revocation: RevocationConfig,
    /// Named groups of endpoints.
    pub upstreams: Vec<UpstreamConfig>,
    /// Who else can be asked about a token.
    pub callbacks: Vec<CallbackConfig>,
    /// Forms of refusals that the operator has made.
    pub error_forms: Vec<Arc<ErrorForm>>,
    /// Routes, in the file's order.
    pub routes: Vec<RouteConfig>,
}

/// `[listener]`.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// Where clients connect.
    pub address: SocketAddr,
    /// TLS, when it is spoken here.
    pub tls: Option<TlsConfig>,
    /// Whose forwarding fields are believed.
    pub trusted_proxies: TrustedProxies,
    /// Bounds.
    pub limits: Limits,
    /// Data-plane workers; one a core by default.
    pub workers: usize,
    /// How long a drain waits for requests in flight.
    pub drain_timeout: Duration,
}

/// Certificate files; read again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// The chain, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub private_key: PathBuf,
    /// When set, clients must show a certificate of one of these authorities.
    pub client_ca: Option<PathBuf>,
}

/// `listener.limits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The request's head, in bytes.
    pub header_bytes: usize,
    /// Header fields.
    pub headers: usize,
    /// The request target, in bytes.
    pub target_bytes: usize,
    /// A request's body, in bytes.
    pub body_bytes: u64,
    /// From accept or first byte to a whole head; also the TLS handshake's bound when shorter than 5 s.
    pub header_timeout: Duration,
    /// A kept-alive connection without a request, or a body without a byte.
    pub idle_timeout: Duration,
    /// Connections over all workers.
    pub connections: usize,
    /// HTTP/2 streams of one connection.
    pub streams: u32,
    /// Requests of one connection, which ends then.
    pub requests_per_connection: Option<u64>,
    /// How old a connection may be and still take requests.
    pub connection_age: Option<Duration>,
}

/// `[control]`.
#[derive(Clone, Debug)]
pub struct ControlConfig {
    /// Where operators and programs connect.
    pub address: ControlAddress,
    /// Who may; empty: one is made at first start in `credential_file`.
    pub credentials: Vec<CredentialConfig>,
    /// Where the made one is kept (mode 0600).
    pub credential_file: PathBuf,
}

/// Where the control port listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlAddress {
    /// An address and port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// One control credential.
#[derive(Clone, Debug)]
pub struct CredentialConfig {
    /// The actor's name in the audit trail.
    pub name: Arc<str>,
    /// What is presented.
    pub secret: Secret,
    /// What it may do.
    pub role: Role,
}

/// What a control credential may do; each includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look.
    Read,
    /// Revoke and reinstate.
    Revoke,
    /// Reload.
    Admin,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Where the access log goes.
    pub access: AccessLog,
    /// The least severe diagnostic shown: `error`, `warn`, `info`, `debug`.
    pub level: Box<str>,
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// A file, opened again on SIGHUP.
    File(PathBuf),
}

/// `[upstreams.name]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// What routes call it.
    pub name: Arc<str>,
    /// `http://host:port` each.
    pub endpoints: Vec<Uri>,
    /// How one is chosen.
    pub balance: Balance,
    /// From nothing to a connection.
    pub connect_timeout: Duration,
    /// From the request's head sent to the answer's head.
    pub response_timeout: Duration,
    /// A pooled connection without a request, or a body without a byte.
    pub idle_timeout: Duration,
    /// How often a request that is safe to repeat is tried again.
    pub retries: u32,
    /// Active checks.
    pub health: Option<HealthConfig>,
}

/// How an endpoint is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Balance {
    /// The one with the fewest requests in flight from this worker.
    LeastRequests,
    /// In turn.
    RoundRobin,
    /// By a claim's value, so that one subject stays with one endpoint.
    Hash(ClaimPath),
}

/// `health = {..}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthConfig {
    /// Asked with GET; a 2xx or 3xx is healthy.
    pub path: http::uri::PathAndQuery,
    /// How often.
    pub interval: Duration,
    /// Failures in a row until it is left out.
    pub unhealthy_after: u32,
    /// Successes in a row until it is back.
    pub healthy_after: u32,
}

/// One `[[routes]]` entry.
#[derive(Clone, Debug)]
pub struct RouteConfig {
    /// What the log and metrics call it.
    pub name: Arc<str>,
    /// Which requests it takes.
    pub pattern: RoutePattern,
    /// Where they go.
    pub destination: DestinationConfig,
    /// Who is let through.
    pub access: Access,
    /// What happens when the revocation state is too old.
    pub when_stale: WhenStale,
    /// What goes upstream.
    pub forward: ForwardConfig,
    /// Where its answers hold tokens that are registered.
    pub register_from: RegisterFrom,
    /// The form of our refusals.
    pub errors: ErrorProfile,
    /// What the operator has changed about it.
    pub error_form: Option<Arc<ErrorForm>>,
    /// Logs and counts what would be refused for its token, and lets it pass.
    pub shadow: bool,
}

/// `upstream = ".."` or `serve = ".."`: a route has exactly one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DestinationConfig {
    /// They are forwarded to the upstream of this name.
    Upstream(Arc<str>),
    /// The gateway answers: the bearer of a token looks after his own.
    SelfService,
}

/// Where the answers of a service that issues tokens hold them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegisterFrom {
    /// Members of a JSON body; dots lead into objects.
    pub keys: Vec<Box<str>>,
    /// Cookies that are set.
    pub cookies: Vec<Box<str>>,
}

/// `forward = {..}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardConfig {
    /// Whether the credential is passed on.
    pub token: bool,
    /// Header fields set from verified claims; the client's own are always removed.
    pub claims: Vec<(ClaimPath, HeaderName)>,
    /// Whether trailers pass (gRPC).
    pub trailers: bool,
}

/// The form of our refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorProfile {
    /// RFC 6750 challenge with an RFC 9457 body.
    Rfc6750,
    /// Status and message of flask-jwt-extended, whose reading of the fields goes with it.
    Flask,
    /// Status and challenge alone.
    Bare,
}

// === impl RegisterFrom ===

impl RegisterFrom {
    /// Whether answers are not looked at.
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.cookies.is_empty()
    }
}

#[cfg(test)]
mod tests;
