//! The live entries as one snapshot of the file has them: the leaves, joined with what they lack.

use std::ops::Bound;

use redb::{Error, ReadTransaction, ReadableTable};

use crate::revocation::{FeedError, Revocation};

use super::entry::Texts;
use super::pending::{Folded, Pending};
use super::schema::{BATCHES, LEAVES, META};
use super::shared::unreadable;

/// Visits the entries from `start` on whose keys are wanted, in the order of their names, until `visit`
/// says stop; a damaged one is an error.
pub(super) fn visit_live(
    read: &ReadTransaction,
    start: &Bound<Vec<u8>>,
    wanted: impl Fn(&[u8]) -> bool,
    mut visit: impl FnMut(Revocation) -> bool,
) -> Result<(), FeedError> {
    let wanted = |key: &[u8]| is_after(start, key) && wanted(key);
    let mut texts = Texts::default();
    let mut take =
        |key: &[u8], body: &[u8]| Ok::<_, Error>(!wanted(key) || visit(texts.read(key, body)?));
    join(read, start, &wanted, &mut take).map_err(unreadable)
}

fn join(
    read: &ReadTransaction,
    start: &Bound<Vec<u8>>,
    wanted: &impl Fn(&[u8]) -> bool,
    take: &mut impl FnMut(&[u8], &[u8]) -> Result<bool, Error>,
) -> Result<(), Error> {
    let folded = Folded::read(&read.open_table(META)?)?;
    let pending = Pending::collect(&read.open_table(BATCHES)?, &folded, u64::MAX, wanted)?;
    let leaves = read.open_table(LEAVES)?;
    let mut at = 0;
    for row in leaves.range::<&[u8]>((
        first_leaf(&leaves, start)?.as_ref().map(Vec::as_slice),
        Bound::Unbounded,
    ))? {
        match pending.join(at..pending.len(), row?.1.value(), take)? {
            Some(next) => at = next,
            None => return Ok(()),
        }
    }
    pending.alone(at..pending.len(), take)?;
    Ok(())
}

/// Where the leaf begins in whose stretch the start is.
fn first_leaf(
    leaves: &impl ReadableTable<&'static [u8], &'static [u8]>,
    start: &Bound<Vec<u8>>,
) -> Result<Bound<Vec<u8>>, Error> {
    let (Bound::Included(key) | Bound::Excluded(key)) = start else { return Ok(Bound::Unbounded) };
    let row = leaves.range::<&[u8]>(..=key.as_slice())?.next_back().transpose()?;
    Ok(row.map_or(Bound::Unbounded, |(key, _)| Bound::Included(key.value().to_vec())))
}

fn is_after(start: &Bound<Vec<u8>>, key: &[u8]) -> bool {
    match start {
        Bound::Unbounded => true,
        Bound::Included(start) => key >= &**start,
        Bound::Excluded(start) => key > &**start,
    }
}
