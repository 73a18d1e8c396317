//! Keeps the stream from growing for ever: what has expired goes, what applications said is folded
//! into the nodes' entries, and tombstones go in two steps (announced, then gone).
//!
//! Every deletion names one sequence, so that a newer message can't be hit.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;

use crate::clock::{Clock, SystemClock, UnixTime};
use crate::revocation::{FeedError, Op, wire};

use super::agenda::Agenda;
use super::broker::{Broker, PublishRefusal};
use super::memory::{self, read_sweep};
use super::said::{Entry, Sweep};
use super::scan::Folded;
use super::subject;

/// Another process that swept within this time has done our work.
const TURN: Duration = Duration::from_secs(300);
pub(super) const AT_ONCE: usize = 64;

/// Sweeps, unless another node did a moment ago; how many entries went.
pub(super) async fn sweep(
    broker: &Broker,
    agenda: &mut Agenda,
    now: UnixTime,
) -> Result<usize, FeedError> {
    let outcome = take_turn(broker, agenda, now).await;
    if outcome.is_err() {
        // What was to be done and was not is found again by reading everything.
        *agenda = Agenda::default();
    }
    outcome
}

async fn take_turn(
    broker: &Broker,
    agenda: &mut Agenda,
    now: UnixTime,
) -> Result<usize, FeedError> {
    let memory = memory::recall(broker).await?;
    let Some((turn, at)) = claim_turn(broker).await? else {
        *agenda = Agenda::default();
        return Ok(0);
    };
    let mut gone = 0;
    for folded in agenda.read(broker, &memory, now).await? {
        gone += usize::from(fold(broker, &folded, now).await?);
    }
    let dead = agenda.take_dead(broker, now).await?;
    let (tombstones, dead): (Vec<_>, Vec<_>) =
        dead.iter().partition(|entry| entry.record.op == Op::Reinstate);
    delete(broker, &sequences(&dead)).await?;
    agenda.dead = sweep_tombstones(broker, &sequences(&tombstones), turn, at).await?;
    Ok(gone + dead.len())
}

/// Lets those go that were announced, and announces the others; which are still there.
async fn sweep_tombstones(
    broker: &Broker,
    dead: &[u64],
    turn: Sweep,
    at: u64,
) -> Result<Vec<u64>, FeedError> {
    let (old, new): (Vec<u64>, Vec<u64>) =
        dead.iter().partition(|tombstone| **tombstone <= turn.announced);
    let latest = |all: &[u64]| all.iter().copied().max().unwrap_or_default();
    let announced = latest(&new).max(turn.announced);
    let next = Sweep { announced, gone: latest(&old).max(turn.gone), ..turn };
    // Said before it is done: who reads behind must know.
    if next != turn && write(broker, next, at).await?.is_none() {
        return Ok(dead.to_vec());
    }
    delete(broker, &old).await?;
    Ok(new)
}

fn sequences(entries: &[&Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.sequence).collect()
}

/// Says that this process sweeps; `None` when it is another's turn.
async fn claim_turn(broker: &Broker) -> Result<Option<(Sweep, u64)>, FeedError> {
    let last = broker.last(&subject::sweep(&broker.name)).await?;
    let age = last.as_ref().map(|message| {
        let at =
            UnixTime::from_secs(u64::try_from(message.time / 1_000_000_000).unwrap_or_default());
        SystemClock.now().since(at)
    });
    let (sweep, at) = read_sweep(broker).await?.unwrap_or_default();
    let others = !sweep.by.is_nil() && sweep.by != broker.id;
    if others && age.is_some_and(|age| age < TURN) {
        return Ok(None);
    }
    if sweep.by == broker.id {
        return Ok(Some((sweep, at)));
    }
    let ours = Sweep { by: broker.id, ..sweep };
    Ok(write(broker, ours, at).await?.map(|at| (ours, at)))
}

/// Writes the state of sweeping over the one at `expected`; `None` when another was there first.
async fn write(broker: &Broker, sweep: Sweep, expected: u64) -> Result<Option<u64>, FeedError> {
    let payload = serde_json::to_vec(&sweep).expect("numbers and a UUID have a JSON form");
    let written = broker.publish(subject::sweep(&broker.name), payload.into(), 0, expected).await;
    match written {
        Ok(sequence) => Ok(Some(sequence)),
        Err(PublishRefusal::Overtaken) => Ok(None),
        Err(refusal) => Err(refusal.into_feed_error()),
    }
}

/// Makes one entry of everything that was said about a name; whether it was dead and is gone.
async fn fold(broker: &Broker, folded: &Folded, now: UnixTime) -> Result<bool, FeedError> {
    let mut gone: Vec<_> = folded.apps.iter().map(|app| app.sequence).collect();
    let entry = folded.entry.as_ref().map(|(entry, _)| entry);
    let at = entry.map_or(0, |entry| entry.sequence);
    let dead = match folded.live() {
        // Void by a reinstatement, which stays.
        None => false,
        Some(live) if live.expires_at < now => {
            // A tombstone goes its own way.
            let revoked = entry.filter(|entry| entry.record.op != Op::Reinstate);
            gone.extend(revoked.map(|entry| entry.sequence));
            true
        }
        Some(live) => {
            let payload = Bytes::from(wire::encode(&live));
            let subject = subject::entry(&broker.name, &folded.name);
            match broker.publish(subject, payload, folded.since(), at).await {
                Ok(_) => false,
                // Somebody wrote: next time.
                Err(PublishRefusal::Overtaken) => return Ok(false),
                Err(refusal) => return Err(refusal.into_feed_error()),
            }
        }
    };
    delete(broker, &gone).await?;
    Ok(dead)
}

async fn delete(broker: &Broker, sequences: &[u64]) -> Result<(), FeedError> {
    for together in sequences.chunks(AT_ONCE) {
        let answers = join_all(together.iter().map(|sequence| broker.delete(*sequence))).await;
        answers.into_iter().collect::<Result<(), _>>()?;
    }
    Ok(())
}
