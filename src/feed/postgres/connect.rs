//! One connection: opened with limits on everything, and driven by a task of its own.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Config, Row, RowStream, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::revocation::{FeedError, PostgresConfig};

use super::errors::{failed, no_answer};
use super::table::Table;
use super::tls;

/// Where the store is, and what may be said about it.
#[derive(Clone)]
pub(super) struct Connector {
    config: Config,
    tls: MakeRustlsConnect,
    table: Table,
}

/// An open connection. What it was asked and did not answer ends with it.
#[derive(Debug)]
pub(super) struct Session {
    client: Client,
    wake: Arc<Notify>,
    /// By their text. There are few.
    statements: Mutex<HashMap<String, Statement>>,
    driver: AbortHandle,
    answer: Duration,
}

/// The values of a statement.
pub(super) type Values<'v> = &'v [&'v (dyn ToSql + Sync)];

/// How long a connection and its statements may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Until it is ready for work.
    connect: Duration,
    /// On the server: a statement ends there before we stop waiting for it, so that nothing happens
    /// behind us.
    statement: Duration,
    lock: Duration,
    /// Before the server is taken for dead.
    answer: Duration,
}

const USUAL: Limits = Limits {
    connect: Duration::from_secs(5),
    statement: Duration::from_secs(10),
    lock: Duration::from_secs(5),
    answer: Duration::from_secs(12),
};

/// Where somebody waits for the answer to a call.
pub(super) const SHORT: Limits = Limits {
    connect: Duration::from_secs(2),
    statement: Duration::from_secs(3),
    lock: Duration::from_secs(2),
    answer: Duration::from_secs(4),
};

/// Whoever has chosen a stronger `synchronous_commit` keeps it.
const SETTINGS: &str = "
    SET idle_in_transaction_session_timeout = '60s';
    SELECT set_config('synchronous_commit', 'on', false)
     WHERE current_setting('synchronous_commit') IN ('off', 'local')";

// === impl Connector ===

impl Connector {
    pub(super) fn new(settings: &PostgresConfig) -> Result<Self, FeedError> {
        let PostgresConfig { url, table, username, password, tls } = settings;
        let table = Table::parse(table).ok_or_else(|| {
            let rule = "is not a plain table name (lower-case letters, digits and _, 40 at most)";
            FeedError::Refused(format!("{table:?} {rule}"))
        })?;
        // The reason may repeat what stands in the URL, and a password stands there.
        let refused = || FeedError::Refused("the PostgreSQL URL is malformed".to_owned());
        let (url, said) = with_known_mode(url.expose())?;
        let mut config: Config = url.parse().map_err(|_secret| refused())?;
        if !said {
            config.ssl_mode(tls::default_mode(config.get_hosts()));
        }
        if config.get_application_name().is_none() {
            config.application_name("portcullis");
        }
        if let Some(username) = username {
            config.user(username);
        }
        if let Some(password) = password {
            config.password(password.expose());
        }
        config
            .keepalives(true)
            .keepalives_idle(Duration::from_secs(5))
            .keepalives_interval(Duration::from_secs(2))
            .keepalives_retries(3)
            .tcp_user_timeout(Duration::from_secs(10))
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        Ok(Self { config, tls: tls::connector(tls.as_ref())?, table })
    }

    pub(super) const fn table(&self) -> &Table {
        &self.table
    }

    /// A new connection, ready for work, within a few seconds.
    pub(super) async fn connect(&self) -> Result<Session, FeedError> {
        self.connect_with(USUAL, None).await
    }

    /// The same for calls whose answer somebody waits for.
    pub(super) async fn connect_in_haste(&self) -> Result<Session, FeedError> {
        self.connect_with(SHORT, None).await
    }

    /// The same; what others notify goes to `heard`, which is dropped with the connection.
    pub(super) async fn connect_and_hear(
        &self,
        heard: Option<mpsc::Sender<Vec<u8>>>,
    ) -> Result<Session, FeedError> {
        self.connect_with(USUAL, heard).await
    }

    async fn connect_with(
        &self,
        limits: Limits,
        heard: Option<mpsc::Sender<Vec<u8>>>,
    ) -> Result<Session, FeedError> {
        let mut config = self.config.clone();
        // The first of several hosts that is silent leaves time for the others.
        let hosts = u32::try_from(config.get_hosts().len().max(1)).unwrap_or(1);
        config.connect_timeout(limits.connect / hosts);
        let opened = timeout(limits.connect, config.connect(self.tls.clone())).await;
        let (client, mut connection) =
            opened.map_err(|_elapsed| no_answer())?.map_err(|error| failed(&error))?;
        let wake = Arc::new(Notify::new());
        let woken = Arc::clone(&wake);
        let driver = tokio::spawn(async move {
            // An error ends the connection as much as its end does: the client will say so.
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                let AsyncMessage::Notification(said) = message else { continue };
                woken.notify_one();
                if let Some(heard) = &heard {
                    // One that is not taken in time is lost, as every message may be.
                    drop(heard.try_send(said.payload().as_bytes().to_vec()));
                }
            }
            woken.notify_one();
        });
        let (statements, answer) = (Mutex::default(), limits.answer);
        let session = Session { client, wake, statements, driver: driver.abort_handle(), answer };
        session.run(&limits.settings()).await?;
        Ok(session)
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("table", &self.table).finish_non_exhaustive()
    }
}

// === impl Session ===

impl Session {
    /// The rows that a statement answers with.
    pub(super) async fn rows(&self, sql: &str, values: Values<'_>) -> Result<Vec<Row>, FeedError> {
        let statement = self.prepared(sql).await?;
        self.ask(self.client.query(&statement, values)).await
    }

    /// The one row that a statement answers with.
    pub(super) async fn row(&self, sql: &str, values: Values<'_>) -> Result<Row, FeedError> {
        let statement = self.prepared(sql).await?;
        self.ask(self.client.query_one(&statement, values)).await
    }

    /// How many rows a statement has changed.
    pub(super) async fn execute(&self, sql: &str, values: Values<'_>) -> Result<u64, FeedError> {
        let statement = self.prepared(sql).await?;
        self.ask(self.client.execute(&statement, values)).await
    }

    /// Statements without values or answers.
    pub(super) async fn run(&self, sql: &str) -> Result<(), FeedError> {
        self.ask(self.client.batch_execute(sql)).await
    }

    /// The rows, as the server sends them: more than fit into memory.
    pub(super) async fn stream(&self, sql: &str) -> Result<RowStream, FeedError> {
        let none: Values<'_> = &[];
        self.ask(self.client.query_raw(sql, none.iter().copied())).await
    }

    async fn prepared(&self, sql: &str) -> Result<Statement, FeedError> {
        let known =
            self.statements.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let statement = self.ask(self.client.prepare(sql)).await?;
        let mut statements = self.statements.lock().unwrap_or_else(PoisonError::into_inner);
        statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Gives the connection up: its server does not answer.
    pub(super) fn end(&self) {
        self.driver.abort();
    }

    /// Ends at the next notification, and when the connection ends.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// All of `work` or nothing. A future that is dropped in here leaves the transaction open: such a
    /// session must not be used again.
    pub(super) async fn transaction<T>(
        &self,
        begin: &str,
        work: impl Future<Output = Result<T, FeedError>>,
    ) -> Result<T, FeedError> {
        self.run(begin).await?;
        match work.await {
            Ok(done) => self.run("COMMIT").await.map(|()| done),
            Err(error) => {
                // The reason is what counts; a connection that is gone has rolled back by itself.
                drop(self.run("ROLLBACK").await);
                Err(error)
            }
        }
    }

    /// Waits for an answer, but not for ever.
    pub(super) async fn ask<T>(
        &self,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, FeedError> {
        match timeout(self.answer, answer).await {
            Ok(answer) => answer.map_err(|error| failed(&error)),
            Err(_elapsed) => {
                // The driver would wait for the answer for as long as the socket lives.
                self.driver.abort();
                Err(no_answer())
            }
        }
    }
}

// === impl Limits ===

impl Limits {
    fn settings(self) -> String {
        let (statement, lock) = (self.statement.as_millis(), self.lock.as_millis());
        format!("SET statement_timeout = {statement}; SET lock_timeout = {lock};{SETTINGS}")
    }
}

/// The client knows fewer modes than libpq; here every encrypted one verifies the server's name.
fn with_known_mode(url: &str) -> Result<(String, bool), FeedError> {
    let Some(at) = url.find("sslmode=") else { return Ok((url.to_owned(), false)) };
    let start = at + "sslmode=".len();
    let rest = &url[start..];
    let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(rest.len());
    let known = match &rest[..end] {
        "disable" => "disable",
        "prefer" => "prefer",
        "require" | "verify-ca" | "verify-full" => "require",
        _ => {
            let modes = "`sslmode` is none of disable, prefer, require, verify-ca, verify-full";
            return Err(FeedError::Refused(modes.to_owned()));
        }
    };
    Ok((format!("{}{known}{}", &url[..start], &rest[end..]), true))
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::SslMode;

    use super::*;
    use crate::revocation::StoreUrl;

    fn connector(url: &str) -> Result<Connector, FeedError> {
        Connector::new(&PostgresConfig {
            url: StoreUrl::new(url),
            table: "revocations".to_owned(),
            username: None,
            password: None,
            tls: None,
        })
    }

    fn mode(url: &str) -> Result<SslMode, FeedError> {
        Ok(connector(url)?.config.get_ssl_mode())
    }

    #[test]
    fn encryption_is_demanded_unless_everything_stays_here_or_it_is_switched_off() {
        let table = [
            ("postgres://u:p@db.example/x", SslMode::Require),
            ("postgres://u:p@db.example/x?sslmode=disable", SslMode::Disable),
            (
                "postgres://u:p@db.example/x?sslmode=verify-full&application_name=a",
                SslMode::Require,
            ),
            ("host=db.example user=u sslmode=verify-ca dbname=x", SslMode::Require),
            ("host=db.example user=u sslmode=prefer", SslMode::Prefer),
            ("postgres://u@localhost/x", SslMode::Prefer),
            ("postgres://u@127.0.0.1,db.example/x", SslMode::Require),
            ("postgres://u@[::1]/x?sslmode=require", SslMode::Require),
            ("host=/run/postgresql user=u", SslMode::Prefer),
            ("postgres:///x?host=/run/postgresql", SslMode::Prefer),
        ];
        for (url, want) in table {
            assert_eq!(mode(url).expect(url), want, "{url}");
        }
    }

    #[test]
    fn what_is_refused_does_not_show_the_password() {
        let table = [
            ("postgres://u:hunter2@db/x?sslmode=allow", "sslmode"),
            ("postgres://u:hunter2@db/x?nonsense=1", "malformed"),
            ("postgres://u:hunter2@db:port/x", "malformed"),
            ("hunter2", "malformed"),
        ];
        for (url, why) in table {
            let error = mode(url).expect_err(url).to_string();
            assert!(error.contains(why) && !error.contains("hunter2"), "{url}: {error}");
        }
        let connector = connector("postgres://u:hunter2@db/x").expect("a connector");
        assert!(!format!("{connector:?}").contains("hunter2"));
    }
}
