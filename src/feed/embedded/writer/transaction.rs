//! One write transaction for all that waits: the records become a batch of the log.

use redb::{Database, Error};

use crate::feed::embedded::block::{Packer, Unpacker, Unsound};
use crate::feed::embedded::pending::number;
use crate::feed::embedded::schema::{BATCHES, FLOOR, HEAD, META, ROW};

/// Does all of them in one synced commit, or none; answers with the sequence of the last record.
///
/// In two phases: with one, redb can't tell a commit that was torn from one that was damaged later,
/// and would go back behind it without a word.
pub(super) fn commit(database: &Database, head: u64, packed: &[&[u8]]) -> Result<u64, Error> {
    let before = head;
    let mut head = head;
    let mut write = database.begin_write()?;
    write.set_two_phase_commit(true);
    {
        let mut batches = write.open_table(BATCHES)?;
        let mut rest = packed;
        while !rest.is_empty() {
            let (row, after) = rest.split_at(fit(rest));
            rest = after;
            let joined;
            let row = match row {
                [one] => *one,
                several => {
                    joined = join(several)?;
                    &joined
                }
            };
            let count = Unpacker::new(row)?.left();
            if count > 0 {
                head += u64::from(count);
                batches.insert(head, row)?;
            }
        }
        write.open_table(META)?.insert(HEAD, head.to_le_bytes().as_slice())?;
    }
    if head == before {
        write.abort()?;
    } else {
        write.commit()?;
    }
    Ok(head)
}

/// How many of them go into the first row: as many as have room in it, and one at least.
fn fit(packed: &[&[u8]]) -> usize {
    let mut room = ROW;
    let fitting = packed.iter().take_while(|one| {
        let fits = one.len() <= room;
        room = room.saturating_sub(one.len());
        fits
    });
    fitting.count().max(1)
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

fn join(several: &[&[u8]]) -> Result<Vec<u8>, Unsound> {
    let mut packer = Packer::with_capacity(several.iter().map(|packed| packed.len()).sum());
    for packed in several {
        let mut unpacker = Unpacker::new(packed)?;
        while let Some(body) = unpacker.next()? {
            if !packer.push(unpacker.key(), body) {
                return Err(Unsound);
            }
        }
    }
    Ok(packer.finish())
}
