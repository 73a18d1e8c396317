//! Who follows the stream: a stream in memory with each node's last announcement, and subjects on which
//! nodes speak to each other.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::select;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::revocation::{Audience, Ear, FeedError, LiveNode, NodeRoster, Presence};

use super::broker::Broker;
use super::said::Message;

/// The way to the other nodes; cheap to clone.
#[derive(Clone, Debug)]
pub struct NatsRoster {
    broker: Arc<Broker>,
    announced: Arc<Mutex<Option<Announced>>>,
}

/// Our own last announcement: its message tells what the servers' clock said then.
#[derive(Clone, Copy, Debug)]
struct Announced {
    sequence: u64,
    at: Instant,
}

/// What nobody announced again for so long is no announcement, whatever it says.
const LONGEST: Duration = Duration::from_secs(120);

// === impl NatsRoster ===

impl NatsRoster {
    pub(super) fn new(broker: Arc<Broker>) -> Self {
        Self { broker, announced: Arc::default() }
    }

    fn stream(&self) -> String {
        format!("{}_NODES", self.broker.name)
    }

    fn alive(&self, id: &str) -> String {
        format!("{}.alive.{id}", self.broker.name)
    }

    fn ears(&self, to: Audience) -> String {
        let to = match to {
            Audience::All => "all".to_owned(),
            Audience::Node(id) => id.to_string(),
        };
        format!("{}.tell.{to}", self.broker.name)
    }

    /// Replaces the node's announcement; an empty one is none. Makes the stream when there is none.
    async fn publish(&self, id: Uuid, text: String) -> Result<u64, FeedError> {
        self.broker.connected()?;
        let (subject, payload) = (self.alive(&id.to_string()), Bytes::from(text));
        let mut made = false;
        loop {
            let message = PublishMessage::build().payload(payload.clone());
            let acknowledged =
                match self.broker.context.send_publish(subject.clone(), message).await {
                    Ok(sent) => sent.await,
                    Err(error) => Err(error),
                };
            match acknowledged {
                Ok(acknowledged) => return Ok(acknowledged.sequence),
                Err(error) if error.kind() == PublishErrorKind::StreamNotFound && !made => {
                    made = true;
                    self.create().await?;
                }
                Err(error) => return Err(self.broker.failed(error)),
            }
        }
    }

    /// Another node may be first; then the publish that follows finds its stream.
    async fn create(&self) -> Result<(), FeedError> {
        let config = Config {
            name: self.stream(),
            description: Some("Portcullis: who follows the revocations".to_owned()),
            subjects: vec![self.alive("*")],
            max_messages_per_subject: 1,
            max_age: LONGEST,
            discard: DiscardPolicy::Old,
            storage: StorageType::Memory,
            num_replicas: self.broker.replicas,
            ..Config::default()
        };
        let created = self.broker.context.create_stream(config).await;
        created.map(drop).map_err(|error| self.broker.failed(error))
    }

    /// The last announcement of every node, whether its time is over or not.
    async fn messages(&self) -> Result<Vec<Message>, FeedError> {
        let stream = self.stream();
        let body = json!({ "subjects_filter": ">" });
        let Some(info) = self.broker.call_named::<Value>("STREAM.INFO", &stream, body).await?
        else {
            return Ok(Vec::new());
        };
        let Some(subjects) = info["state"]["subjects"].as_object() else { return Ok(Vec::new()) };
        let last = subjects.keys().map(|subject| self.broker.last_of(&stream, subject));
        let mut messages = Vec::new();
        for message in join_all(last).await {
            messages.extend(message?);
        }
        Ok(messages)
    }

    /// What the servers' clock says now, as far as these messages tell: rather too little, which keeps
    /// a node a moment longer.
    fn now(&self, messages: &[Message]) -> i128 {
        let newest = messages.iter().map(|message| message.time).max().unwrap_or(0);
        let own = *self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = own.and_then(|own| {
            let message = messages.iter().find(|message| message.sequence == own.sequence)?;
            Some(message.time + nanoseconds(own.at.elapsed()))
        });
        newest.max(ours.unwrap_or(0))
    }
}

impl NodeRoster for NatsRoster {
    async fn announce(&self, presence: &Presence) -> Result<(), FeedError> {
        let sequence = self.publish(presence.node.id, presence.to_text()).await?;
        let announced = Announced { sequence, at: Instant::now() };
        *self.announced.lock().unwrap_or_else(PoisonError::into_inner) = Some(announced);
        Ok(())
    }

    async fn withdraw(&self, id: Uuid) -> Result<(), FeedError> {
        self.publish(id, String::new()).await.map(drop)
    }

    async fn nodes(&self) -> Result<Vec<LiveNode>, FeedError> {
        let messages = self.messages().await?;
        let now = self.now(&messages);
        let live = messages.iter().filter_map(|message| {
            let presence = Presence::from_text(std::str::from_utf8(&message.payload).ok()?)?;
            let age = u64::try_from((now - message.time).max(0)).unwrap_or(u64::MAX);
            let seen = Duration::from_nanos(age);
            (seen < presence.duration()).then_some(LiveNode { presence, seen })
        });
        Ok(live.collect())
    }

    async fn tell(&self, to: Audience, message: Vec<u8>) -> Result<(), FeedError> {
        // Without a connection it would be kept and said later, when it means nothing any more.
        self.broker.connected()?;
        let said = self.broker.client.publish(self.ears(to), message.into()).await;
        said.map_err(|error| self.broker.failed(error))
    }

    async fn listen(&self, id: Uuid) -> Result<Ear, FeedError> {
        self.broker.connected()?;
        let client = &self.broker.client;
        let subscribe = async |to| {
            let subscribed = client.subscribe(self.ears(to)).await;
            subscribed.map_err(|error| self.broker.failed(error))
        };
        let all = subscribe(Audience::All).await?;
        let own = subscribe(Audience::Node(id)).await?;
        client.flush().await.map_err(|error| self.broker.failed(error))?;
        let (sender, ear) = Ear::channel();
        tokio::spawn(async move {
            let mut messages = select(all, own);
            loop {
                tokio::select! {
                    message = messages.next() => {
                        let Some(message) = message else { return };
                        if sender.send(message.payload.to_vec()).await.is_err() {
                            return;
                        }
                    }
                    () = sender.closed() => return,
                }
            }
        });
        Ok(ear)
    }
}

fn nanoseconds(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}
