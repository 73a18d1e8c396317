//! The servers' memory: its epoch, and whether it still holds what a reader has read.

use std::sync::{Mutex, PoisonError};

use async_nats::jetstream::stream::Info;
use uuid::Uuid;

use crate::clock::{Clock, SystemClock};
use crate::revocation::{Epoch, FeedError};

use super::broker::{Broker, PublishRefusal};
use super::said::{Said, Sweep};
use super::subject;
use super::trace::Trace;

/// What the stream is at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) epoch: Epoch,
    /// Where the epoch is written. A purge from the front takes it away first.
    pub(super) epoch_at: u64,
    pub(super) sweep: Sweep,
    /// The last sequence before all this was asked.
    pub(super) last: u64,
}

const ATTEMPTS: usize = 5;

/// Asks for the stream's memory; a stream that has none, new or purged, gets one.
pub(super) async fn recall(broker: &Broker) -> Result<Memory, FeedError> {
    let info = broker.prepare().await?;
    for _ in 0..ATTEMPTS {
        if let Some(memory) = read(broker, &info).await? {
            return Ok(memory);
        }
        begin_epoch(broker, 0).await?;
    }
    Err(FeedError::Unreachable("the stream's epoch keeps vanishing".into()))
}

/// The memory, unless there is none.
pub(super) async fn read(broker: &Broker, info: &Info) -> Result<Option<Memory>, FeedError> {
    let Some(message) = broker.last(&subject::epoch(&broker.name)).await? else { return Ok(None) };
    let Said::Epoch(epoch) = message.said(&broker.name) else {
        return Err(FeedError::Corrupt(format!("{} holds no epoch", message.subject)));
    };
    let sweep = read_sweep(broker).await?.map(|(sweep, _)| sweep).unwrap_or_default();
    Ok(Some(Memory { epoch, epoch_at: message.sequence, sweep, last: info.state.last_sequence }))
}

/// The state of sweeping, and where it is written.
pub(super) async fn read_sweep(broker: &Broker) -> Result<Option<(Sweep, u64)>, FeedError> {
    let Some(message) = broker.last(&subject::sweep(&broker.name)).await? else { return Ok(None) };
    match message.said(&broker.name) {
        Said::Sweep(sweep) => Ok(Some((sweep, message.sequence))),
        _ => Err(FeedError::Corrupt(format!("{} is malformed", message.subject))),
    }
}

/// Like [`recall`], for a reader that has read up to `read`. When the servers no longer hold that, a
/// new epoch begins: every node must hear that they forgot, although the sequence may have caught up.
pub(super) async fn verify(
    broker: &Broker,
    known: Option<Memory>,
    read: u64,
    trace: &Mutex<Trace>,
) -> Result<Memory, FeedError> {
    let memory = recall(broker).await?;
    let same = known.is_some_and(|known| known.epoch == memory.epoch);
    if !same || holds(broker, &memory, read, trace).await? {
        return Ok(memory);
    }
    tracing::error!(cursor = read, "NATS has lost its latest messages; a new epoch begins");
    begin_epoch(broker, memory.epoch_at).await?;
    recall(broker).await
}

async fn holds(
    broker: &Broker,
    memory: &Memory,
    read: u64,
    trace: &Mutex<Trace>,
) -> Result<bool, FeedError> {
    if memory.last < read {
        return Ok(false);
    }
    let witnesses = trace.lock().unwrap_or_else(PoisonError::into_inner).witnesses();
    for witness in witnesses {
        let last = broker.last(&witness.subject).await?;
        if !witness.is_borne_out(last.as_ref(), SystemClock.now()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Writes a new epoch where the old one is still at `expected`; another node may be first.
async fn begin_epoch(broker: &Broker, expected: u64) -> Result<(), FeedError> {
    let epoch = Epoch(Uuid::new_v4());
    let payload = serde_json::to_vec(&epoch).expect("a UUID has a JSON form");
    let written = broker.publish(subject::epoch(&broker.name), payload.into(), 0, expected).await;
    match written {
        Ok(_) | Err(PublishRefusal::Overtaken) => Ok(()),
        Err(refusal) => Err(refusal.into_feed_error()),
    }
}
