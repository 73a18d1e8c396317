//! Who follows the table: a small table of announcements, and `NOTIFY` between the nodes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;
use uuid::Uuid;

use crate::revocation::{Audience, Ear, FeedError, LiveNode, NodeRoster, Presence};

use super::Shared;
use super::connect::{Session, Values};
use super::errors::{failed, no_answer};
use super::fold::turn;
use super::schema::NODES;
use super::table::Table;

/// The way to the other nodes; cheap to clone, and one connection for all of it.
#[derive(Clone, Debug)]
pub struct PostgresRoster {
    shared: Arc<Shared>,
    session: Arc<Mutex<Option<Arc<Session>>>>,
}

/// A node that is there already; a crash of the server that loses this loses a second of its time.
const RENEW: &str = "UPDATE {nodes} SET said = $2, at = clock_timestamp(), \
    ends = clock_timestamp() + $3::float8 * interval '1 millisecond' \
    WHERE id = $1 AND clock_timestamp() < ends RETURNING 1";
/// A node that is new counts once this is acknowledged: then it is on disk.
const ANNOUNCE: &str = "WITH synced AS MATERIALIZED (SELECT set_config('synchronous_commit', 'on', true) AS word) \
    INSERT INTO {nodes} (id, said, at, ends) SELECT $1::uuid, $2::text, clock_timestamp(), \
    clock_timestamp() + $3::float8 * interval '1 millisecond' FROM synced WHERE word = 'on' \
    ON CONFLICT (id) DO UPDATE SET said = excluded.said, at = excluded.at, ends = excluded.ends";
/// A server that takes longer is not asked on this connection again.
const ANSWER: Duration = Duration::from_secs(3);

// === impl PostgresRoster ===

impl PostgresRoster {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, session: Arc::default() }
    }

    fn table(&self) -> &Table {
        self.shared.table()
    }

    /// A connection, and the table. What is said again here need not be on disk when it is acknowledged.
    async fn connect(
        &self,
        heard: Option<mpsc::Sender<Vec<u8>>>,
    ) -> Result<Arc<Session>, FeedError> {
        let session = self.shared.connector().connect_and_hear(heard).await?;
        session.run("SET synchronous_commit = off").await?;
        let table = self.table().nodes();
        let sql = "SELECT relpersistence = 'p' FROM pg_class WHERE oid = to_regclass($1)";
        let known = session.rows(sql, &[&table]).await?;
        let logged = known.first().map(|row| row.try_get::<_, bool>(0));
        match logged.transpose().map_err(|error| failed(&error))? {
            Some(true) => {}
            None => self.set_up(&session, NODES).await?,
            Some(false) => {
                // Of an earlier version; its owner can.
                if let Err(error) = self.set_up(&session, "ALTER TABLE {nodes} SET LOGGED").await {
                    tracing::warn!(%error, table, "is not logged: waiting for all nodes may miss one after a crash of the server");
                }
            }
        }
        let gone = "DELETE FROM {nodes} WHERE ends < clock_timestamp() - interval '1 hour'";
        session.execute(&self.table().sql(gone), &[]).await?;
        Ok(Arc::new(session))
    }

    /// Nodes that start together take turns.
    async fn set_up(&self, session: &Session, sql: &str) -> Result<(), FeedError> {
        let made = session.transaction("BEGIN", async {
            turn(session, self.table()).await?;
            session.run("SET LOCAL client_min_messages = error").await?;
            session.run(&self.table().sql(sql)).await
        });
        made.await
    }

    async fn session(&self) -> Result<Arc<Session>, FeedError> {
        let mut kept = self.session.lock().await;
        if let Some(session) = kept.as_ref().filter(|session| !session.is_closed()) {
            return Ok(Arc::clone(session));
        }
        let session =
            timeout(ANSWER, self.connect(None)).await.map_err(|_elapsed| no_answer())??;
        Ok(Arc::clone(kept.insert(session)))
    }

    async fn ask(
        &self,
        sql: &str,
        values: Values<'_>,
    ) -> Result<Vec<tokio_postgres::Row>, FeedError> {
        let session = self.session().await?;
        let answered = timeout(ANSWER, session.rows(&self.table().sql(sql), values)).await;
        let answer = answered.unwrap_or_else(|_elapsed| Err(no_answer()));
        // A table that is gone is made by the next connection.
        if matches!(answer, Err(FeedError::Unreachable(_) | FeedError::Corrupt(_))) {
            session.end();
            *self.session.lock().await = None;
        }
        answer
    }
}

impl NodeRoster for PostgresRoster {
    async fn announce(&self, presence: &Presence) -> Result<(), FeedError> {
        let lasts = presence.duration().as_secs_f64() * 1000.0;
        let (id, text) = (presence.node.id, presence.to_text());
        if self.ask(RENEW, &[&id, &text, &lasts]).await?.is_empty() {
            self.ask(ANNOUNCE, &[&id, &text, &lasts]).await?;
        }
        Ok(())
    }

    async fn withdraw(&self, id: Uuid) -> Result<(), FeedError> {
        self.ask("DELETE FROM {nodes} WHERE id = $1", &[&id]).await.map(drop)
    }

    async fn nodes(&self) -> Result<Vec<LiveNode>, FeedError> {
        let sql = "SELECT said, extract(epoch FROM clock_timestamp() - at)::float8 FROM {nodes} \
                   WHERE clock_timestamp() < ends";
        let mut live = Vec::new();
        for row in self.ask(sql, &[]).await? {
            let said: String = row.try_get(0).map_err(|error| failed(&error))?;
            let age: f64 = row.try_get(1).map_err(|error| failed(&error))?;
            let seen = Duration::try_from_secs_f64(age).unwrap_or_default();
            live.extend(Presence::from_text(&said).map(|presence| LiveNode { presence, seen }));
        }
        Ok(live)
    }

    async fn tell(&self, to: Audience, message: Vec<u8>) -> Result<(), FeedError> {
        let text = String::from_utf8(message)
            .map_err(|_| FeedError::Refused("a message that is no text".to_owned()))?;
        self.ask("SELECT pg_notify($1, $2)", &[&self.table().ears(to), &text]).await.map(drop)
    }

    async fn listen(&self, id: Uuid) -> Result<Ear, FeedError> {
        let (sender, ear) = Ear::channel();
        let connecting = timeout(ANSWER, self.connect(Some(sender))).await;
        let session = connecting.map_err(|_elapsed| no_answer())??;
        for to in [Audience::All, Audience::Node(id)] {
            session.run(&format!("LISTEN {}", self.table().ears(to))).await?;
        }
        *self.session.lock().await = Some(session);
        Ok(ear)
    }
}
