//! A checkpoint into the set: by difference within a store's memory, by union across a loss of it.

use crate::revocation::fingerprint::Fingerprint;
use crate::revocation::{Checkpoint, Cursor, Epoch, FeedError};

use super::Applier;

/// What a checkpoint is to what we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing is known yet.
    First,
    /// The truth: what it does not hold was reinstated.
    Ahead,
    /// The store has lost its memory: what we know and it does not, stays.
    Lost,
}

// === impl Applier ===

impl Applier {
    /// Never clears then fills: a revoked token does not pass for a moment.
    pub(super) async fn apply_checkpoint(&self, checkpoint: Checkpoint) -> Result<(), FeedError> {
        let Checkpoint { epoch, mut live, upto } = checkpoint;
        let standing = self.standing(epoch, &upto);
        let set = self.revocations.set();
        // An attempt that broke off may have left something behind.
        let differ = standing != Standing::Lost && !set.is_empty();
        let mut names = Vec::new();
        loop {
            let batch = live.next().await?;
            if batch.is_empty() {
                break;
            }
            for entry in &batch {
                match standing {
                    Standing::Lost => drop(set.apply(entry)),
                    Standing::First | Standing::Ahead if differ => names.push(set.put(entry)),
                    Standing::First | Standing::Ahead => drop(set.put(entry)),
                }
            }
            tokio::task::yield_now().await;
        }
        if differ {
            self.remove_all_but(names).await;
        }
        self.note(standing, epoch, upto);
        Ok(())
    }

    fn standing(&self, epoch: Epoch, upto: &Cursor) -> Standing {
        let status = self.status.borrow();
        match (&status.epoch, &status.cursor) {
            (Some(known), Some(cursor)) if *known == epoch && upto >= cursor => Standing::Ahead,
            (Some(_), _) => Standing::Lost,
            (None, _) => Standing::First,
        }
    }

    async fn remove_all_but(&self, mut names: Vec<Fingerprint>) {
        names.sort_unstable();
        let set = self.revocations.set();
        for part in 0..set.parts() {
            set.retain_part(part, &names);
            tokio::task::yield_now().await;
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
