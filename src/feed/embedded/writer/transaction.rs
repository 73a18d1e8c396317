//! One write transaction for all that waits: the records become a batch of the log.

use redb::{Database, Error};

use crate::feed::embedded::block::{Packer, Unpacker, Unsound};
use crate::feed::embedded::pending::number;
use crate::feed::embedded::schema::{BATCHES, FLOOR, HEAD, META};

/// Does all of them in one synced commit, or none; answers with the sequence of the last record.
///
/// In two phases: with one, redb can't tell a commit that was torn from one that was damaged later,
/// and would go back behind it without a word.
pub(super) fn commit(database: &Database, head: u64, packed: &[&[u8]]) -> Result<u64, Error> {
    let joined;
    let batch = match packed {
        [one] => *one,
        several => {
            joined = join(several)?;
            &joined
        }
    };
    let count = Unpacker::new(batch)?.left();
    if count == 0 {
        return Ok(head);
    }
    let head = head + u64::from(count);
    let mut write = database.begin_write()?;
    write.set_two_phase_commit(true);
    {
        write.open_table(BATCHES)?.insert(head, batch)?;
        write.open_table(META)?.insert(HEAD, head.to_le_bytes().as_slice())?;
    }
    write.commit()?;
    Ok(head)
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
