//! A checkpoint into the set: by difference within a store's memory, by union across a loss of it.

use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use tokio::task::{JoinHandle, spawn_blocking};

use crate::revocation::fingerprint::Fingerprint;
use crate::revocation::{
    Checkpoint, Cursor, Epoch, FeedError, Revocation, RevocationSet, Revocations, Standing,
};

use super::disputed::Disputed;
use super::{Applier, Memory};

/// Batches that are being put into a set that was empty. Names of a checkpoint differ from each other:
/// the order makes no difference.
struct Filling {
    batches: VecDeque<JoinHandle<()>>,
    outcome: Result<(), FeedError>,
    at_once: usize,
}

/// Entries that are worth a thread.
const MANY: usize = 1024;
/// Threads that fill the set, at most.
const THREADS: usize = 4;

// === impl Filling ===

impl Filling {
    fn new() -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Self { batches: VecDeque::new(), outcome: Ok(()), at_once: cores.min(THREADS) }
    }

    async fn put(&mut self, revocations: &Arc<Revocations>, batch: Vec<Revocation>) {
        if self.batches.len() >= self.at_once {
            self.wait().await;
        }
        let revocations = Arc::clone(revocations);
        self.batches.push_back(spawn_blocking(move || revocations.put_all(&batch)));
    }

    async fn finish(mut self) -> Result<(), FeedError> {
        while !self.batches.is_empty() {
            self.wait().await;
        }
        self.outcome
    }

    async fn wait(&mut self) {
        if let Some(batch) = self.batches.pop_front()
            && batch.await.is_err()
        {
            self.outcome = Err(FeedError::Unreachable("filling the set failed".into()));
        }
    }
}

// === impl Applier ===

impl Applier {
    /// Never clears then fills: a revoked token does not pass for a moment.
    pub(super) async fn apply_checkpoint(
        &self,
        checkpoint: Checkpoint,
        memory: &mut Memory,
        remembered: bool,
    ) -> Result<(), FeedError> {
        let Checkpoint { epoch, mut live, upto } = checkpoint;
        let standing = self.standing(epoch, &upto);
        // A feed that remembers has joined already what we know and the store does not.
        // One that no longer does may have owed something.
        memory.owing |= memory.remembered && !remembered;
        memory.remembered = remembered;
        let join = (standing == Standing::Lost && !remembered) || memory.owing;
        let set = self.revocations.set();
        // An attempt that broke off may have left something behind.
        let differ = !join && !set.is_empty();
        let mut names = Vec::new();
        let mut filling = Filling::new();
        let read = loop {
            let batch = match live.next().await {
                Ok(batch) if batch.is_empty() => break Ok(()),
                Ok(batch) => batch,
                Err(error) => break Err(error),
            };
            let newest = batch.iter().map(|entry| entry.id).max();
            memory.newest = newest.map_or(memory.newest, |newest| memory.newest.max(newest));
            if !join && !differ && batch.len() >= MANY {
                filling.put(&self.revocations, batch).await;
                continue;
            }
            for entry in &batch {
                match (join, differ) {
                    (true, _) => drop(self.revocations.apply(entry)),
                    (false, true) => names.push(self.revocations.put(entry)),
                    (false, false) => drop(self.revocations.put(entry)),
                }
            }
            tokio::task::yield_now().await;
        };
        // Also after a failure: nothing of this attempt may come after the next one has begun.
        filling.finish().await?;
        read?;
        if differ {
            self.remove_all_but(names).await;
        }
        memory.owing |= standing == Standing::Lost && !remembered;
        self.remember(memory, standing, epoch, &upto);
        self.revocations.tell_loaded(&upto);
        self.note(standing, epoch, upto);
        Ok(())
    }

    fn standing(&self, epoch: Epoch, upto: &Cursor) -> Standing {
        let status = self.status.borrow();
        Standing::of(status.epoch.zip(status.cursor.as_ref()), epoch, upto)
    }

    async fn remove_all_but(&self, mut names: Vec<Fingerprint>) {
        let set = self.revocations.set();
        // A part is asked for its own names alone: they are found sooner, and its locks are held less.
        names.sort_unstable_by_key(|name| (RevocationSet::part_of(name), *name));
        let mut rest = &*names;
        for part in 0..set.parts() {
            let end = rest.partition_point(|name| RevocationSet::part_of(name) <= part);
            let (own, after) = rest.split_at(end);
            set.retain_part(part, own);
            rest = after;
            tokio::task::yield_now().await;
        }
    }

    fn remember(&self, memory: &mut Memory, standing: Standing, epoch: Epoch, upto: &Cursor) {
        match standing {
            Standing::Lost => {
                let status = self.status.borrow();
                let before = status.cursor.clone().filter(|_| status.epoch == Some(epoch));
                let earlier = memory.disputed.take();
                let newest = memory.newest;
                memory.disputed =
                    before.map(|before| Disputed::new(before, newest).or_further(earlier));
            }
            Standing::First | Standing::Ahead => memory.reached(upto),
        }
    }

    fn note(&self, standing: Standing, epoch: Epoch, upto: Cursor) {
        let lost = standing == Standing::Lost;
        if lost {
            self.metrics.epoch_changes.inc();
            tracing::error!(%epoch, cursor = %upto, "the revocation store has lost its memory; keeping what is known");
        }
        self.status.send_modify(|status| {
            status.epoch = Some(epoch);
            status.cursor = Some(upto);
            status.epoch_changes += u64::from(lost);
        });
    }
}
