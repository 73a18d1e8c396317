//! Files of the first format, which had a row for each entry and each record.

use redb::{Database, Error, ReadableTable, TableDefinition};

use super::block::{Packer, Unsound};
use super::schema::{BATCHES, ENTRIES, FLOOR, FOLDED, FORMAT, FORMAT_VERSION, HEAD, LEAVES, META};
use super::{entry, pending};

/// Live entries by (issuer, claim, value), as `codec` writes them.
const LIVE: TableDefinition<'_, (&str, &str, &str), &[u8]> = TableDefinition::new("live");
/// Records by their sequence, in the wire format.
const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");

/// The format that is read here.
pub(super) const BEFORE: u64 = 1;

/// Bytes in a leaf, so that folding finds them as its own.
const LEAF: usize = 48 * 1024;

/// Writes the file anew in one transaction. The log is not kept: whoever reads it has no cursor yet, for
/// the store is being opened.
pub(super) fn migrate(database: &Database) -> Result<(), Error> {
    let mut write = database.begin_write()?;
    write.set_two_phase_commit(true);
    {
        let entries = {
            let live = write.open_table(LIVE)?;
            let mut leaves = write.open_table(LEAVES)?;
            copy(&live, |key, packed| {
                leaves.insert(key, packed)?;
                Ok(())
            })?
        };
        write.open_table(BATCHES)?;
        let mut meta = write.open_table(META)?;
        let head = pending::number(&meta, HEAD)?;
        for (key, number) in
            [(FORMAT, FORMAT_VERSION), (FLOOR, head), (FOLDED, head), (ENTRIES, entries)]
        {
            meta.insert(key, number.to_le_bytes().as_slice())?;
        }
    }
    write.delete_table(LIVE)?;
    write.delete_table(LOG)?;
    write.commit()?;
    Ok(())
}

fn copy(
    live: &impl ReadableTable<(&'static str, &'static str, &'static str), &'static [u8]>,
    mut write: impl FnMut(&[u8], &[u8]) -> Result<(), Error>,
) -> Result<u64, Error> {
    let (mut entries, mut bytes) = (0, 0);
    let (mut first, mut packer) = (Vec::new(), Packer::with_capacity(LEAF));
    let mut body = Vec::new();
    for row in live.iter()? {
        let (name, value) = row?;
        let (issuer, claim, value_text) = name.value();
        let key = entry::key(issuer, claim, value_text);
        entry::write_old_body(&mut body, value.value());
        if !packer.push(&key, &body) {
            return Err(Unsound.into());
        }
        (entries, bytes) = (entries + 1, bytes + body.len() + value_text.len() + 8);
        if first.is_empty() {
            first = key;
        }
        if bytes >= LEAF {
            let full = std::mem::replace(&mut packer, Packer::with_capacity(LEAF));
            write(&std::mem::take(&mut first), &full.finish())?;
            bytes = 0;
        }
    }
    if packer.count() > 0 {
        write(&first, &packer.finish())?;
    }
    Ok(entries)
}
