//! One write transaction: what becomes of the tables.

use redb::{Database, Error, ReadableTable, Table, WriteTransaction};

use crate::clock::UnixTime;
use crate::feed::embedded::codec;
use crate::feed::embedded::schema::{FLOOR, HEAD, LIVE, LOG, LOG_KEPT, META};
use crate::revocation::{Name, Op, Revocation, wire};

use super::Job;

/// What a committed transaction did.
#[derive(Debug)]
pub(super) struct Done {
    /// The sequence of the last record.
    pub(super) head: u64,
    /// For each job: the sequence of its last record, or how many entries went.
    pub(super) outcomes: Vec<u64>,
}

type Live<'t> = Table<'t, (&'static str, &'static str, &'static str), &'static [u8]>;
type Log<'t> = Table<'t, u64, &'static [u8]>;

/// Does all jobs in one synced commit, or none.
///
/// In two phases: with one, redb can't tell a commit that was torn from one that was damaged later,
/// and would go back behind it without a word.
pub(super) fn commit(database: &Database, head: u64, group: &[Job]) -> Result<Done, Error> {
    let mut write = database.begin_write()?;
    write.set_two_phase_commit(true);
    let done = fill(&write, head, group)?;
    write.commit()?;
    Ok(done)
}

/// Commits once more without a change. redb keeps two commit slots and falls back to the older one
/// when the newer is damaged: after this both hold everything.
pub(super) fn settle(database: &Database) -> Result<(), Error> {
    let mut write = database.begin_write()?;
    write.set_two_phase_commit(true);
    {
        let mut meta = write.open_table(META)?;
        let floor = number(&meta, FLOOR)?;
        meta.insert(FLOOR, floor.to_le_bytes().as_slice())?;
    }
    write.commit()?;
    Ok(())
}

fn fill(write: &WriteTransaction, mut head: u64, group: &[Job]) -> Result<Done, Error> {
    let mut meta = write.open_table(META)?;
    let mut live = write.open_table(LIVE)?;
    let mut log = write.open_table(LOG)?;
    let mut outcomes = Vec::with_capacity(group.len());
    for job in group {
        match job {
            Job::Append(records, _) => {
                for record in records {
                    head += 1;
                    append(&mut live, record)?;
                    log.insert(head, wire::encode(record).as_slice())?;
                }
                outcomes.push(head);
            }
            Job::Forget(names, now, _) => {
                outcomes.push(forget(&mut live, names, *now)?);
                trim(&mut log, &mut meta, head)?;
            }
        }
    }
    meta.insert(HEAD, head.to_le_bytes().as_slice())?;
    // Between compactions too, seldom and then much: an import must not leave a log of its size.
    if head - number(&meta, FLOOR)?.min(head) > 2 * LOG_KEPT {
        trim(&mut log, &mut meta, head)?;
    }
    Ok(Done { head, outcomes })
}

fn append(live: &mut Live<'_>, record: &Revocation) -> Result<(), Error> {
    let name = &record.name;
    let key = (&*name.issuer, &*name.claim, &*name.value);
    if record.op == Op::Reinstate {
        live.remove(key)?;
        return Ok(());
    }
    let old = match live.get(key)? {
        Some(bytes) => Some(codec::decode(name.clone(), bytes.value()).ok_or_else(unsound)?),
        None => None,
    };
    let merged = match old {
        Some(old) => codec::encode(&old.followed_by(record.clone())),
        None => codec::encode(record),
    };
    live.insert(key, merged.as_slice())?;
    Ok(())
}

fn forget(live: &mut Live<'_>, names: &[Name], now: UnixTime) -> Result<u64, Error> {
    let mut gone = 0;
    for name in names {
        let key = (&*name.issuer, &*name.claim, &*name.value);
        // It may have been revoked again since it was found expired.
        let expired = match live.get(key)? {
            Some(bytes) => codec::expires_at(bytes.value()).ok_or_else(unsound)? < now,
            None => false,
        };
        if expired {
            live.remove(key)?;
            gone += 1;
        }
    }
    Ok(gone)
}

/// Cuts the log's old end off. Only ever a prefix: a reader that misses a record misses all before it
/// too, is told so, and loads the live entries.
fn trim(
    log: &mut Log<'_>,
    meta: &mut Table<'_, &'static str, &'static [u8]>,
    head: u64,
) -> Result<(), Error> {
    let floor = head.saturating_sub(LOG_KEPT);
    if floor > number(meta, FLOOR)? {
        log.retain_in(..=floor, |_, _| false)?;
        meta.insert(FLOOR, floor.to_le_bytes().as_slice())?;
    }
    Ok(())
}

fn number(meta: &Table<'_, &'static str, &'static [u8]>, key: &'static str) -> Result<u64, Error> {
    let value = meta.get(key)?.ok_or_else(unsound)?;
    let bytes = value.value().try_into().map_err(|_length| unsound())?;
    Ok(u64::from_le_bytes(bytes))
}

fn unsound() -> Error {
    Error::Corrupted("an entry is not one".to_owned())
}
