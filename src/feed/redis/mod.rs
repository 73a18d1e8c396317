//! Redis: a stream is the log, and the live entries are kept beside it.
//!
//! * Whoever publishes adds to the stream and to nothing else, so that an application's `XADD` counts
//!   as much as ours. The live entries are what the stream says up to `folded`; any node folds the rest in,
//!   with the same merging as everywhere, and a compare-and-set on `folded` makes it happen once.
//! * Nothing is trimmed before it is folded, and the entry at `folded` is always in the stream: where it is not,
//!   somebody else trimmed, emptied or replaced the stream, and the store's epoch changes.
//! * A reader's cursor is the id of an entry. While that entry is there nothing after it was lost; when it
//!   is gone and we did not trim it, Redis has forgotten acknowledged records: the epoch changes too.
//! * Every heartbeat is a transaction that saw the epoch, the cursor's entry and nothing after it, on a
//!   server that takes writes.
//!
//! Keys (`S` is `revocation.redis.stream`): `S`, `{S}:live` (entries in the order of their names),
//! `{S}:expiry` (names by expiry), `{S}:meta` (`epoch`, `folded`, `first`), `{S}:nodes` (who follows).

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use redis::{Client, ClientTlsConfig, ConnectionAddr, IntoConnectionInfo, TlsCertificates};

use crate::revocation::{FeedError, RedisConfig, StoreTls};

mod connection;
mod entry;
mod feed;
mod fold;
mod log;
mod pages;
mod roster;
mod scripts;
mod settings;
mod writer;

pub use feed::RedisFeed;
pub use log::RedisLog;
pub use roster::RedisRoster;

use connection::Link;
use scripts::Keys;

/// A store in Redis. Opening connects to nothing yet: who reads or writes does.
#[derive(Clone)]
pub struct RedisStore {
    link: Arc<Link>,
    log: RedisLog,
}

// === impl RedisStore ===

impl RedisStore {
    /// Prepares what connecting needs; a file that can't be read or a URL that can't be meant is
    /// [`FeedError::Refused`].
    pub async fn open(config: &RedisConfig) -> Result<Self, FeedError> {
        let link = Arc::new(Link::new(client(config)?, Keys::of(&config.stream), config.replicas));
        let log = RedisLog::new(Arc::clone(&link));
        Ok(Self { link, log })
    }

    /// A new reader, from the start.
    pub fn feed(&self) -> RedisFeed {
        RedisFeed::new(Arc::clone(&self.link))
    }

    /// The writing side.
    pub fn log(&self) -> RedisLog {
        self.log.clone()
    }

    /// Who follows the store.
    pub fn roster(&self) -> RedisRoster {
        RedisRoster::new(Arc::clone(&self.link))
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").finish_non_exhaustive()
    }
}

/// What connects to the server; also for whoever reads another program's keys.
pub(crate) fn client(config: &RedisConfig) -> Result<Client, FeedError> {
    let refused = |error: redis::RedisError| {
        FeedError::Refused(format!("{} can't be used: {error}", config.url.shown()))
    };
    let info = config.url.expose().into_connection_info().map_err(refused)?;
    let mut settings = info.redis_settings().clone().set_skip_set_lib_name();
    if let Some(username) = &config.username {
        settings = settings.set_username(username);
    }
    if let Some(password) = &config.password {
        let text = std::str::from_utf8(password.expose());
        let text = text.map_err(|_| FeedError::Refused("the password is not UTF-8".to_owned()))?;
        settings = settings.set_password(text);
    }
    let info = info.set_redis_settings(settings);
    match (&config.tls, info.addr()) {
        (Some(tls), ConnectionAddr::TcpTls { .. }) => {
            Client::build_with_tls(info, certificates(tls)?).map_err(refused)
        }
        (Some(_), _) => {
            let text = "`revocation.redis.tls` goes with a rediss:// URL";
            Err(FeedError::Refused(text.to_owned()))
        }
        (None, _) => Client::open(info).map_err(refused),
    }
}

fn certificates(tls: &StoreTls) -> Result<TlsCertificates, FeedError> {
    let root_cert = tls.ca.as_deref().map(read).transpose()?;
    let client_tls = match &tls.identity {
        Some((certificate, key)) => {
            Some(ClientTlsConfig { client_cert: read(certificate)?, client_key: read(key)? })
        }
        None => None,
    };
    Ok(TlsCertificates { client_tls, root_cert })
}

fn read(path: &Path) -> Result<Vec<u8>, FeedError> {
    fs::read(path)
        .map_err(|error| FeedError::Refused(format!("{} can't be read: {error}", path.display())))
}
