//! A store's checkpoint into the copy: what the store has lost, and we know, stays and is owed to it.
//!
//! First everything is taken from the store, then written in the order of the names beside what the copy
//! holds. Where the copy has nothing to add, nobody waits for the writing.

use std::io;

use redb::{Error, ReadableTable, Table};

use super::Place;
use super::file::{CopyFile, Entries, Key, find, key, merge, says_as_much, unwritable};
use super::spool::{Row, Sorted, Spool};
use super::writer::Written;
use crate::feed::embedded::codec;
use crate::revocation::{FeedError, LiveSender, Name, Revocation, Standing};

/// A checkpoint that is to be written, a step at a time. Dropped before the last step it has changed
/// nothing: the copy holds what it held before.
pub(super) struct Joining {
    theirs: Sorted,
    standing: Standing,
    place: Place,
    /// Who waits for it joined; `None`: it has gone there as it came.
    sender: Option<LiveSender>,
    stage: Stage,
}

/// What went wrong, and on which side.
#[derive(Debug)]
pub(super) enum Failure {
    /// The store's checkpoint broke off.
    Store(FeedError),
    /// The copy can't be written.
    Copy(FeedError),
}

enum Stage {
    Begin,
    Theirs,
    /// What the store does not have at all, after this name.
    Rest(Option<Name>),
}

/// Entries in one transaction.
const BATCH: usize = 4096;
/// The same while nobody waits: what is told meanwhile is put aside in between.
const BEHIND: usize = 16 * 1024;

// === impl Joining ===

impl Joining {
    /// Takes the checkpoint. With `through`, gives each batch to that as it is.
    pub(super) fn take(
        standing: Standing,
        place: Place,
        mut spool: Spool,
        mut next: impl FnMut() -> Result<Vec<Revocation>, FeedError>,
        through: Option<&LiveSender>,
    ) -> Result<Self, Failure> {
        loop {
            let batch = next().map_err(Failure::Store)?;
            if batch.is_empty() {
                break;
            }
            for entry in &batch {
                spool.push(entry).map_err(Failure::aside)?;
            }
            if through.is_some_and(|through| !through.blocking_send(batch)) {
                let gone = FeedError::Unreachable("nobody wants the checkpoint".into());
                return Err(Failure::Store(gone));
            }
        }
        let theirs = spool.sorted().map_err(Failure::aside)?;
        Ok(Self { theirs, standing, place, sender: None, stage: Stage::Begin })
    }

    /// Gives what is written to that, joined; and at the end, how it went.
    pub(super) fn telling(self, sender: LiveSender) -> Self {
        Self { sender: Some(sender), ..self }
    }

    /// The next part; false when the copy holds it all.
    pub(super) fn step(&mut self, file: &CopyFile) -> Result<bool, FeedError> {
        match &self.stage {
            Stage::Begin => {
                file.begin_other()?;
                self.stage = Stage::Theirs;
            }
            Stage::Theirs => {
                let most = if self.sender.is_some() { BATCH } else { BEHIND };
                let rows = self.theirs.next(most).map_err(|error| unwritable(Error::Io(error)))?;
                if rows.is_empty() {
                    self.stage = Stage::Rest(None);
                } else {
                    self.write(file, &rows)?;
                }
            }
            Stage::Rest(after) => {
                let (names, missing) = rest(file, self.standing, after.as_ref())?;
                self.tell(missing);
                let Some(last) = names.into_iter().next_back() else {
                    file.switch(&self.place)?;
                    return Ok(false);
                };
                self.stage = Stage::Rest(Some(last));
            }
        }
        Ok(true)
    }

    /// Tells who waits how it went.
    pub(super) fn end(self, outcome: Result<(), FeedError>) {
        if let Some(sender) = self.sender {
            sender.end(outcome);
        }
    }

    fn write(&self, file: &CopyFile, rows: &[Row]) -> Result<(), FeedError> {
        let standing = self.standing;
        let joins = self.sender.is_some();
        let joined = file.with_both(|old, new, owed| {
            let mut joined = Vec::new();
            for row in rows {
                if joins {
                    joined.push(join(old, new, owed, standing, row.entry()?)?);
                } else {
                    new.insert(row.key()?, row.body())?;
                }
            }
            Ok(joined)
        })?;
        self.tell(joined);
        Ok(())
    }

    fn tell(&self, joined: Vec<Revocation>) {
        if let Some(sender) = &self.sender {
            // What nobody wants any more is kept all the same.
            sender.blocking_send(joined);
        }
    }
}

// === impl Failure ===

impl Failure {
    /// A copy that can't be written is not asked again.
    pub(super) fn tell(self, written: &Written) -> FeedError {
        match self {
            Self::Store(error) => error,
            Self::Copy(error) => {
                written.give_up(&error);
                error
            }
        }
    }

    /// There was no room for what has to wait.
    fn aside(error: io::Error) -> Self {
        Self::Copy(unwritable(Error::Io(error)))
    }
}

/// One entry of the store's, with what we know of its name.
fn join(
    old: &Entries<'_>,
    new: &mut Entries<'_>,
    owed: &mut Table<'_, Key, ()>,
    standing: Standing,
    theirs: Revocation,
) -> Result<Revocation, Error> {
    let name = theirs.name.clone();
    let ours = match standing {
        Standing::First => None,
        Standing::Lost => find(old, &name)?,
        Standing::Ahead if owed.get(key(&name))?.is_some() => find(old, &name)?,
        Standing::Ahead => None,
    };
    let merged = ours.map_or_else(|| theirs.clone(), |ours| merge(ours, &theirs));
    if says_as_much(&theirs, &merged) {
        owed.remove(key(&name))?;
    } else {
        owed.insert(key(&name), ())?;
    }
    put(new, &merged)?;
    Ok(merged)
}

/// What the store does not have at all: after a loss all that we know, else what it still lacks.
fn rest(
    file: &CopyFile,
    standing: Standing,
    after: Option<&Name>,
) -> Result<(Vec<Name>, Vec<Revocation>), FeedError> {
    file.with_both(|old, new, owed| {
        let names = match standing {
            Standing::First => Vec::new(),
            Standing::Lost => names_after(old, after)?,
            Standing::Ahead => names_after(owed, after)?,
        };
        let mut missing = Vec::new();
        for name in &names {
            if new.get(key(name))?.is_some() {
                continue;
            }
            match find(old, name)? {
                Some(ours) => {
                    put(new, &ours)?;
                    owed.insert(key(name), ())?;
                    missing.push(ours);
                }
                None => drop(owed.remove(key(name))?),
            }
        }
        Ok((names, missing))
    })
}

fn names_after<V: redb::Value + 'static>(
    table: &impl ReadableTable<Key, V>,
    after: Option<&Name>,
) -> Result<Vec<Name>, Error> {
    use std::ops::Bound;
    let start = after.map_or(Bound::Unbounded, |name| Bound::Excluded(key(name)));
    let mut names = Vec::new();
    for row in table.range::<(&str, &str, &str)>((start, Bound::Unbounded))?.take(BATCH) {
        let (key, _) = row?;
        let (issuer, claim, value) = key.value();
        names.push(Name { issuer: issuer.into(), claim: claim.into(), value: value.into() });
    }
    Ok(names)
}

fn put(table: &mut Entries<'_>, entry: &Revocation) -> Result<(), Error> {
    let name = entry.name.clone().canonical();
    table.insert(key(&name), codec::encode(entry).as_slice())?;
    Ok(())
}
