//! The connection: servers, credentials, TLS, and what a server complains of.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{Client, ConnectError, ConnectErrorKind, ConnectOptions, Event, ServerAddr};

use crate::backoff::Backoff;
use crate::revocation::{FeedError, NatsConfig};

/// A connection, and what its server refused last.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) client: Client,
    pub(super) complaint: Complaint,
}

/// The last "permissions violation": the call itself only times out.
#[derive(Clone, Debug, Default)]
pub(super) struct Complaint(Arc<Mutex<Option<String>>>);

const CONNECT_LIMIT: Duration = Duration::from_secs(3);
const PING: Duration = Duration::from_secs(2);
const SHORTEST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(3);

// === impl Complaint ===

impl Complaint {
    /// What was complained of since the last time this was asked.
    pub(super) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn hear(&self, event: &Event) {
        let text = event.to_string();
        if text.to_ascii_lowercase().contains("permissions violation") {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
        }
    }
}

/// Connects; when no server can be reached, goes on trying behind the client that is answered.
pub(super) async fn connect(config: &NatsConfig) -> Result<Connected, FeedError> {
    let servers = servers(config)?;
    let complaint = Complaint::default();
    let first = options(config, &complaint).await?;
    let client = match first.connect(servers.clone()).await {
        Ok(client) => client,
        Err(error) if is_final(&error) => return Err(FeedError::Refused(error.to_string())),
        Err(error) => {
            tracing::warn!(%error, servers = config.url.shown(), "no NATS server can be reached yet");
            let later = options(config, &complaint).await?.retry_on_initial_connect();
            let connecting = later.connect(servers).await;
            connecting.map_err(|error| FeedError::Unreachable(error.into()))?
        }
    };
    Ok(Connected { client, complaint })
}

/// Another connection, for a question during which the server answers no ping.
pub(super) async fn connect_to_search(
    config: &NatsConfig,
    complaint: &Complaint,
    limit: Duration,
) -> Result<Client, FeedError> {
    let options = options(config, complaint).await?.ping_interval(limit);
    let options = options.request_timeout(Some(limit));
    let connected = options.connect(servers(config)?).await;
    connected.map_err(|error| FeedError::Unreachable(error.into()))
}

/// Trying again would change nothing.
fn is_final(error: &ConnectError) -> bool {
    matches!(
        error.kind(),
        ConnectErrorKind::ServerParse
            | ConnectErrorKind::Authentication
            | ConnectErrorKind::AuthorizationViolation
            | ConnectErrorKind::Tls
    )
}

fn servers(config: &NatsConfig) -> Result<Vec<ServerAddr>, FeedError> {
    let parse = |text: &str| text.trim().parse::<ServerAddr>();
    // The error's text may quote the URL, and that a password.
    config.url.expose().split(',').map(parse).collect::<Result<_, _>>().map_err(|_unshown| {
        FeedError::Refused(format!("`{}` is not the URL of a NATS server", config.url.shown()))
    })
}

async fn options(config: &NatsConfig, complaint: &Complaint) -> Result<ConnectOptions, FeedError> {
    let heard = complaint.clone();
    let mut options = ConnectOptions::new()
        .name(format!("portcullis {}", config.stream))
        .connection_timeout(CONNECT_LIMIT)
        .request_timeout(Some(CONNECT_LIMIT))
        .ping_interval(PING)
        .reconnect_delay_callback(delay)
        .event_callback(move |event| {
            heard.hear(&event);
            tracing::debug!(%event, "NATS connection");
            std::future::ready(())
        });
    if let Some(file) = &config.credentials {
        options = options.credentials_file(file).await.map_err(|error| {
            FeedError::Refused(format!("the credentials file {}: {error}", file.display()))
        })?;
    }
    if let Some(user) = &config.username {
        let password = config.password.as_ref().map_or(&[][..], |password| password.expose());
        let password = String::from_utf8_lossy(password).into_owned();
        options = options.user_and_password(user.clone(), password);
    }
    if let Some(tls) = &config.tls {
        options = options.require_tls(true);
        if let Some(ca) = &tls.ca {
            options = options.add_root_certificates(ca.clone());
        }
        if let Some((certificate, key)) = &tls.identity {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
    }
    Ok(options)
}

/// Jittered: many nodes lose their server at one moment.
fn delay(attempts: usize) -> Duration {
    let mut backoff = Backoff::new(SHORTEST_DELAY, LONGEST_DELAY);
    let grown = (1..attempts.min(8)).map(|_| backoff.next_delay()).last();
    grown.unwrap_or(SHORTEST_DELAY)
}
