//! Reading the stream in order through a pull consumer of our own, which ends with the first doubt.
//!
//! The client's ordered consumer stays stuck after a server's crash, so ours is thrown away instead
//! and made again from the last sequence that was read.

use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::pull::{Config, Stream as Messages};
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy};
use futures_util::{FutureExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::revocation::FeedError;

use super::broker::{Asking, Broker};
use super::said::{Message, since};

/// A consumer and what it brings.
pub(super) struct Reader {
    /// What its questions go over.
    asking: Asking,
    consumer: Consumer<Config>,
    messages: Messages,
    /// The consumer's own count: a hole in it is a message that this client dropped.
    count: u64,
    /// What the servers are asked for at the end: the filter, or less.
    wanted: String,
    /// Messages beyond the goal since the servers were asked for the end.
    unasked: u32,
    /// The sequence of the last message.
    read: u64,
    /// Messages that wait behind it.
    pub(super) pending: u64,
}

/// Longer silence in the midst of reading is a failure.
const SILENCE: Duration = Duration::from_secs(6);
/// After so much of it, the servers are asked whether that was all.
const DOUBT: Duration = Duration::from_millis(200);
/// The same beyond the goal, where only what is being written comes.
const GLANCE: Duration = Duration::from_millis(1);
const ASK_EVERY: u32 = 64;
const PULL: usize = 2048;
const PULL_LIFE: Duration = Duration::from_secs(20);
const IDLE_BEAT: Duration = Duration::from_secs(2);
/// A consumer nobody reads is forgotten by the servers after this.
const ABANDONED: Duration = Duration::from_secs(30);

// === impl Reader ===

impl Reader {
    /// Reads the subjects that match `filter` (empty: all) from the sequence on.
    pub(super) async fn open(
        broker: &Broker,
        filter: String,
        from: u64,
    ) -> Result<Self, FeedError> {
        let asking = broker.asking(&filter).await?;
        Self::open_on(broker, asking, filter, from).await
    }

    /// The same over a connection that is there.
    pub(super) async fn open_on(
        broker: &Broker,
        asking: Asking,
        filter: String,
        from: u64,
    ) -> Result<Self, FeedError> {
        broker.connected()?;
        let deliver_policy = match from {
            0 | 1 => DeliverPolicy::All,
            from => DeliverPolicy::ByStartSequence { start_sequence: from },
        };
        let config = Config {
            deliver_policy,
            ack_policy: AckPolicy::None,
            filter_subject: filter.clone(),
            inactive_threshold: ABANDONED,
            num_replicas: 1,
            memory_storage: true,
            ..Config::default()
        };
        let stream = asking.context.get_stream_no_info(&*broker.name).await;
        let stream = stream.map_err(|error| broker.failed(error))?;
        let created = asking.until_lost(stream.create_consumer(config)).await?;
        let consumer = created.map_err(|error| broker.failed(error))?;
        let messages = consumer
            .stream()
            .max_messages_per_batch(PULL)
            .expires(PULL_LIFE)
            .heartbeat(IDLE_BEAT)
            .messages()
            .await
            .map_err(|error| broker.failed(error))?;
        let pending = consumer.cached_info().num_pending;
        let read = from.saturating_sub(1);
        Ok(Self { asking, consumer, messages, count: 0, wanted: filter, unasked: 0, read, pending })
    }

    /// Reads up to the last message on these subjects, whatever else comes.
    pub(super) fn up_to_last(self, wanted: String) -> Self {
        Self { wanted, ..self }
    }

    /// The next message, whenever it comes. Cancel-safe.
    pub(super) async fn next(&mut self, broker: &Broker) -> Result<Message, FeedError> {
        let message = match self.messages.next().await {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Err(broker.failed(error)),
            None => return Err(FeedError::Unreachable("the consumer ended".into())),
        };
        let info = message.info().map_err(FeedError::Unreachable)?;
        if info.consumer_sequence != self.count + 1 {
            return Err(FeedError::Unreachable("messages were lost on the way".into()));
        }
        self.count = info.consumer_sequence;
        self.read = info.stream_sequence;
        self.pending = info.pending;
        let (sequence, time) = (info.stream_sequence, info.published.unix_timestamp_nanos());
        let async_nats::Message { subject, payload, headers, .. } = message.into();
        Ok(Message { subject, sequence, time, since: since(headers.as_ref()), payload })
    }

    /// The next message; `None` at the end, when the servers have none that follows. The consumer's
    /// count alone is not believed: of messages that are superseded under way, some stay counted.
    /// Beyond `goal`, the stream's end when the pass began, the servers are therefore asked.
    pub(super) async fn next_waiting(
        &mut self,
        broker: &Broker,
        goal: u64,
    ) -> Result<Option<Message>, FeedError> {
        let mut begun = None;
        loop {
            let beyond = self.read >= goal;
            if self.pending > 0 && !(beyond && self.unasked >= ASK_EVERY) {
                // What is here already needs no clock.
                if let Some(message) = self.next(broker).now_or_never() {
                    self.unasked += u32::from(beyond);
                    return message.map(Some);
                }
                let begun = begun.get_or_insert_with(Instant::now);
                let patience = if beyond { GLANCE } else { DOUBT };
                match timeout(patience, self.next(broker)).await {
                    Ok(message) => {
                        self.unasked += u32::from(beyond);
                        return message.map(Some);
                    }
                    Err(_elapsed) if begun.elapsed() > SILENCE => {
                        return Err(FeedError::Unreachable("NATS fell silent".into()));
                    }
                    Err(_elapsed) => {}
                }
            }
            self.unasked = 0;
            if !broker.has_after(&self.asking, &self.wanted, self.read).await? {
                return Ok(None);
            }
            self.pending = self.pending.max(1);
        }
    }

    /// Gives the consumer back; the servers would forget it by themselves, later.
    pub(super) async fn close(self, broker: &Broker) {
        let call = format!("{}.{}", broker.name, self.consumer.cached_info().name);
        drop(broker.call_named::<Value>("CONSUMER.DELETE", &call, json!({})).await);
    }
}
