//! The PostgreSQL store: a table into which anyone with the right may `INSERT`.
//!
//! * The log is read in the order of its ids. Ids are drawn under the table's lock, so a row that
//!   comes late (another transaction was faster) is told from one that never comes (`writers`), and
//!   nothing is skipped. A long transaction that has not touched the table delays nothing.
//! * `NOTIFY` only wakes; what it wakes for is found by reading, and that happens anyway.
//! * The live entries are the log, folded in its order by whichever node is at hand (`fold`). A node
//!   starts from them; the newest records stay in the log for those who are a little behind.
//! * Every read checks that the record read last is still there: a server that was set back to an
//!   older state is found out, and then called another memory for all nodes.

use std::sync::{Arc, Mutex, PoisonError};

use crate::revocation::{Epoch, FeedError, PostgresConfig};

mod connect;
mod errors;
mod feed;
mod fold;
mod foreign;
mod list;
mod load;
mod log;
mod pump;
mod roster;
mod row;
mod schema;
mod table;
mod tls;
mod writer;
mod writers;

pub use feed::PostgresFeed;
pub(crate) use foreign::{Columns as ForeignColumns, ForeignRow, ForeignTable};
pub use log::PostgresLog;
pub use roster::PostgresRoster;

use connect::Connector;
use table::Table;

/// A store that is named, and connected to by whoever reads or writes.
#[derive(Debug)]
pub struct PostgresStore {
    shared: Arc<Shared>,
    log: PostgresLog,
}

/// What the readers and writers of one store have in common.
#[derive(Debug)]
struct Shared {
    connector: Connector,
    /// What was last seen.
    epoch: Mutex<Option<Epoch>>,
}

/// How many records of the log are kept when it is compacted. What a reader misses beyond that it
/// finds in the live entries.
const LOG_KEPT: i64 = 65_536;

// === impl PostgresStore ===

impl PostgresStore {
    /// Takes the store's address and reads its certificates. Does not wait for the server: whoever
    /// reads or writes first connects, and makes the tables when there are none.
    pub async fn open(config: &PostgresConfig) -> Result<Self, FeedError> {
        let connector = Connector::new(config)?;
        let shared = Arc::new(Shared { connector, epoch: Mutex::new(None) });
        let log = PostgresLog::new(Arc::clone(&shared));
        Ok(Self { shared, log })
    }

    /// A new reader, from the start.
    pub fn feed(&self) -> PostgresFeed {
        PostgresFeed::new(Arc::clone(&self.shared))
    }

    /// The writing side.
    pub fn log(&self) -> PostgresLog {
        self.log.clone()
    }

    /// Who follows the store.
    pub fn roster(&self) -> PostgresRoster {
        PostgresRoster::new(Arc::clone(&self.shared))
    }

    /// The identity of the store's memory, as it was when a reader last loaded; `None` before that.
    pub fn epoch(&self) -> Option<Epoch> {
        *self.shared.epoch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What in the server's settings endangers what it has acknowledged. Connects.
    pub async fn dangers(&self) -> Result<Vec<String>, FeedError> {
        let session = self.shared.connector().connect().await?;
        schema::dangers(&session, self.shared.table()).await
    }

    /// The statements that make the tables, for a table's owner who does not let the gateway make
    /// them; `None` when `table` is no plain name. `schema` is where it is if `table` does not say.
    pub fn ddl(table: &str, schema: &str) -> Option<String> {
        let table = Table::parse(table)?;
        Some(schema::ddl(&table, table.schema().unwrap_or(schema)))
    }
}

// === impl Shared ===

impl Shared {
    const fn connector(&self) -> &Connector {
        &self.connector
    }

    const fn table(&self) -> &Table {
        self.connector.table()
    }

    /// Keeps the epoch; whether it is the first.
    fn see(&self, epoch: Epoch) -> bool {
        self.epoch.lock().unwrap_or_else(PoisonError::into_inner).replace(epoch).is_none()
    }
}
