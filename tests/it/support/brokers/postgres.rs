//! PostgreSQL in a cluster of its own, which goes back to a copy of its disk.

use std::path::PathBuf;

use super::Broker;
use crate::support::servers::postgres::{Database, PostgresServer};

pub struct Postgres {
    server: PostgresServer,
    database: Database,
    backup: Option<PathBuf>,
}

impl Broker for Postgres {
    fn start() -> Self {
        let server = PostgresServer::start(&[]);
        let database = server.create();
        Self { server, database, backup: None }
    }

    fn table(&self) -> String {
        let url = self.database.url("postgres");
        format!("feed = \"postgres\"\npostgres = {{ url = \"{url}\" }}")
    }

    fn kill(&mut self) {
        self.server.kill();
    }

    fn again(&mut self) {
        self.server.up(&[]);
    }

    fn pause(&self) {
        self.server.signal_all("STOP");
    }

    fn resume(&self) {
        self.server.signal_all("CONT");
    }

    fn cut(&mut self) {
        self.database.terminate_backends();
    }

    fn remember(&mut self) {
        self.server.stop();
        self.backup = Some(self.server.back_up());
        self.server.up(&[]);
    }

    fn forget(&mut self) {
        self.server.stop();
        self.server.restore(self.backup.as_ref().expect("a backup"));
        self.server.up(&[]);
    }

    fn empty(&mut self) {
        self.database.sql("TRUNCATE revocations, revocations_live");
    }
}
