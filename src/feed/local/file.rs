//! The copy's file (redb): two tables of live entries, of which one holds, and what the store lacks.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use redb::{
    Builder, Database, DatabaseError, Durability, Error, ReadTransaction, ReadableDatabase,
    ReadableTable, ReadableTableMetadata, Table, TableDefinition, WriteTransaction,
};
use uuid::Uuid;

use super::Place;
use crate::feed::embedded::codec;
use crate::revocation::{Cursor, Epoch, FeedError, FeedEvent, Name, Op, Revocation};

/// An open copy.
#[derive(Debug)]
pub(super) struct CopyFile(Database);

pub(super) type Key = (&'static str, &'static str, &'static str);
pub(super) type Entries<'t> = Table<'t, Key, &'static [u8]>;

pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
pub(super) const LIVE: [TableDefinition<'_, Key, &[u8]>; 2] =
    [TableDefinition::new("live-0"), TableDefinition::new("live-1")];
/// Names of entries that the store is known to lack.
pub(super) const OWED: TableDefinition<'_, Key, ()> = TableDefinition::new("owed");

const CACHE_BYTES: usize = 16 * 1024 * 1024;
const BATCH: usize = 4096;

// === impl CopyFile ===

impl CopyFile {
    pub(super) fn open(path: &Path) -> Result<Self, FeedError> {
        let refused = |error: &dyn std::fmt::Display| {
            let place = format!("the local copy {} (revocation.local_copy)", path.display());
            FeedError::Refused(format!("{place}: {error}"))
        };
        // Nobody else may read who was revoked and why; and a folder that is not there is no damage.
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        options.open(path).map_err(|error| refused(&error))?;
        let open = || Builder::new().set_cache_size(CACHE_BYTES).create(path);
        // redb may panic on a file that was altered.
        let opened = match catch_unwind(AssertUnwindSafe(|| open().map(Self))) {
            Ok(Err(error @ DatabaseError::DatabaseAlreadyOpen)) => return Err(refused(&error)),
            Ok(Ok(file)) if file.prepare().is_ok() => Some(file),
            Ok(_) | Err(_) => None,
        };
        if let Some(file) = opened {
            return Ok(file);
        }
        let aside = path.with_added_extension("damaged");
        tracing::error!(path = %path.display(), aside = %aside.display(), "the local copy of the revocations is damaged; it is put aside");
        fs::rename(path, &aside).map_err(|error| refused(&error))?;
        let file = Self(open().map_err(|error| refused(&error))?);
        file.prepare().map_err(unwritable)?;
        Ok(file)
    }

    #[cfg(test)]
    pub(super) fn in_memory() -> Self {
        let backend = redb::backends::InMemoryBackend::new();
        let file = Self(Builder::new().create_with_backend(backend).expect("in memory"));
        file.prepare().expect("in memory");
        file
    }

    /// All tables are there, and what is said about them is sound.
    fn prepare(&self) -> Result<(), Error> {
        let write = self.0.begin_write()?;
        {
            write.open_table(META)?;
            write.open_table(LIVE[0])?;
            write.open_table(LIVE[1])?;
            write.open_table(OWED)?;
        }
        write.commit()?;
        self.known().map_err(|error| Error::Corrupted(error.to_string()))?;
        Ok(())
    }

    /// The memory and position that it holds; `None` while it is new.
    pub(super) fn known(&self) -> Result<Option<Place>, FeedError> {
        let read = self.read().map_err(unwritable)?;
        let meta = read.open_table(META).map_err(unwritable)?;
        let bytes = |key| meta.get(key).map_err(unwritable);
        let (Some(epoch), Some(cursor)) = (bytes("epoch")?, bytes("cursor")?) else {
            return Ok(None);
        };
        let epoch = Uuid::from_slice(epoch.value()).map_err(|_length| unsound())?;
        let disputed =
            bytes("disputed")?.map(|disputed| cursor_of(disputed.value())).transpose()?;
        Ok(Some(Place { epoch: Epoch(epoch), cursor: cursor_of(cursor.value())?, disputed }))
    }

    /// Gives all entries in batches, until one is not wanted.
    pub(super) fn visit(
        &self,
        mut wanted: impl FnMut(Vec<Revocation>) -> bool,
    ) -> Result<(), FeedError> {
        let read = self.read().map_err(unwritable)?;
        let meta = read.open_table(META).map_err(unwritable)?;
        let which = which(&meta).map_err(unwritable)?;
        let live = read.open_table(LIVE[which]).map_err(unwritable)?;
        let mut batch = Vec::with_capacity(BATCH);
        for row in live.iter().map_err(unwritable)? {
            let (key, value) = row.map_err(unwritable)?;
            batch.push(entry(key.value(), value.value())?);
            if batch.len() == BATCH && !wanted(std::mem::take(&mut batch)) {
                return Ok(());
            }
        }
        wanted(batch);
        Ok(())
    }

    /// What the log has told, in its order, and how far it has come.
    pub(super) fn apply(&self, events: &[FeedEvent]) -> Result<(), FeedError> {
        self.write(Durability::Immediate, |write| {
            let mut meta = write.open_table(META)?;
            let mut live = write.open_table(LIVE[which(&meta)?])?;
            let mut owed = write.open_table(OWED)?;
            for event in events {
                let at = match event {
                    FeedEvent::Record { record, at } => {
                        apply(&mut live, &mut owed, record)?;
                        at
                    }
                    FeedEvent::Undecodable { at } | FeedEvent::Heartbeat { at } => at,
                };
                meta.insert("cursor", at.as_str().as_bytes())?;
            }
            Ok(())
        })
    }

    pub(super) fn owed_count(&self) -> Result<u64, FeedError> {
        let read = self.read().map_err(unwritable)?;
        read.open_table(OWED).map_err(unwritable)?.len().map_err(unwritable)
    }

    /// Some of the entries that the store lacks, of the first few thousand: nodes that give back at the
    /// same time seldom give the same.
    pub(super) fn owed(&self, limit: usize, random: u64) -> Result<Vec<Revocation>, FeedError> {
        let read = self.read().map_err(unwritable)?;
        let meta = read.open_table(META).map_err(unwritable)?;
        let live = read.open_table(LIVE[which(&meta).map_err(unwritable)?]).map_err(unwritable)?;
        let owed = read.open_table(OWED).map_err(unwritable)?;
        let mut entries = Vec::new();
        let choices = owed.len().map_err(unwritable)?.min(BATCH as u64) / limit as u64;
        let skip = usize::try_from(random % choices.max(1)).unwrap_or(0) * limit;
        for row in owed.iter().map_err(unwritable)?.skip(skip).take(limit) {
            let (key, _) = row.map_err(unwritable)?;
            if let Some(value) = live.get(key.value()).map_err(unwritable)? {
                entries.push(entry(key.value(), value.value())?);
            }
        }
        Ok(entries)
    }

    /// Whether the store is not yet known to have all of these.
    pub(super) fn owes_any(&self, entries: &[Revocation]) -> Result<bool, FeedError> {
        let read = self.read().map_err(unwritable)?;
        let owed = read.open_table(OWED).map_err(unwritable)?;
        for entry in entries {
            let name = entry.name.clone().canonical();
            if owed.get(key(&name)).map_err(unwritable)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn read(&self) -> Result<ReadTransaction, Error> {
        Ok(self.0.begin_read()?)
    }

    /// One transaction.
    pub(super) fn write<T>(
        &self,
        durability: Durability,
        work: impl FnOnce(&WriteTransaction) -> Result<T, Error>,
    ) -> Result<T, FeedError> {
        let run = || {
            let mut write = self.0.begin_write()?;
            write.set_durability(durability).map_err(Error::from)?;
            let done = work(&write)?;
            write.commit()?;
            Ok(done)
        };
        run().map_err(|error: Error| unwritable(error))
    }

    /// Begins the other table: it is empty then.
    pub(super) fn begin_other(&self) -> Result<(), FeedError> {
        self.write(Durability::None, |write| {
            let other = 1 - which(&write.open_table(META)?)?;
            write.delete_table(LIVE[other])?;
            write.open_table(LIVE[other])?;
            Ok(())
        })
    }

    /// Works on (the table that holds, the other one, what is owed).
    pub(super) fn with_both<T>(
        &self,
        work: impl FnOnce(&Entries<'_>, &mut Entries<'_>, &mut Table<'_, Key, ()>) -> Result<T, Error>,
    ) -> Result<T, FeedError> {
        self.write(Durability::None, |write| {
            let which = which(&write.open_table(META)?)?;
            let old = write.open_table(LIVE[which])?;
            let mut new = write.open_table(LIVE[1 - which])?;
            let mut owed = write.open_table(OWED)?;
            work(&old, &mut new, &mut owed)
        })
    }

    /// From now on the other table holds, all at once.
    pub(super) fn switch(&self, place: &Place) -> Result<(), FeedError> {
        self.write(Durability::Immediate, |write| {
            let mut meta = write.open_table(META)?;
            let which = which(&meta)?;
            meta.insert("which", [u8::from(which == 0)].as_slice())?;
            meta.insert("epoch", place.epoch.0.as_bytes().as_slice())?;
            meta.insert("cursor", place.cursor.as_str().as_bytes())?;
            match &place.disputed {
                Some(upto) => drop(meta.insert("disputed", upto.as_str().as_bytes())?),
                None => drop(meta.remove("disputed")?),
            }
            write.delete_table(LIVE[which])?;
            write.open_table(LIVE[which])?;
            Ok(())
        })
    }
}

/// A file beside the copy that is gone with its last handle.
pub(super) fn nameless(copy: &Path) -> io::Result<fs::File> {
    let path = copy.with_added_extension(Uuid::new_v4().simple().to_string());
    let mut options = fs::OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

fn cursor_of(bytes: &[u8]) -> Result<Cursor, FeedError> {
    std::str::from_utf8(bytes).map(Cursor::new).map_err(|_text| unsound())
}

pub(super) fn which(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<usize, Error> {
    let first = meta.get("which")?.is_none_or(|value| value.value() == [0]);
    Ok(usize::from(!first))
}

fn apply(
    live: &mut Entries<'_>,
    owed: &mut Table<'_, Key, ()>,
    record: &Revocation,
) -> Result<(), Error> {
    let name = record.name.clone().canonical();
    let key = key(&name);
    if record.op == Op::Reinstate {
        live.remove(key)?;
        owed.remove(key)?;
        return Ok(());
    }
    let record = Revocation { name: name.clone(), ..record.clone() };
    let old = find(live, &name)?;
    let merged = old.map_or_else(|| record.clone(), |old| merge(old, &record));
    if says_as_much(&record, &merged) {
        owed.remove(key)?;
    }
    live.insert(key, codec::encode(&merged).as_slice())?;
    Ok(())
}

/// Both, as the newer: a log may tell again what is older.
pub(super) fn merge(old: Revocation, record: &Revocation) -> Revocation {
    if old.id > record.id { record.followed_by(old) } else { old.followed_by(record.clone()) }
}

/// The entry of that name.
pub(super) fn find(
    live: &impl ReadableTable<Key, &'static [u8]>,
    name: &Name,
) -> Result<Option<Revocation>, Error> {
    let Some(value) = live.get(key(name))? else { return Ok(None) };
    let entry = codec::decode(name.clone(), value.value());
    entry.map(Some).ok_or_else(|| Error::Corrupted("an entry is not one".to_owned()))
}

/// Whether one entry covers everything that the other covers.
pub(super) fn says_as_much(one: &Revocation, other: &Revocation) -> bool {
    let far = match (one.issued_before, other.issued_before) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(one), Some(other)) => one >= other,
    };
    far && one.expires_at >= other.expires_at && one.token == other.token
}

pub(super) fn key(name: &Name) -> (&str, &str, &str) {
    (&name.issuer, &name.claim, &name.value)
}

fn entry(key: (&str, &str, &str), bytes: &[u8]) -> Result<Revocation, FeedError> {
    let (issuer, claim, value): (Arc<str>, Arc<str>, Arc<str>) =
        (key.0.into(), key.1.into(), key.2.into());
    codec::decode(Name { issuer, claim, value }, bytes).ok_or_else(unsound)
}

pub(super) fn unwritable(error: impl Into<Error>) -> FeedError {
    FeedError::Refused(format!("the local copy: {}", error.into()))
}

fn unsound() -> FeedError {
    FeedError::Corrupt("the local copy holds what is no entry".to_owned())
}
