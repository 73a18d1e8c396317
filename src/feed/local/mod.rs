//! A node's own copy of what it knows, on disk, for stores that are elsewhere: with it a node starts
//! while its store is away, goes on from its cursor, and can give back what the store has lost.
//!
//! Written behind the follower, in log order: the kept cursor is never ahead of the kept entries, and
//! a copy that lags only means that more of the log is read again. The same for a checkpoint, unless the
//! copy knows what the store has lost: then it is joined first.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::revocation::{
    Checkpoint, Cursor, Epoch, FeedError, FeedEvent, Live, RevocationFeed, Standing,
};

mod backlog;
mod care;
mod file;
mod forget;
mod join;
mod reader;
mod spool;
mod writer;

pub use reader::Reader;

use file::CopyFile;
use join::Joining;
use spool::Spool;
use writer::{Writer, Written};

/// The copy's file, open.
#[derive(Clone, Debug)]
pub struct LocalCopy {
    path: PathBuf,
    file: Arc<CopyFile>,
    written: Arc<Written>,
    given_back: Arc<AtomicU64>,
}

/// How a copy is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyStatus {
    /// Whether it is still written; if not, until a restart.
    pub written: bool,
    /// Whether a checkpoint is being written: until that is done it holds what it held before.
    pub behind: bool,
    /// Entries that the store is known to lack.
    pub owed: u64,
    /// Entries that this node has given back to the store since it started.
    pub given_back: u64,
}

/// A feed that keeps a copy of what it tells.
#[derive(Debug)]
pub struct WithLocalCopy<F> {
    feed: F,
    copy: LocalCopy,
    writer: Writer,
    known: Option<Place>,
    /// What was loaded, known when it has been applied.
    loading: Option<Place>,
}

/// How far this node has come.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    epoch: Epoch,
    cursor: Cursor,
    /// The store went back within this epoch: up to here its log may tell again what we knew.
    disputed: Option<Cursor>,
}

// === impl LocalCopy ===

impl LocalCopy {
    /// Opens the file, or makes it. One that is damaged is put aside, loudly: it is only a copy.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FeedError> {
        let path = path.as_ref().to_owned();
        let file = Arc::new(CopyFile::open(&path)?);
        Ok(Self { path, file, written: Arc::default(), given_back: Arc::default() })
    }

    /// Keeps what this feed tells. One feed at a time.
    pub fn over<F: RevocationFeed>(&self, feed: F) -> Result<WithLocalCopy<F>, FeedError> {
        let known = self.file.known()?;
        let (file, path, written) =
            (Arc::clone(&self.file), self.path.clone(), Arc::clone(&self.written));
        let writer = Writer::start(file, path, written)?;
        Ok(WithLocalCopy { feed, copy: self.clone(), writer, known, loading: None })
    }

    /// One that is gone with the value.
    #[cfg(test)]
    pub(crate) fn in_memory() -> Self {
        let (file, path) = (Arc::new(CopyFile::in_memory()), PathBuf::new());
        Self { path, file, written: Arc::default(), given_back: Arc::default() }
    }

    /// Like [`LocalCopy::over`], without a thread: what was applied is written.
    #[cfg(test)]
    pub(crate) fn over_at_once<F: RevocationFeed>(&self, feed: F) -> WithLocalCopy<F> {
        let known = self.file.known().expect("readable");
        let writer = Writer::at_once(Arc::clone(&self.file), Arc::clone(&self.written));
        WithLocalCopy { feed, copy: self.clone(), writer, known, loading: None }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it is doing. Asks the file, briefly.
    pub fn status(&self) -> Result<CopyStatus, FeedError> {
        let (written, owed) = (!self.written.is_broken(), self.file.owed_count()?);
        let given_back = self.given_back.load(Ordering::Relaxed);
        Ok(CopyStatus { written, behind: self.written.is_behind(), owed, given_back })
    }
}

// === impl WithLocalCopy ===

impl<F> WithLocalCopy<F> {
    /// Waits until everything told so far is in the file.
    pub async fn settled(&self) {
        self.copy.written.settled().await;
    }

    /// Where it would go on.
    #[cfg(test)]
    pub(crate) fn known(&self) -> Option<(Epoch, &Cursor)> {
        self.known.as_ref().map(|place| (place.epoch, &place.cursor))
    }

    /// What this node knows has come so far.
    fn known_at(&mut self, at: &Cursor) -> bool {
        match &mut self.known {
            Some(place) if *at > place.cursor => {
                place.cursor = at.clone();
                true
            }
            _ => false,
        }
    }
}

impl<F: RevocationFeed> RevocationFeed for WithLocalCopy<F> {
    async fn restore(&mut self) -> Result<Option<Checkpoint>, FeedError> {
        let Some(Place { epoch, cursor: upto, .. }) = self.known.clone() else { return Ok(None) };
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
        // What was told before must be in the file that the checkpoint is held against.
        self.copy.written.settled().await;
        let Checkpoint { epoch, live, upto } = self.feed.load().await?;
        if !self.remembers() {
            return Ok(Checkpoint { epoch, live, upto });
        }
        let known = self.known.as_ref();
        let standing = Standing::of(known.map(|it| (it.epoch, &it.cursor)), epoch, &upto);
        let place = Place::loaded(known, epoch, &upto);
        self.loading = Some(place.clone());
        // Where the copy has nothing to add, nobody waits for it.
        let adds = match standing {
            Standing::First => false,
            Standing::Ahead => self.copy.file.owed_count()? > 0,
            Standing::Lost => true,
        };
        let (sender, told) = Live::channel();
        let (copy, runtime) = (self.copy.clone(), tokio::runtime::Handle::current());
        tokio::task::spawn_blocking(move || {
            let mut live = live;
            let next = || runtime.block_on(live.next());
            let (spool, through) = (Spool::beside(copy.path), (!adds).then_some(&sender));
            match Joining::take(standing, place, spool, next, through) {
                Ok(joining) if adds => copy.written.join(joining.telling(sender)),
                Ok(joining) => {
                    // Before anybody can tell what follows.
                    copy.written.join(joining);
                    sender.end(Ok(()));
                }
                Err(failure) => sender.end(Err(failure.tell(&copy.written))),
            }
        });
        Ok(Checkpoint { epoch, live: told, upto })
    }

    async fn next(&mut self) -> Result<FeedEvent, FeedError> {
        if let Some(loaded) = self.loading.take() {
            self.known = Some(loaded);
        }
        self.feed.next().await
    }

    fn more(&mut self) -> VecDeque<FeedEvent> {
        self.feed.more()
    }

    fn disputed(&self) -> Option<Cursor> {
        self.known.as_ref()?.disputed.clone()
    }

    fn applied(&mut self, event: &FeedEvent, believed: bool) {
        match event {
            FeedEvent::Record { at, .. } if believed => {
                if self.known_at(at) {
                    self.writer.tell(event.clone());
                }
            }
            // The cursor alone moves on.
            FeedEvent::Record { at, .. } | FeedEvent::Undecodable { at } => {
                if self.known_at(at) {
                    self.writer.tell(FeedEvent::Undecodable { at: at.clone() });
                }
            }
            FeedEvent::Heartbeat { .. } => {}
        }
    }

    fn remembers(&self) -> bool {
        !self.copy.written.is_broken()
    }
}

// === impl Place ===

impl Place {
    /// Where a checkpoint leads.
    fn loaded(known: Option<&Self>, epoch: Epoch, upto: &Cursor) -> Self {
        let known = known.filter(|known| known.epoch == epoch);
        let furthest = known.map(|known| known.disputed.as_ref().max(Some(&known.cursor)));
        let disputed = furthest.flatten().filter(|end| *end > upto).cloned();
        Self { epoch, cursor: upto.clone(), disputed }
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
