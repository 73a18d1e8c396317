//! A block list in Redis: keys that are token ids and live as long as their tokens, as in
//! flask-jwt-extended's examples. The value is empty or `true`; `false` is an allow-list's.

use std::time::Duration;

use anyhow::anyhow;
use redis::aio::{MultiplexedConnection, PubSubStream};
use redis::{AsyncConnectionConfig, Client, RedisError};

use crate::clock::{Clock, SystemClock, UnixTime};
use crate::feed::redis::client;
use crate::revocation::{FeedError, RedisConfig};

use super::delivery::{Blocked, Delivery, Read};
use crate::cli::Failure;
use crate::cli::args::{ImportArgs, RedisArgs, SourceArgs};

/// The keys of another program, and how they are read.
pub(super) struct Source {
    client: Client,
    connection: MultiplexedConnection,
    prefix: String,
    any_value: bool,
    expires_in: Option<Duration>,
    /// How the store may be called in a message.
    pub(super) shown: String,
}

/// A key, without its prefix where it is text, and what it turned out to be; `None`: it is gone.
pub(super) type Found = (String, Option<Read>);

/// How many keys Redis looks at in one step.
const STEP: u32 = 1000;
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(10);

const NO_END: &str = "has no expiry of its own: say --expires-in";
const NO_TEXT: &str = "is no text";
const NO_ID: &str = "has no token id behind the prefix";
const NO_VALUE: &str = "is neither empty nor `true` nor `false`: --any-value takes every value";

/// `portcullis import --from flask-redis`.
pub(super) async fn import(args: &ImportArgs) -> Result<(), Failure> {
    let mut source = Source::connect(&args.source, &args.redis).await?;
    let mut delivery = Delivery::new(&args.reach, &args.source, "imported from Redis");
    let mut cursor = Some(0);
    while let Some(at) = cursor {
        let (next, found) = source.page(at).await?;
        let mut changes = Vec::with_capacity(found.len());
        for (what, read) in found {
            delivery.take(&what, read.unwrap_or(Read::Expired), &mut changes);
        }
        delivery.send(&changes).await?;
        cursor = next;
    }
    delivery.end()
}

// === impl Source ===

impl Source {
    pub(super) async fn connect(source: &SourceArgs, args: &RedisArgs) -> Result<Self, Failure> {
        let url = source.url()?;
        let shown = url.shown().to_owned();
        // The stream is a feed's; none is read here.
        let stream = String::new();
        let config =
            RedisConfig { url, stream, replicas: 0, username: None, password: None, tls: None };
        let client = client(&config).map_err(|error| match error {
            FeedError::Refused(text) => Failure::Usage(text),
            other => Failure::Failed(anyhow!(other)),
        })?;
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(ANSWER));
        let connecting = client.get_multiplexed_async_connection_with_config(&settings);
        let connection = connecting.await.map_err(failed)?;
        Ok(Self {
            client,
            connection,
            prefix: args.prefix.clone(),
            any_value: args.any_value,
            expires_in: source.expires_in,
            shown,
        })
    }

    /// Some of the keys, and where to go on; a key may come twice.
    pub(super) async fn page(&mut self, at: u64) -> Result<(Option<u64>, Vec<Found>), Failure> {
        let mut scan = redis::cmd("SCAN");
        scan.arg(at).arg("MATCH").arg(self.pattern()).arg("COUNT").arg(STEP);
        let (next, keys): (u64, Vec<Vec<u8>>) =
            scan.query_async(&mut self.connection).await.map_err(failed)?;
        let found = self.look(keys).await?;
        Ok(((next != 0).then_some(next), found))
    }

    /// What these keys are now.
    pub(super) async fn look(&mut self, keys: Vec<Vec<u8>>) -> Result<Vec<Found>, Failure> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut asking = redis::cmd("MGET");
        let values: Vec<Option<Vec<u8>>> =
            asking.arg(&keys).query_async(&mut self.connection).await.map_err(failed)?;
        let mut asking = redis::pipe();
        for key in &keys {
            asking.cmd("PTTL").arg(key);
        }
        let lives: Vec<i64> = asking.query_async(&mut self.connection).await.map_err(failed)?;
        let now = SystemClock.now();
        let rows = keys.iter().zip(values).zip(lives);
        Ok(rows.map(|((key, value), life)| self.judge(key, value.as_deref(), life, now)).collect())
    }

    fn judge(&self, key: &[u8], value: Option<&[u8]>, life: i64, now: UnixTime) -> Found {
        let shown = || String::from_utf8_lossy(key).into_owned();
        let Ok(text) = std::str::from_utf8(key) else { return (shown(), Some(Read::Bad(NO_TEXT))) };
        let Some(jti) = text.strip_prefix(&self.prefix).filter(|id| !id.is_empty()) else {
            return (shown(), Some(Read::Bad(NO_ID)));
        };
        (jti.to_owned(), value_of(jti, value, life, self, now))
    }

    /// Word of every change of our keys, where Redis is set to give it.
    pub(super) async fn notifications(&mut self) -> Result<Option<PubSubStream>, Failure> {
        let mut asking = redis::cmd("CONFIG");
        asking.arg("GET").arg("notify-keyspace-events");
        // Who may not ask is not told either.
        let answer: Result<Vec<String>, _> = asking.query_async(&mut self.connection).await;
        let events = answer.ok().and_then(|pair| pair.into_iter().nth(1)).unwrap_or_default();
        if !tells_of_changes(&events) {
            return Ok(None);
        }
        let subscribing = async {
            let mut channel = self.client.get_async_pubsub().await?;
            channel.psubscribe(self.channel() + &self.pattern()).await?;
            Ok(channel.into_on_message())
        };
        match tokio::time::timeout(CONNECT, subscribing).await {
            Ok(subscribed) => subscribed.map(Some).map_err(failed),
            Err(_elapsed) => Err(Failure::Failed(anyhow!("Redis does not answer"))),
        }
    }

    /// What a notification's channel begins with.
    pub(super) fn channel(&self) -> String {
        let database = self.client.get_connection_info().redis_settings().db();
        format!("__keyspace@{database}__:")
    }

    /// The key of a token id.
    pub(super) fn key(&self, jti: &str) -> Vec<u8> {
        format!("{}{jti}", self.prefix).into_bytes()
    }

    fn pattern(&self) -> String {
        let mut pattern = String::new();
        for sign in self.prefix.chars() {
            if "*?[]^\\".contains(sign) {
                pattern.push('\\');
            }
            pattern.push(sign);
        }
        pattern + "*"
    }
}

fn value_of(
    jti: &str,
    value: Option<&[u8]>,
    life: i64,
    source: &Source,
    now: UnixTime,
) -> Option<Read> {
    let Some(value) = value else { return (life != GONE).then_some(Read::Other) };
    let revoked = match value {
        b"" | b"true" | b"True" | b"1" => true,
        b"false" | b"False" | b"0" => false,
        _ if source.any_value => true,
        _ => return Some(Read::Bad(NO_VALUE)),
    };
    if !revoked {
        return Some(Read::Allowed);
    }
    let life = match (life, source.expires_in) {
        (GONE, _) => return None,
        (LASTING, None) => return Some(Read::Bad(NO_END)),
        (LASTING, Some(life)) => life,
        // Rounded up: no token outlives its entry by a fraction.
        (millis, _) => Duration::from_secs(millis.unsigned_abs().div_ceil(1000)),
    };
    let expires_at = Some(now.saturating_add(life));
    Some(Read::Blocked(Blocked { jti: jti.to_owned(), expires_at }))
}

/// `PTTL` of a key that is not there.
const GONE: i64 = -2;
/// `PTTL` of a key that stays.
const LASTING: i64 = -1;

/// Keyspace channels (`K`) with strings' commands (`$`) and those of every type (`g`).
fn tells_of_changes(events: &str) -> bool {
    let has = |sign| events.contains(sign);
    has('K') && (has('A') || (has('$') && has('g')))
}

pub(super) fn failed(error: RedisError) -> Failure {
    Failure::Failed(anyhow!("Redis: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notifications_count_when_they_tell_of_writes_and_deletions() {
        for (events, want) in [
            ("", false),
            ("KEA", true),
            ("AK", true),
            ("EA", false),
            ("K$g", true),
            ("g$lKx", true),
            ("Kg", false),
            ("Kx", false),
        ] {
            assert_eq!(tells_of_changes(events), want, "{events}");
        }
    }
}
