//! Appends that wait at the same time go to the server in one step: one sync of its disk, and one wait for
//! its replicas, for all.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::revocation::{Cursor, FeedError};

use super::connection::{Link, REPLICAS};
use super::entry::Id;
use super::scripts::Script;

/// Records of one append, as JSON, and who waits for its cursor.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) records: Vec<Vec<u8>>,
    pub(super) answer: oneshot::Sender<Result<Cursor, FeedError>>,
}

/// The one task that appends.
#[derive(Debug)]
pub(super) struct Writer {
    link: Arc<Link>,
    jobs: mpsc::Receiver<Job>,
}

/// Records in one step, unless one append alone has more.
const AT_ONCE: usize = 1024;

// === impl Writer ===

impl Writer {
    pub(super) const fn new(link: Arc<Link>, jobs: mpsc::Receiver<Job>) -> Self {
        Self { link, jobs }
    }

    /// Until nobody can append any more.
    pub(super) async fn run(mut self) {
        while let Some(first) = self.jobs.recv().await {
            let mut count = first.records.len();
            let mut group = vec![first];
            while count < AT_ONCE
                && let Ok(job) = self.jobs.try_recv()
            {
                count += job.records.len();
                group.push(job);
            }
            // Whoever has given up meanwhile was not promised anything.
            group.retain(|job| !job.answer.is_closed());
            if !group.is_empty() {
                self.write(group).await;
            }
        }
    }

    async fn write(&self, group: Vec<Job>) {
        let outcome = self.append(&group).await;
        for (place, job) in group.into_iter().enumerate() {
            let answer = match &outcome {
                Ok(cursors) => Ok(cursors[place].clone()),
                Err(error) => Err(error.again()),
            };
            // Nobody there to hear it: it is written nevertheless.
            drop(job.answer.send(answer));
        }
    }

    /// The cursor of each job's last record.
    async fn append(&self, group: &[Job]) -> Result<Vec<Cursor>, FeedError> {
        let script = Script::append(group.iter().map(|job| &*job.records));
        let mut asking = redis::pipe();
        asking.add_command(script.command(self.link.keys()));
        let replicas = self.link.replicas();
        let ids: Vec<String> = if replicas == 0 {
            let (ids,) = self.link.ask_to_append(&asking).await?;
            ids
        } else {
            asking.cmd("WAIT").arg(replicas).arg(u64::try_from(REPLICAS.as_millis()).unwrap_or(1));
            let (ids, reached): (_, u64) = self.link.ask_to_append(&asking).await?;
            enough(reached, replicas)?;
            ids
        };
        let cursors = ids.iter().map(|id| Some(Id::parse(id)?.cursor()));
        let cursors = cursors.collect::<Option<Vec<_>>>().filter(|all| all.len() == group.len());
        cursors.ok_or_else(|| FeedError::Corrupt("Redis answered an append with no ids".to_owned()))
    }
}

/// Too few replicas: the primary has it, and a failover may lose it.
fn enough(reached: u64, replicas: u8) -> Result<(), FeedError> {
    if reached >= u64::from(replicas) {
        return Ok(());
    }
    let text =
        format!("{reached} of the {replicas} replicas that must have it have confirmed in time");
    Err(FeedError::Unreachable(text.into()))
}
