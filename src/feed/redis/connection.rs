//! Connections to the server, and what its errors mean.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, Pipeline, RedisError};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::revocation::FeedError;

use super::scripts::{Keys, Script};
use super::settings;

/// The server, our keys in it, and the connections that all but the blocking reads share.
pub(super) struct Link {
    client: Client,
    keys: Keys,
    asks: Line,
    /// Of the writer alone: it may wait there for replicas.
    appends: Line,
    /// So many must have a record before it is acknowledged.
    replicas: u8,
    looked_at: AtomicBool,
}

/// A connection that is made when it is needed, and replaced when it is dead.
#[derive(Default)]
struct Line {
    shared: Mutex<Shared>,
    /// How much longer than usual its answers may take.
    block: Duration,
}

#[derive(Default)]
struct Shared {
    connection: Option<MultiplexedConnection>,
    /// When connecting failed last: whoever comes right after does not wait for the same again.
    failed: Option<(Instant, String)>,
}

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(1);
/// How long an answer may take, beyond the time that a read was told to block.
pub(super) const ANSWER: Duration = Duration::from_secs(2);
/// How long replicas have to confirm what was appended.
pub(super) const REPLICAS: Duration = Duration::from_secs(1);
/// Failing is not repeated within this.
const AGAIN: Duration = Duration::from_millis(100);

// === impl Link ===

impl Link {
    pub(super) fn new(client: Client, keys: Keys, replicas: u8) -> Self {
        let (asks, looked_at) = (Line::default(), AtomicBool::new(false));
        let appends = Line { block: REPLICAS, ..Line::default() };
        Self { client, keys, asks, appends, replicas, looked_at }
    }

    pub(super) const fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(super) const fn replicas(&self) -> u8 {
        self.replicas
    }

    /// A connection of the caller's own, whose answers may take `block` longer.
    pub(super) async fn connect(
        &self,
        block: Duration,
    ) -> Result<MultiplexedConnection, FeedError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(block + ANSWER));
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = connecting.await.map_err(failed)?;
        if !self.looked_at.swap(true, Ordering::Relaxed) {
            settings::warn(&mut connection, self.replicas).await;
        }
        Ok(connection)
    }

    /// A connection that hears what is published.
    pub(super) async fn listen(&self) -> Result<PubSub, FeedError> {
        let connecting = timeout(CONNECT, self.client.get_async_pubsub()).await;
        connecting.map_err(|_elapsed| late())?.map_err(failed)
    }

    /// The line's connection, and whether it was there; connects when there is none.
    async fn shared(&self, line: &Line) -> Result<(MultiplexedConnection, bool), FeedError> {
        let mut shared = line.shared.lock().await;
        if let Some(connection) = &shared.connection {
            return Ok((connection.clone(), true));
        }
        if let Some((at, problem)) = &shared.failed
            && at.elapsed() < AGAIN
        {
            return Err(FeedError::Unreachable(problem.clone().into()));
        }
        match self.connect(line.block).await {
            Ok(connection) => {
                shared.connection = Some(connection.clone());
                shared.failed = None;
                Ok((connection, false))
            }
            Err(error) => {
                shared.failed = Some((Instant::now(), error.to_string()));
                Err(error)
            }
        }
    }

    /// Asks over the connection that is shared.
    pub(super) async fn ask<T: FromRedisValue>(&self, asking: &Pipeline) -> Result<T, FeedError> {
        self.ask_on(&self.asks, asking).await
    }

    /// The same for the writer.
    pub(super) async fn ask_to_append<T: FromRedisValue>(
        &self,
        asking: &Pipeline,
    ) -> Result<T, FeedError> {
        self.ask_on(&self.appends, asking).await
    }

    /// A connection that turns out to be dead is replaced, once: every call that we make may be made
    /// twice.
    async fn ask_on<T: FromRedisValue>(
        &self,
        line: &Line,
        asking: &Pipeline,
    ) -> Result<T, FeedError> {
        let (mut connection, reused) = self.shared(line).await?;
        let error = match asking.query_async(&mut connection).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if !must_reconnect(&error) {
            return Err(failed(error));
        }
        line.shared.lock().await.connection = None;
        if !reused || error.is_timeout() {
            return Err(failed(error));
        }
        let (mut connection, _) = self.shared(line).await?;
        asking.query_async(&mut connection).await.map_err(failed)
    }

    /// Whether the server takes writes: one that does not is a replica by now, or a master that was cut
    /// off from its replicas, and says nothing of what is written elsewhere. Asked by a write that
    /// changes nothing, and so is neither kept nor replicated.
    pub(super) async fn takes_writes(
        &self,
        mut connection: MultiplexedConnection,
    ) -> Result<(), FeedError> {
        let mut probe = redis::cmd("HDEL");
        probe.arg(&self.keys.meta).arg("");
        match probe.query_async::<i64>(&mut connection).await {
            Err(error) if matches!(&*first(&error).0, "READONLY" | "NOREPLICAS") => {
                Err(failed(error))
            }
            // A right that is missing, or a disk that is full, hides nothing that is written elsewhere.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Runs a script over the shared connection.
    pub(super) async fn run<T: FromRedisValue>(&self, script: &Script) -> Result<T, FeedError> {
        let mut asking = redis::pipe();
        asking.add_command(script.command(&self.keys));
        let (answer,) = self.ask(&asking).await?;
        Ok(answer)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// Whether the connection is of no use any more: it is cut, or leads to what is no master now.
pub(super) fn must_reconnect(error: &RedisError) -> bool {
    error.is_unrecoverable_error()
        || error.is_io_error()
        || matches!(&*first(error).0, "READONLY" | "MASTERDOWN")
}

/// What an error of the server or the connection means to us.
pub(super) fn failed(error: RedisError) -> FeedError {
    let (code, text) = first(&error);
    let refused = |what: &str| FeedError::Refused(format!("{what}: {text}"));
    match &*code {
        _ if error.kind() == ErrorKind::AuthenticationFailed => refused(STRANGER),
        "NOAUTH" | "WRONGPASS" => refused(STRANGER),
        "NOPERM" => refused("the Redis user lacks a right"),
        _ if text.contains("can't run this command") => refused("the Redis user lacks a right"),
        "READONLY" => refused("this Redis is a replica"),
        "OOM" | "MISCONF" => refused("Redis can't keep what it is given"),
        "WRONGTYPE" => FeedError::Corrupt(format!("a key holds something else: {text}")),
        "" | "LOADING" | "MASTERDOWN" | "NOREPLICAS" | "CLUSTERDOWN" | "TRYAGAIN" => {
            match error.kind() {
                ErrorKind::Parse | ErrorKind::UnexpectedReturnType => FeedError::Corrupt(text),
                _ => FeedError::Unreachable(Box::new(error)),
            }
        }
        _ => FeedError::Refused(text),
    }
}

/// No answer in time.
pub(super) fn late() -> FeedError {
    FeedError::Unreachable("Redis does not answer in time".into())
}

const STRANGER: &str = "Redis wants another user or password";

/// The server's word for it, empty when it came from elsewhere, and the whole in words: of a pipeline, of
/// the first command that failed.
fn first(error: &RedisError) -> (String, String) {
    let errors = error.clone().into_server_errors();
    match errors.as_deref().and_then(<[_]>::first) {
        Some((_, server)) => {
            let details = server.details().unwrap_or_default();
            (server.code().to_owned(), format!("{} {details}", server.code()))
        }
        None => (error.code().unwrap_or_default().to_owned(), error.to_string()),
    }
}
