//! A store's checkpoint into the copy: what the store has lost, and we know, stays and is owed to it.

use redb::{Error, ReadableTable};

use super::Place;
use super::file::{CopyFile, Entries, find, key, merge, says_as_much};
use super::writer::Written;
use crate::feed::embedded::codec;
use crate::revocation::{FeedError, LiveSender, Name, Revocation, Standing};

/// What went wrong, and on which side.
#[derive(Debug)]
pub(super) enum Failure {
    /// The store's checkpoint broke off.
    Store(FeedError),
    /// The copy can't be written.
    Copy(FeedError),
}

const BATCH: usize = 4096;

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
}

/// Writes the checkpoint beside what the copy holds, gives it on joined, and lets it hold at the end.
/// What breaks off before that has changed nothing.
pub(super) fn checkpoint(
    file: &CopyFile,
    standing: Standing,
    place: &Place,
    mut next: impl FnMut() -> Result<Vec<Revocation>, FeedError>,
    sender: &LiveSender,
) -> Result<(), Failure> {
    file.begin_other().map_err(Failure::Copy)?;
    loop {
        let batch = next().map_err(Failure::Store)?;
        if batch.is_empty() {
            break;
        }
        let joined = file.with_both(|old, new, owed| {
            let mut joined = Vec::with_capacity(batch.len());
            for theirs in batch {
                let name = theirs.name.clone().canonical();
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
                joined.push(merged);
            }
            Ok(joined)
        });
        sender.blocking_send(joined.map_err(Failure::Copy)?);
    }
    rest(file, standing, sender).map_err(Failure::Copy)?;
    file.switch(place).map_err(Failure::Copy)
}

/// What the store does not have at all: after a loss all that we know, else what it still lacks.
fn rest(file: &CopyFile, standing: Standing, sender: &LiveSender) -> Result<(), FeedError> {
    let mut after: Option<Name> = None;
    loop {
        let (names, missing) = file.with_both(|old, new, owed| {
            let names = match standing {
                Standing::First => Vec::new(),
                Standing::Lost => names_after(old, after.as_ref())?,
                Standing::Ahead => names_after(owed, after.as_ref())?,
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
        })?;
        sender.blocking_send(missing);
        match names.last() {
            Some(last) => after = Some(last.clone()),
            None => return Ok(()),
        }
    }
}

fn names_after<V: redb::Value + 'static>(
    table: &impl ReadableTable<super::file::Key, V>,
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
