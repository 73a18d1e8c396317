//! The roster of a store that one process has for itself: kept in memory, spoken in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use uuid::Uuid;

use crate::revocation::{Audience, Ear, FeedError, LiveNode, NodeRoster, Presence};

/// Whoever has a clone of it is one of its nodes.
#[derive(Clone, Debug)]
pub struct AloneRoster(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    announced: Mutex<HashMap<Uuid, (Presence, Instant)>>,
    said: broadcast::Sender<(Audience, Vec<u8>)>,
}

// === impl AloneRoster ===

impl AloneRoster {
    /// Nobody announced yet.
    pub fn new() -> Self {
        let (announced, said) = (Mutex::default(), broadcast::channel(1024).0);
        Self(Arc::new(Shared { announced, said }))
    }

    fn announced(&self) -> MutexGuard<'_, HashMap<Uuid, (Presence, Instant)>> {
        self.0.announced.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for AloneRoster {
    fn default() -> Self {
        Self::new()
    }
}

impl NodeRoster for AloneRoster {
    async fn announce(&self, presence: &Presence) -> Result<(), FeedError> {
        self.announced().insert(presence.node.id, (presence.clone(), Instant::now()));
        Ok(())
    }

    async fn withdraw(&self, id: Uuid) -> Result<(), FeedError> {
        self.announced().remove(&id);
        Ok(())
    }

    async fn nodes(&self) -> Result<Vec<LiveNode>, FeedError> {
        let mut announced = self.announced();
        announced.retain(|_, (presence, at)| at.elapsed() < presence.duration());
        let live = |(presence, at): &(Presence, Instant)| LiveNode {
            presence: presence.clone(),
            seen: at.elapsed(),
        };
        Ok(announced.values().map(live).collect())
    }

    async fn tell(&self, to: Audience, message: Vec<u8>) -> Result<(), FeedError> {
        // Nobody listens: then nobody hears it.
        drop(self.0.said.send((to, message)));
        Ok(())
    }

    async fn listen(&self, id: Uuid) -> Result<Ear, FeedError> {
        let (sender, ear) = Ear::channel();
        let mut said = self.0.said.subscribe();
        tokio::spawn(async move {
            loop {
                match said.recv().await {
                    Ok((Audience::Node(other), _)) if other != id => {}
                    Ok((_, message)) => {
                        if sender.send(message).await.is_err() {
                            return;
                        }
                    }
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        });
        Ok(ear)
    }
}
