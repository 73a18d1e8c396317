//! The calls that this adapter makes, each with its errors in our words.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_nats::Client;
use async_nats::connection::State;
use async_nats::jetstream::context::{PublishErrorKind, RequestErrorKind};
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{Info, LastRawMessageError, LastRawMessageErrorKind, Stream};
use async_nats::jetstream::{Context, ErrorCode, context::ContextBuilder};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::sleep;
use uuid::Uuid;

use crate::revocation::{FeedError, NatsConfig};

use super::connect::{self, Complaint, Connected};
use super::said::{Message, SINCE, since};
use super::subject;

/// The stream, through one connection.
#[derive(Debug)]
pub(super) struct Broker {
    pub(super) client: Client,
    pub(super) context: Context,
    pub(super) name: Arc<str>,
    pub(super) replicas: usize,
    /// Tells this process' sweeping from that of others.
    pub(super) id: Uuid,
    pub(super) warned: AtomicBool,
    config: NatsConfig,
    complaint: Complaint,
}

/// A connection to ask on.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) context: Context,
    /// The client, when it is for this question alone.
    own: Option<Client>,
}

/// Why a message was not taken.
#[derive(Debug)]
pub(super) enum PublishRefusal {
    /// Somebody was there first.
    Overtaken,
    /// There is no such stream (any more).
    NoStream,
    /// Everything else.
    Failed(FeedError),
}

/// A call that must not hang, so that staleness is noticed.
const CALL_LIMIT: Duration = Duration::from_secs(3);
/// The same for a search: a question about some subjects of a whole stream. The servers go through all of it,
/// half a minute for ten million messages, and answer nothing else on that connection meanwhile, no ping either.
const SEARCH_LIMIT: Duration = Duration::from_secs(120);
/// How long a writer waits for a connection that is being made again.
const SOON: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(5);
const LOOK_FOR_LOSS: Duration = Duration::from_millis(50);

// === impl Broker ===

impl Broker {
    pub(super) fn new(connected: Connected, config: &NatsConfig) -> Self {
        let Connected { client, complaint } = connected;
        Self {
            context: context_of(&client, CALL_LIMIT),
            client,
            name: config.stream.as_str().into(),
            replicas: usize::from(config.replicas).max(1),
            id: Uuid::new_v4(),
            warned: AtomicBool::new(false),
            config: config.clone(),
            complaint,
        }
    }

    /// Whether a server is there at this moment; asking one that is not would only wait.
    pub(super) fn connected(&self) -> Result<(), FeedError> {
        match self.client.connection_state() {
            State::Connected => Ok(()),
            _ => Err(FeedError::Unreachable("not connected to a NATS server".into())),
        }
    }

    /// The same for those who can wait a moment: a connection that was cut is soon there again.
    pub(super) async fn connected_soon(&self) -> Result<(), FeedError> {
        let asked = Instant::now();
        while asked.elapsed() < SOON && self.connected().is_err() {
            sleep(LOOK_AGAIN).await;
        }
        self.connected()
    }

    /// One call of the JetStream API; `None` when what it is about does not exist.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        call: &str,
        body: Value,
    ) -> Result<Option<T>, FeedError> {
        self.call_named(call, &self.name, body).await
    }

    /// The same, about something else than the stream.
    pub(super) async fn call_named<T: DeserializeOwned>(
        &self,
        call: &str,
        name: &str,
        body: Value,
    ) -> Result<Option<T>, FeedError> {
        self.call_on(&self.usual(), call, name, body).await
    }

    async fn call_on<T: DeserializeOwned>(
        &self,
        asking: &Asking,
        call: &str,
        name: &str,
        body: Value,
    ) -> Result<Option<T>, FeedError> {
        self.connected()?;
        let answer = asking.context.request(format!("{call}.{name}"), &body);
        match asking.until_lost(answer).await? {
            Ok(Response::Ok(answer)) => Ok(Some(answer)),
            Ok(Response::Err { error }) if is_absence(error.error_code()) => Ok(None),
            Ok(Response::Err { error }) => Err(FeedError::Refused(error.to_string())),
            Err(error) if error.kind() == RequestErrorKind::NoResponders => {
                Err(FeedError::Unreachable("JetStream does not answer".into()))
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    /// The stream's state; `None` when there is no such stream.
    pub(super) async fn info(&self) -> Result<Option<Info>, FeedError> {
        self.call("STREAM.INFO", json!({})).await
    }

    /// Deletes this one message; one that is gone already is fine.
    pub(super) async fn delete(&self, sequence: u64) -> Result<(), FeedError> {
        let body = json!({ "seq": sequence, "no_erase": true });
        self.call::<Value>("STREAM.MSG.DELETE", body).await.map(drop)
    }

    /// The subject's last message.
    pub(super) async fn last(&self, subject: &str) -> Result<Option<Message>, FeedError> {
        self.last_of(&self.name, subject).await
    }

    /// The same, of another stream.
    pub(super) async fn last_of(
        &self,
        stream: &str,
        subject: &str,
    ) -> Result<Option<Message>, FeedError> {
        self.connected()?;
        self.found(self.stream(stream).await?.get_last_raw_message_by_subject(subject).await)
    }

    /// The message of that sequence.
    pub(super) async fn at(&self, sequence: u64) -> Result<Option<Message>, FeedError> {
        self.connected()?;
        self.found(self.stream(&self.name).await?.get_raw_message(sequence).await)
    }

    fn found(
        &self,
        answer: Result<StreamMessage, LastRawMessageError>,
    ) -> Result<Option<Message>, FeedError> {
        match answer {
            Ok(found) => Ok(Some(Message {
                subject: found.subject,
                sequence: found.sequence,
                time: found.time.unix_timestamp_nanos(),
                since: since(Some(&found.headers)),
                payload: found.payload,
            })),
            Err(error) => match error.kind() {
                LastRawMessageErrorKind::NoMessageFound => Ok(None),
                LastRawMessageErrorKind::JetStream(error) if is_absence(error.error_code()) => {
                    Ok(None)
                }
                _ => Err(self.failed(error)),
            },
        }
    }

    /// Whether there is a message after the sequence on a subject that matches.
    pub(super) async fn has_after(
        &self,
        asking: &Asking,
        filter: &str,
        sequence: u64,
    ) -> Result<bool, FeedError> {
        let body = json!({ "seq": sequence.saturating_add(1), "next_by_subj": filter });
        let found = self.call_on::<Value>(asking, "STREAM.MSG.GET", &self.name, body).await?;
        Ok(found.is_some())
    }

    /// Publishes where `expected` is still the subject's last sequence (zero: none), and answers with
    /// the new one. A late publish, held back by a lost connection, can so undo nothing.
    pub(super) async fn publish(
        &self,
        subject: String,
        payload: Bytes,
        since: u64,
        expected: u64,
    ) -> Result<u64, PublishRefusal> {
        self.connected().map_err(PublishRefusal::Failed)?;
        let mut message = PublishMessage::build()
            .payload(payload)
            .expected_stream(&self.name)
            .expected_last_subject_sequence(expected);
        if since > 0 {
            message = message.header(SINCE, since.to_string());
        }
        let sent = self.context.send_publish(subject, message).await;
        let acknowledged = match sent {
            Ok(sent) => sent.await,
            Err(error) => Err(error),
        };
        acknowledged.map(|ack| ack.sequence).map_err(|error| match error.kind() {
            PublishErrorKind::WrongLastSequence => PublishRefusal::Overtaken,
            PublishErrorKind::StreamNotFound => PublishRefusal::NoStream,
            PublishErrorKind::Other | PublishErrorKind::MaxPayloadExceeded => {
                PublishRefusal::Failed(FeedError::Refused(with_source(&error)))
            }
            _ => PublishRefusal::Failed(self.failed(error)),
        })
    }

    /// The connection that everything else goes over, for what is answered at once.
    pub(super) fn usual(&self) -> Asking {
        Asking { context: self.context.clone(), own: None }
    }

    /// The connection on which to ask about these subjects. A search has one of its own, so that heartbeats
    /// and records don't wait behind it.
    pub(super) async fn asking(&self, filter: &str) -> Result<Asking, FeedError> {
        if !is_search(filter) {
            return Ok(self.usual());
        }
        let client =
            connect::connect_to_search(&self.config, &self.complaint, SEARCH_LIMIT).await?;
        Ok(Asking { context: context_of(&client, SEARCH_LIMIT), own: Some(client) })
    }

    /// A handle that asks nothing.
    pub(super) async fn stream(&self, name: &str) -> Result<Stream<()>, FeedError> {
        let handle = self.context.get_stream_no_info(name).await;
        handle.map_err(|error| FeedError::Refused(error.to_string()))
    }

    /// The error of a call; what its server complained of meanwhile says more.
    pub(super) fn failed(&self, error: impl Error + Send + Sync + 'static) -> FeedError {
        match self.complaint.take() {
            Some(complaint) => FeedError::Refused(format!(
                "{complaint} (docs/feeds/nats.md lists the rights that a node needs)"
            )),
            None => FeedError::Unreachable(Box::new(error)),
        }
    }

    /// What this node has read no longer continues here.
    pub(super) fn gap(sequence: u64) -> FeedError {
        FeedError::Truncated(subject::cursor(sequence))
    }
}

// === impl Asking ===

impl Asking {
    /// Waits for an answer, but not for one that was lost with the connection: what takes minutes has no
    /// short limit.
    pub(super) async fn until_lost<T>(
        &self,
        answer: impl Future<Output = T>,
    ) -> Result<T, FeedError> {
        let Some(client) = &self.own else { return Ok(answer.await) };
        let lost = async {
            let is_first = || client.statistics().connects.load(Ordering::Relaxed) <= 1;
            while client.connection_state() == State::Connected && is_first() {
                sleep(LOOK_FOR_LOSS).await;
            }
        };
        tokio::select! {
            answer = answer => Ok(answer),
            () = lost => Err(FeedError::Unreachable("the connection was lost".into())),
        }
    }
}

// === impl PublishRefusal ===

impl PublishRefusal {
    /// For those who expected none of the special cases.
    pub(super) fn into_feed_error(self) -> FeedError {
        match self {
            Self::Overtaken => FeedError::Unreachable("others keep writing the same entry".into()),
            Self::NoStream => FeedError::Unreachable("the stream is gone".into()),
            Self::Failed(error) => error,
        }
    }
}

fn context_of(client: &Client, limit: Duration) -> Context {
    let builder = ContextBuilder::new().timeout(limit).backpressure_on_inflight(true);
    builder.build(client.clone())
}

/// Whether the servers have to look at every message for it.
fn is_search(filter: &str) -> bool {
    filter != ">" && filter.ends_with(['*', '>'])
}

fn is_absence(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::STREAM_NOT_FOUND | ErrorCode::NO_MESSAGE_FOUND | ErrorCode::CONSUMER_NOT_FOUND
    ) || code == ErrorCode::SEQUENCE_NOT_FOUND
}

fn with_source(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
