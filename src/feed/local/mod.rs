//! A node's own copy of what it knows, on disk, for stores that are elsewhere: with it a node starts
//! while its store is away, goes on from its cursor, and can give back what the store has lost.
//!
//! Written behind the follower, in log order: the kept cursor is never ahead of the kept entries, and
//! a copy that lags only means that more of the log is read again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

use crate::revocation::{
    Checkpoint, Cursor, Epoch, FeedError, FeedEvent, Live, RevocationFeed, RevocationLog, Standing,
};
use crate::shutdown::Drain;

mod file;
mod join;
mod writer;

use file::CopyFile;
use writer::Writer;

/// The copy's file, open.
#[derive(Clone, Debug)]
pub struct LocalCopy {
    file: Arc<CopyFile>,
    /// Told when the store turns out to lack something.
    owed: Arc<Notify>,
}

/// A feed that keeps a copy of what it tells.
#[derive(Debug)]
pub struct WithLocalCopy<F> {
    feed: F,
    copy: LocalCopy,
    writer: Writer,
    known: Option<(Epoch, Cursor)>,
    /// What was loaded, known when it has been applied.
    loading: Option<(Epoch, Cursor)>,
}

/// Entries that are given back in one append.
const REFILL_BATCH: usize = 512;
/// Nodes give back at different moments: what the first has given back the others need not.
const REFILL_SPREAD: Duration = Duration::from_secs(5);

// === impl LocalCopy ===

impl LocalCopy {
    /// Opens the file, or makes it. One that is damaged is put aside, loudly: it is only a copy.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FeedError> {
        let file = Arc::new(CopyFile::open(path.as_ref())?);
        Ok(Self { file, owed: Arc::default() })
    }

    /// Keeps what this feed tells.
    pub fn over<F: RevocationFeed>(&self, feed: F) -> Result<WithLocalCopy<F>, FeedError> {
        let known = self.file.known()?;
        let writer = Writer::start(Arc::clone(&self.file))?;
        Ok(WithLocalCopy { feed, copy: self.clone(), writer, known, loading: None })
    }

    /// How many entries the store is known to lack.
    pub fn owed(&self) -> Result<u64, FeedError> {
        self.file.owed_count()
    }

    /// Gives back to the store what it has lost, until told to stop. Harmless when others do too.
    pub async fn refill(&self, log: impl RevocationLog, mut drain: Drain) {
        tokio::select! {
            () = drain.begun() => {}
            () = self.refill_for_ever(&log) => {}
        }
    }

    async fn refill_for_ever(&self, log: &impl RevocationLog) {
        loop {
            let jitter = u32::from(Uuid::new_v4().as_bytes()[0]);
            match self.refill_once(log, REFILL_SPREAD * jitter / 256).await {
                Ok(0) => self.owed.notified().await,
                Ok(entries) => tracing::warn!(entries, "gave revocations back to the store"),
                Err(error) => {
                    tracing::warn!(%error, "revocations can't be given back to the store yet");
                    tokio::time::sleep(REFILL_SPREAD).await;
                }
            }
        }
    }

    async fn refill_once(
        &self,
        log: &impl RevocationLog,
        pause: Duration,
    ) -> Result<usize, FeedError> {
        if self.owed()? == 0 {
            return Ok(0);
        }
        tokio::time::sleep(pause).await;
        let file = Arc::clone(&self.file);
        let batch = blocking(move || file.owed(REFILL_BATCH)).await?;
        let count = batch.len();
        if count > 0 {
            log.append(batch.clone()).await?;
            let file = Arc::clone(&self.file);
            blocking(move || file.given_back(&batch)).await?;
        }
        Ok(count)
    }
}

// === impl WithLocalCopy ===

impl<F> WithLocalCopy<F> {
    /// Waits until everything told so far is in the file.
    pub async fn settled(&self) {
        self.writer.settled().await;
    }
}

impl<F: RevocationFeed> RevocationFeed for WithLocalCopy<F> {
    async fn restore(&mut self) -> Result<Option<Checkpoint>, FeedError> {
        let Some((epoch, upto)) = self.known.clone() else { return Ok(None) };
        let (sender, live) = Live::channel();
        let file = Arc::clone(&self.copy.file);
        tokio::task::spawn_blocking(move || {
            let outcome = file.visit(|batch| sender.blocking_send(batch));
            sender.end(outcome);
        });
        Ok(Some(Checkpoint { epoch, live, upto }))
    }

    async fn resume(&mut self, epoch: Epoch, after: &Cursor) -> Result<(), FeedError> {
        self.feed.resume(epoch, after).await
    }

    async fn load(&mut self) -> Result<Checkpoint, FeedError> {
        self.loading = None;
        let Checkpoint { epoch, live, upto } = self.feed.load().await?;
        if self.writer.is_broken() {
            return Ok(Checkpoint { epoch, live, upto });
        }
        // What was told before must be in the file that the checkpoint is held against.
        self.writer.settled().await;
        let known = self.known.as_ref().map(|(epoch, cursor)| (*epoch, cursor));
        let standing = Standing::of(known, epoch, &upto);
        let (sender, joined) = Live::channel();
        let (copy, broken) = (self.copy.clone(), self.writer.breaker());
        let (at, runtime) = ((epoch, upto.clone()), tokio::runtime::Handle::current());
        tokio::task::spawn_blocking(move || {
            let mut live = live;
            let next = || runtime.block_on(live.next());
            let outcome = join::checkpoint(&copy.file, standing, &at, next, &sender);
            let outcome = outcome.map_err(|failure| failure.tell(&broken));
            copy.owed.notify_one();
            sender.end(outcome);
        });
        self.loading = Some((epoch, upto.clone()));
        Ok(Checkpoint { epoch, live: joined, upto })
    }

    async fn next(&mut self) -> Result<FeedEvent, FeedError> {
        if let Some(loaded) = self.loading.take() {
            self.known = Some(loaded);
        }
        let event = self.feed.next().await?;
        if let (Some((_, cursor)), FeedEvent::Record { at, .. } | FeedEvent::Undecodable { at }) =
            (&mut self.known, &event)
            && *at > *cursor
        {
            *cursor = at.clone();
            self.writer.tell(event.clone());
        }
        Ok(event)
    }

    fn remembers(&self) -> bool {
        !self.writer.is_broken()
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FeedError> + Send + 'static,
) -> Result<T, FeedError> {
    let panicked = |_| FeedError::Corrupt("the local copy can't be read".to_owned());
    tokio::task::spawn_blocking(work).await.map_err(panicked)?
}

#[cfg(test)]
mod tests;
