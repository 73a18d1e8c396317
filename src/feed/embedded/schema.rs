//! The file's tables.

use redb::TableDefinition;

/// What the file is: the rows named below.
pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

/// Live entries in the order of their names, some hundred to a leaf (`block`), under the leaf's first
/// key. They hold every record up to [`FOLDED`].
pub(super) const LEAVES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("leaves");

/// The newest records as they were committed (`block`), some hundred to a row, under the sequence of the last.
pub(super) const BATCHES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("batches");

/// Bytes in a row of the log, at most, unless its records came packed together already; a little below what redb
/// keeps in one page of a power of two.
pub(super) const ROW: usize = if cfg!(test) { 1000 } else { 65_000 };

/// The version of this layout.
pub(super) const FORMAT: &str = "format";
pub(super) const FORMAT_VERSION: u64 = 2;
/// The identity of this file's memory, sixteen bytes.
pub(super) const EPOCH: &str = "epoch";
/// The sequence of the last record.
pub(super) const HEAD: &str = "head";
/// The sequence up to which the log was cut off.
pub(super) const FLOOR: &str = "floor";
/// The sequence up to which the leaves hold everything.
pub(super) const FOLDED: &str = "folded";
/// A folding under way: the sequence that it goes up to, then the key below which it is done.
pub(super) const ROUND: &str = "round";
/// How many entries the leaves hold.
pub(super) const ENTRIES: &str = "entries";

/// How many records of the log are kept when it is trimmed. What a reader misses beyond that it
/// finds in the live entries.
pub(super) const LOG_KEPT: u64 = 65_536;
