//! The stream: made on first use, and looked at for whether it can keep the promise.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::jetstream::context::CreateStreamErrorKind;
use async_nats::jetstream::stream::{Config, DiscardPolicy, Info, RetentionPolicy, StorageType};

use crate::revocation::FeedError;

use super::broker::Broker;
use super::subject;

// === impl Broker ===

impl Broker {
    /// The stream's state; makes the stream when there is none. What would lose entries is refused.
    pub(super) async fn prepare(&self) -> Result<Info, FeedError> {
        self.connected()?;
        if !self.client.server_info().jetstream {
            let text = "JetStream is not enabled on the NATS server: start it with `-js`";
            return Err(FeedError::Refused(text.to_owned()));
        }
        let info = match self.info().await? {
            Some(info) => info,
            None => self.create().await?,
        };
        check(&info.config, &self.name).map_err(|fault| {
            FeedError::Refused(format!("the stream {} would lose entries: {fault}", self.name))
        })?;
        if !self.warned.swap(true, Ordering::Relaxed) {
            self.warn(&info.config);
        }
        Ok(info)
    }

    async fn create(&self) -> Result<Info, FeedError> {
        tracing::info!(stream = %self.name, replicas = self.replicas, "creating the stream");
        match self.context.create_stream(wanted(&self.name, self.replicas)).await {
            Ok(stream) => Ok(stream.cached_info().clone()),
            Err(error) => {
                // Another node may have been first.
                if let Ok(Some(info)) = self.info().await {
                    return Ok(info);
                }
                match error.kind() {
                    CreateStreamErrorKind::JetStream(error) => {
                        Err(FeedError::Refused(format!("the stream can't be created: {error}")))
                    }
                    _ => Err(self.failed(error)),
                }
            }
        }
    }

    /// What can be seen from here; `sync_interval` can't, so it is said in any case.
    fn warn(&self, config: &Config) {
        let (stream, replicas) = (&*self.name, config.num_replicas);
        if config.storage == StorageType::Memory {
            tracing::error!(
                stream,
                "the stream is kept in memory: a restart of NATS forgets every revocation"
            );
        }
        if replicas < self.replicas {
            tracing::warn!(
                stream,
                replicas,
                wanted = self.replicas,
                "the stream has fewer replicas than configured"
            );
        }
        let why = if replicas < 3 {
            "one copy, and NATS acknowledges before it syncs: a power cut loses up to two minutes of \
             revocations unless the server has `sync_interval: always`"
        } else {
            "NATS acknowledges before it syncs: a power cut of most servers at once loses revocations \
             unless they have `sync_interval: always`"
        };
        tracing::warn!(stream, replicas, "{why}");
    }
}

/// Full is refused, never made room for: `discard: new`.
fn wanted(name: &str, replicas: usize) -> Config {
    Config {
        name: name.to_owned(),
        description: Some("Portcullis: revocations".to_owned()),
        subjects: subject::all(name),
        max_messages_per_subject: 1,
        discard: DiscardPolicy::New,
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        num_replicas: replicas,
        duplicate_window: Duration::from_secs(10),
        max_bytes: -1,
        max_messages: -1,
        max_message_size: -1,
        max_consumers: -1,
        ..Config::default()
    }
}

/// What is wrong with a stream that somebody else made, or changed.
fn check(config: &Config, name: &str) -> Result<(), &'static str> {
    let misses = |subject: &String| !config.subjects.contains(subject);
    let limited = config.max_bytes > 0 || config.max_messages > 0;
    if subject::all(name).iter().any(misses) {
        return Err("its subjects are not all of ours");
    }
    if config.max_messages_per_subject != 1 {
        return Err("max_msgs_per_subject must be 1");
    }
    if config.retention != RetentionPolicy::Limits {
        return Err("retention must be limits");
    }
    if !config.max_age.is_zero() {
        return Err("max_age must be 0");
    }
    if limited && config.discard != DiscardPolicy::New {
        return Err("with max_msgs or max_bytes, discard must be new");
    }
    if config.discard_new_per_subject {
        return Err("discard_new_per_subject must be off");
    }
    if config.sealed || config.deny_delete {
        return Err("it must take messages, and let them be deleted");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_would_lose_entries_is_refused() {
        assert_eq!(check(&wanted("R", 1), "R"), Ok(()));
        type Spoil = fn(&mut Config);
        let table: [(&str, Spoil); 8] = [
            ("subjects", |config| drop(config.subjects.pop())),
            ("per_subject", |config| config.max_messages_per_subject = -1),
            ("retention", |config| config.retention = RetentionPolicy::WorkQueue),
            ("max_age", |config| config.max_age = Duration::from_secs(1)),
            ("discard", |config| {
                config.max_messages = 10;
                config.discard = DiscardPolicy::Old;
            }),
            ("discard_new_per_subject", |config| config.discard_new_per_subject = true),
            ("deleted", |config| config.deny_delete = true),
            ("take messages", |config| config.sealed = true),
        ];
        for (word, spoil) in table {
            let mut config = wanted("R", 1);
            spoil(&mut config);
            let fault = check(&config, "R").expect_err(word);
            assert!(fault.contains(word), "{word}: {fault}");
        }
    }

    #[test]
    fn a_full_stream_refuses_instead_of_forgetting() {
        let config = Config { max_bytes: 1 << 20, ..wanted("R", 1) };
        assert_eq!((check(&config, "R"), config.discard), (Ok(()), DiscardPolicy::New));
    }
}
