//! A checkpoint into the set: by difference within a store's memory, by union across a loss of it.

use crate::revocation::fingerprint::Fingerprint;
use crate::revocation::{Checkpoint, Cursor, Epoch, FeedError, Standing};

use super::disputed::Disputed;
use super::{Applier, Memory};

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
        loop {
            let batch = live.next().await?;
            if batch.is_empty() {
                break;
            }
            for entry in &batch {
                match (join, differ) {
                    (true, _) => drop(self.revocations.apply(entry)),
                    (false, true) => names.push(self.revocations.put(entry)),
                    (false, false) => drop(self.revocations.put(entry)),
                }
                memory.newest = memory.newest.max(entry.id);
            }
            tokio::task::yield_now().await;
        }
        if differ {
            self.remove_all_but(names).await;
        }
        memory.owing |= standing == Standing::Lost && !remembered;
        self.remember(memory, standing, epoch, &upto);
        self.note(standing, epoch, upto);
        Ok(())
    }

    fn standing(&self, epoch: Epoch, upto: &Cursor) -> Standing {
        let status = self.status.borrow();
        Standing::of(status.epoch.zip(status.cursor.as_ref()), epoch, upto)
    }

    async fn remove_all_but(&self, mut names: Vec<Fingerprint>) {
        names.sort_unstable();
        let set = self.revocations.set();
        for part in 0..set.parts() {
            set.retain_part(part, &names);
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
