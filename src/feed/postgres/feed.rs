//! The reading side: a checkpoint, and then what the pump brings.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::revocation::{Checkpoint, Cursor, Epoch, FeedError, FeedEvent, RevocationFeed};

use super::Shared;
use super::load::{Loaded, Position, load, resume};
use super::pump::{Pump, Told};
use super::row::cursor;
use super::schema::Identity;

/// A reader of the table. Each has connections of its own.
#[derive(Debug)]
pub struct PostgresFeed {
    shared: Arc<Shared>,
    running: Option<Running>,
    /// The last record that was given out.
    told: Cursor,
}

#[derive(Debug)]
struct Running {
    events: mpsc::Receiver<Told>,
    pump: AbortHandle,
}

/// A heartbeat that waited longer than this says nothing about now.
const BEAT_LASTS: Duration = Duration::from_millis(500);
/// Events that wait for whoever applies them.
const WAITING: usize = 1024;

// === impl PostgresFeed ===

impl PostgresFeed {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, running: None, told: Cursor::default() }
    }

    fn start(&mut self, identity: Identity, position: Position) {
        let (sender, events) = mpsc::channel(WAITING);
        let pump = Pump::new(Arc::clone(&self.shared), identity, position, sender);
        let pump = tokio::spawn(pump.run()).abort_handle();
        self.running = Some(Running { events, pump });
        self.told = cursor(position.id);
    }
}

impl RevocationFeed for PostgresFeed {
    async fn load(&mut self) -> Result<Checkpoint, FeedError> {
        self.running = None;
        let Loaded { checkpoint, identity, position } = load(&self.shared).await?;
        self.start(identity, position);
        Ok(checkpoint)
    }

    async fn resume(&mut self, epoch: Epoch, after: &Cursor) -> Result<(), FeedError> {
        self.running = None;
        self.told = after.clone();
        let (identity, position) = resume(&self.shared, epoch, after).await?;
        self.start(identity, position);
        Ok(())
    }

    async fn next(&mut self) -> Result<FeedEvent, FeedError> {
        while let Some(running) = &mut self.running {
            let Some(told) = running.events.recv().await else { break };
            match &told.what {
                Ok(FeedEvent::Heartbeat { .. }) if told.at.elapsed() > BEAT_LASTS => continue,
                Ok(FeedEvent::Record { at, .. } | FeedEvent::Undecodable { at }) => {
                    self.told = at.clone();
                }
                Ok(FeedEvent::Heartbeat { .. }) | Err(_) => {}
            }
            return told.what;
        }
        // The pump has said why it ended; from there on only a new checkpoint helps.
        Err(FeedError::Truncated(self.told.clone()))
    }
}

// === impl Running ===

impl Drop for Running {
    fn drop(&mut self) {
        self.pump.abort();
    }
}
