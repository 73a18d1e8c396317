//! The file's tables.

use redb::TableDefinition;

/// What the file is: [`FORMAT`], [`EPOCH`], [`HEAD`], [`FLOOR`].
pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

/// Live entries: (issuer, claim, value) to the merged record in binary (`codec`).
pub(super) const LIVE: TableDefinition<'_, (&str, &str, &str), &[u8]> =
    TableDefinition::new("live");

/// The newest records by sequence, in the wire format.
pub(super) const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");

/// The version of this layout.
pub(super) const FORMAT: &str = "format";
pub(super) const FORMAT_VERSION: u64 = 1;
/// The identity of this file's memory, sixteen bytes.
pub(super) const EPOCH: &str = "epoch";
/// The sequence of the last record.
pub(super) const HEAD: &str = "head";
/// The sequence up to which the log was cut off.
pub(super) const FLOOR: &str = "floor";

/// How many records of the log are kept when it is compacted. What a reader misses beyond that it
/// finds in the live entries.
pub(super) const LOG_KEPT: u64 = 65_536;
