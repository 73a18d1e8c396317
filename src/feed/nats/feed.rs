//! The reading side: the compacted stream is the checkpoint, its tail the log.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::revocation::{
    Checkpoint, Cursor, Epoch, FeedError, FeedEvent, Live, LiveSender, RevocationFeed,
};

use super::broker::Broker;
use super::memory::{self, Memory};
use super::scan::{Folded, Scan};
use super::subject;
use super::tail::{Tail, Told};
use super::trace::Trace;

/// A reader of the stream. Any number of them may read at once.
pub struct NatsFeed {
    broker: Arc<Broker>,
    /// The memory that was loaded from.
    known: Option<Memory>,
    /// Everything up to here was told.
    read: u64,
    trace: Arc<Mutex<Trace>>,
    tail: Option<Tail>,
}

// === impl NatsFeed ===

impl NatsFeed {
    pub(super) fn new(broker: Arc<Broker>) -> Self {
        Self { broker, known: None, read: 0, trace: Arc::default(), tail: None }
    }
}

impl fmt::Debug for NatsFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsFeed").field("known", &self.known).field("read", &self.read).finish()
    }
}

impl RevocationFeed for NatsFeed {
    async fn load(&mut self) -> Result<Checkpoint, FeedError> {
        self.tail = None;
        let memory = memory::verify(&self.broker, self.known, self.read, &self.trace).await?;
        {
            let mut trace = self.trace.lock().unwrap_or_else(PoisonError::into_inner);
            if self.known.is_none_or(|known| known.epoch != memory.epoch) {
                trace.clear();
            }
            trace.begin(memory.last);
        }
        self.known = Some(memory);
        self.read = memory.last;
        let (sender, live) = Live::channel();
        tokio::spawn(send_live(Arc::clone(&self.broker), memory, Arc::clone(&self.trace), sender));
        Ok(Checkpoint { epoch: memory.epoch, live, upto: subject::cursor(memory.last) })
    }

    async fn resume(&mut self, epoch: Epoch, after: &Cursor) -> Result<(), FeedError> {
        self.tail = None;
        let truncated = || FeedError::Truncated(after.clone());
        let read = subject::sequence(after).ok_or_else(truncated)?;
        let memory = memory::recall(&self.broker).await?;
        if memory.epoch != epoch {
            return Err(truncated());
        }
        // Kept also when they no longer hold it: the load that follows begins another epoch then.
        (self.known, self.read) = (Some(memory), read);
        self.trace.lock().unwrap_or_else(PoisonError::into_inner).begin(read);
        if memory.last < read || memory.sweep.gone > read { Err(truncated()) } else { Ok(()) }
    }

    async fn next(&mut self) -> Result<FeedEvent, FeedError> {
        let Some(known) = self.known else { return Err(Broker::gap(self.read)) };
        let tail = self.tail.get_or_insert_with(|| {
            Tail::start(Arc::clone(&self.broker), known, self.read, Arc::clone(&self.trace))
        });
        match tail.next().await {
            Ok(Told { event, read }) => {
                self.read = read;
                Ok(event)
            }
            Err(error) => {
                // Read anew from the last sequence that was told, when asked again.
                self.tail = None;
                Err(error)
            }
        }
    }
}

/// Everything live, a batch at a time; then whether what it was read from still held at the end.
async fn send_live(
    broker: Arc<Broker>,
    memory: Memory,
    trace: Arc<Mutex<Trace>>,
    sender: LiveSender,
) {
    let outcome = async {
        let mut scan = Scan::begin(&broker, memory.last, None, 0).await?;
        loop {
            let part = scan.next_part().await?;
            if part.is_empty() {
                break;
            }
            trace.lock().unwrap_or_else(PoisonError::into_inner).saw_all(&part);
            let batch = part.into_iter().filter_map(Folded::into_live).collect();
            if !sender.send(batch).await {
                return Ok(());
            }
        }
        still_holds(&broker, memory).await
    };
    let outcome = outcome.await;
    sender.finish(outcome).await;
}

/// A purge or a sweep during the pass may have taken away what it had not reached.
async fn still_holds(broker: &Broker, begun: Memory) -> Result<(), FeedError> {
    let info = broker.info().await?.ok_or_else(|| Broker::gap(begun.last))?;
    match memory::read(broker, &info).await? {
        Some(now) if now.epoch == begun.epoch && now.sweep.gone == begun.sweep.gone => Ok(()),
        _ => Err(Broker::gap(begun.last)),
    }
}
