//! Following the stream's end: a task of its own, so that a reader that stops waiting loses nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::revocation::{Cursor, FeedError, FeedEvent, Op, Revocation};

use super::broker::Broker;
use super::memory::{self, Memory};
use super::reader::Reader;
use super::said::{Entry, Message, Said, Sweep};
use super::subject;
use super::trace::Trace;

/// A running task, and what it tells.
pub(super) struct Tail {
    told: mpsc::Receiver<Result<Told, FeedError>>,
    task: JoinHandle<()>,
}

/// An event, and up to where everything has been told with it.
pub(super) struct Told {
    pub(super) event: FeedEvent,
    pub(super) read: u64,
}

struct Follow {
    broker: Arc<Broker>,
    known: Memory,
    trace: Arc<Mutex<Trace>>,
    tell: mpsc::Sender<Result<Told, FeedError>>,
    /// The last sequence that was read.
    read: u64,
    /// The cursor of the last event.
    at: Cursor,
    /// Tombstones up to here were read, whatever is swept.
    safe: u64,
    beaten: Instant,
    /// The stream's end when it was asked for last, and when that was.
    target: (u64, Instant),
    /// When something was last read, or known not to be there.
    progress: Instant,
}

const WAITING: usize = 1024;
const TICK: Duration = Duration::from_millis(400);
/// On a busy stream, beats come no faster.
const BEAT: Duration = Duration::from_millis(200);
/// Without progress for so long, the consumer is made again.
const SILENCE: Duration = Duration::from_secs(6);

// === impl Tail ===

impl Tail {
    /// Follows from after `read` on; first makes sure that the servers still hold what was read.
    pub(super) fn start(
        broker: Arc<Broker>,
        known: Memory,
        read: u64,
        trace: Arc<Mutex<Trace>>,
    ) -> Self {
        let (tell, told) = mpsc::channel(WAITING);
        let at = subject::cursor(read);
        let now = Instant::now();
        let (beaten, progress, target) = (now, now, (u64::MAX, now));
        let follow =
            Follow { broker, known, trace, tell, read, at, safe: read, beaten, target, progress };
        Self { told, task: tokio::spawn(follow.run()) }
    }

    /// Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Told, FeedError> {
        let ended = || Err(FeedError::Unreachable("following the stream ended".into()));
        self.told.recv().await.unwrap_or_else(ended)
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Follow ===

impl Follow {
    async fn run(mut self) {
        let Err(error) = self.follow().await;
        // A reader that is gone does not want to know.
        drop(self.tell.send(Err(error)).await);
    }

    async fn follow(&mut self) -> Result<std::convert::Infallible, FeedError> {
        let broker = Arc::clone(&self.broker);
        let now = memory::verify(&broker, Some(self.known), self.read, &self.trace).await?;
        if now.epoch != self.known.epoch || now.sweep.gone > self.read {
            return Err(Broker::gap(self.read));
        }
        let mut reader = Reader::open(&broker, String::new(), self.read.saturating_add(1)).await?;
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = ticks.tick() => self.look().await?,
                message = reader.next(&broker) => self.hear(message?, reader.pending).await?,
            }
        }
    }

    /// Asks the servers for the stream's end: a true round trip, so that a beat is never a guess.
    async fn look(&mut self) -> Result<(), FeedError> {
        let Some(info) = self.broker.info().await? else { return Err(Broker::gap(self.read)) };
        let state = &info.state;
        // The epoch is the first thing written: a purge has taken it away, or this is another stream.
        if state.first_sequence > self.known.epoch_at || state.last_sequence < self.read {
            return Err(Broker::gap(self.read));
        }
        // The last message may have been deleted: then its sequence is never read.
        let last = state.last_sequence;
        self.target = (last, Instant::now());
        let broker = &self.broker;
        if last == self.read || !broker.has_after(&broker.usual(), ">", self.read).await? {
            return self.beat().await;
        }
        if self.progress.elapsed() > SILENCE {
            return Err(FeedError::Unreachable("NATS fell silent".into()));
        }
        Ok(())
    }

    async fn hear(&mut self, message: Message, pending: u64) -> Result<(), FeedError> {
        self.progress = Instant::now();
        let sequence = message.sequence;
        let before = std::mem::replace(&mut self.read, sequence);
        match message.said(&self.broker.name) {
            Said::Entry(entry) => self.entry(&message, entry).await?,
            Said::App(record) => self.record(record, subject::cursor(sequence)).await?,
            Said::Epoch(epoch) if epoch != self.known.epoch => return Err(Broker::gap(before)),
            Said::Epoch(_) => {}
            Said::Sweep(sweep) => self.sweep(sweep, before)?,
            Said::Nothing(why) => {
                let (subject, at) = (&message.subject, subject::cursor(sequence));
                tracing::warn!(%subject, cursor = %at, why, "a message is no record");
                self.at = at.clone();
                self.tell(FeedEvent::Undecodable { at }).await?;
            }
        }
        // On a busy stream some messages stay counted: what was there a moment ago will do.
        let (target, asked) = self.target;
        let at_end = pending == 0 || (self.read >= target && asked.elapsed() < TICK);
        if at_end && self.beaten.elapsed() > BEAT {
            self.beat().await?;
        }
        Ok(())
    }

    async fn entry(&mut self, message: &Message, entry: Entry) -> Result<(), FeedError> {
        let missed = {
            let mut trace = self.trace.lock().unwrap_or_else(PoisonError::into_inner);
            trace.saw(message, &entry);
            entry.since > 0 && entry.since < entry.sequence && !trace.knows_tombstone(entry.since)
        };
        if missed {
            // Superseded before it was read, and without it the new entry would widen the old one.
            let reinstated = Revocation { op: Op::Reinstate, ..entry.record.clone() };
            let at = subject::just_before(entry.sequence);
            let event = FeedEvent::Record { record: reinstated, at };
            self.send(Told { event, read: entry.sequence - 1 }).await?;
        }
        self.record(entry.record, subject::cursor(entry.sequence)).await
    }

    /// Tombstones that go were announced before: who has read the announcement has read them.
    fn sweep(&mut self, sweep: Sweep, before: u64) -> Result<(), FeedError> {
        if sweep.gone > self.safe {
            return Err(Broker::gap(before));
        }
        self.safe = self.safe.max(sweep.announced);
        Ok(())
    }

    async fn record(&mut self, record: Revocation, at: Cursor) -> Result<(), FeedError> {
        self.at = at.clone();
        self.tell(FeedEvent::Record { record, at }).await
    }

    async fn beat(&mut self) -> Result<(), FeedError> {
        self.beaten = Instant::now();
        self.progress = self.beaten;
        self.tell(FeedEvent::Heartbeat { at: self.at.clone() }).await
    }

    async fn tell(&self, event: FeedEvent) -> Result<(), FeedError> {
        self.send(Told { event, read: self.read }).await
    }

    async fn send(&self, told: Told) -> Result<(), FeedError> {
        let gone = |_unsent| FeedError::Unreachable("nobody listens".into());
        self.tell.send(Ok(told)).await.map_err(gone)
    }
}
