//! PostgreSQL as a store: who may do what to the table, and what others write into it.

use std::time::Duration;

use portcullis::clock::UnixTime;
use portcullis::feed::postgres::{PostgresFeed, PostgresStore};
use portcullis::revocation::{
    FeedError, FeedEvent, Filter, Name, Op, RevocationFeed, RevocationLog,
};
use tokio::time::timeout;

use crate::support::documents::code_blocks;
use crate::support::nodes::use_roster;
use crate::support::python;
use crate::support::records::{append_each, load, next_record, revoke};
use crate::support::servers::postgres::{Database, PostgresServer};

const DOCUMENT: &str = "docs/feeds/postgres.md";

/// The cursor of the next entry that is none.
async fn undecodable(feed: &mut PostgresFeed) -> String {
    let found = async {
        loop {
            match feed.next().await.expect("an event") {
                FeedEvent::Undecodable { at } => return at.to_string(),
                FeedEvent::Heartbeat { .. } => {}
                FeedEvent::Record { record, .. } => panic!("{record:?}"),
            }
        }
    };
    timeout(Duration::from_secs(10), found).await.expect("in time")
}

#[tokio::test]
async fn nodes_that_start_together_make_the_tables_once() {
    let database = PostgresServer::database();
    let nodes: Vec<_> = (0..8)
        .map(|_| {
            let database = database.clone();
            tokio::spawn(async move {
                let store = database.store().await;
                load(&mut store.feed()).await;
                store.epoch().expect("it loaded")
            })
        })
        .collect();
    let mut epochs = Vec::new();
    for node in nodes {
        epochs.push(node.await.expect("a node"));
    }
    epochs.dedup();
    assert_eq!(epochs.len(), 1);
}

#[tokio::test]
async fn python_revokes_with_the_documented_code() {
    let database = PostgresServer::database();
    let mut feed = database.store().await.feed();
    load(&mut feed).await;
    let code = &code_blocks(DOCUMENT, "python")[0];
    python::run(code, &[], &[("DATABASE_URL", &database.url("postgres"))]);
    let (record, _) = next_record(&mut feed).await;
    assert_eq!(&*record.name.issuer, "https://issuer.example");
    assert_eq!((&*record.name.claim, &*record.name.value), ("jti", "4f1c"));
    assert_eq!(record.reason.as_deref(), Some("logged out"));
    assert_eq!(record.actor.as_deref(), Some("postgres"), "the role that said it");
    assert_eq!(record.expires_at, UnixTime::from_secs(4_102_444_860));
    assert!(record.at > UnixTime::from_secs(1_700_000_000), "{:?}", record.at);
    let (record, _) = next_record(&mut feed).await;
    assert_eq!((&*record.name.claim, &*record.name.value), ("sub", "alice"));
    assert!(record.issued_before.is_some(), "a new login works");
}

#[tokio::test]
async fn python_registers_a_token_with_the_documented_code() {
    let database = PostgresServer::database();
    let store = database.store().await;
    let mut feed = store.feed();
    load(&mut feed).await;
    let code = &code_blocks(DOCUMENT, "python")[1];
    python::run(code, &[], &[("DATABASE_URL", &database.url("postgres"))]);
    let (record, _) = next_record(&mut feed).await;
    let name = Name::registered("https://issuer.example".into(), "4f1c".into());
    assert_eq!((record.op, &record.name), (Op::Register, &name));
    let token = record.token.as_deref().expect("details");
    assert_eq!(token.subject.as_deref(), Some("alice"));
    assert_eq!(token.claims, [("sid".into(), "s1".into())]);
    let filter = Filter { claim: Some(name.claim), ..Filter::default() };
    let page = store.log().list(filter, None, 10).await.expect("a page");
    assert_eq!(page.items, [record]);
    // What is no such object is skipped, and a revocation's own means nothing.
    let insert = |op: &str, value: &str, token: &str| {
        format!(
            "INSERT INTO revocations (op, issuer, claim, value, expires_at, token) VALUES ('{op}', 'i', 'jti', '{value}', 100, '{token}');"
        )
    };
    database.sql(&insert("register", "a", r#"{"subject": 7}"#));
    undecodable(&mut feed).await;
    database.sql(&insert("revoke", "b", "[7]"));
    let (record, _) = next_record(&mut feed).await;
    assert_eq!((record.op, record.token), (Op::Revoke, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_an_earlier_version_get_their_new_column() {
    let database = PostgresServer::database();
    append_each(&database.store().await.log(), &[revoke("before", 100)]).await;
    load(&mut database.store().await.feed()).await;
    database.sql("ALTER TABLE revocations DROP COLUMN token");
    database.sql("ALTER TABLE revocations_live DROP COLUMN token");
    let store = database.store().await;
    let (live, _) = load(&mut store.feed()).await;
    assert_eq!(live.len(), 1, "what was there stays");
    append_each(&store.log(), &[revoke("after", 100)]).await;
    assert_eq!(load(&mut store.feed()).await.0.len(), 2);
    let count = "SELECT count(*) FROM pg_attribute WHERE attname = 'token' AND attnum > 0";
    assert_eq!(database.sql(count).trim(), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_record_is_refused_at_the_door_or_skipped_with_its_cursor() {
    let database = PostgresServer::database();
    let mut feed = database.store().await.feed();
    load(&mut feed).await;
    let insert = |op: &str, issuer: &str, claim: &str, value: &str, expires: &str| {
        format!(
            "INSERT INTO revocations (op, issuer, claim, value, expires_at) VALUES ({op}, {issuer}, {claim}, {value}, {expires})"
        )
    };
    let at_the_door = [
        insert("'revoke'", "'i'", "NULL", "'v'", "100"),
        insert("'revoke'", "''", "'jti'", "'v'", "100"),
        insert("'revoke'", "'i'", "'jti'", "repeat('x', 4097)", "100"),
        insert("'revoke'", "'i'", "'jti'", "'v'", "-1"),
        insert("'revoke'", "'i'", "'jti'", "'v'", "NULL"),
    ];
    for sql in &at_the_door {
        database.psql("postgres", sql).expect_err(sql);
    }
    // Old and new versions, and tables that were made by hand.
    database.sql("ALTER TABLE revocations ALTER claim DROP NOT NULL, ALTER expires_at DROP NOT NULL, ALTER record_id DROP NOT NULL, DROP CONSTRAINT revocations_value_check, DROP CONSTRAINT revocations_expires_at_check, DROP CONSTRAINT revocations_issuer_check");
    let mut skipped = at_the_door.to_vec();
    skipped.push(insert("'enlist'", "'i'", "'jti'", "'v'", "100"));
    skipped.push(insert("'register'", "'i'", "'sub'", "'v'", "100"));
    skipped.push(insert("'revoke'", "'i'", "E'j\\nti'", "'v'", "100"));
    skipped.push("INSERT INTO revocations (v, issuer, claim, value, expires_at) VALUES (2, 'i', 'jti', 'v', 100)".to_owned());
    skipped.push("INSERT INTO revocations (record_id, issuer, claim, value, expires_at) VALUES (NULL, 'i', 'jti', 'v', 100)".to_owned());
    let mut last = String::new();
    for sql in &skipped {
        database.sql(sql);
        let at = undecodable(&mut feed).await;
        assert!(at > last, "{sql}: {at} after {last}");
        last = at;
    }
    database.sql(&insert("'revoke'", "'i'", "'azp'", "'good'", "100"));
    assert_eq!(&*next_record(&mut feed).await.0.name.claim, "client_id");
    let (live, upto) = load(&mut database.store().await.feed()).await;
    assert_eq!(live.len(), 1, "{live:?}");
    assert!(upto.as_str() > &*last);
}

#[tokio::test]
async fn a_role_that_may_not_make_tables_is_told_so_and_works_with_those_of_the_owner() {
    let database = PostgresServer::database();
    let (node, app) = (format!("node_{}", database.name), format!("app_{}", database.name));
    database.sql(&format!("CREATE ROLE {node} LOGIN; CREATE ROLE {app} LOGIN"));
    let store = PostgresStore::open(&database.config(&node)).await.expect("a store");
    let error = store.feed().load().await.expect_err("no right to make tables").to_string();
    assert!(error.contains("permission denied") && error.contains("docs/feeds"), "{error}");
    let error = use_roster(&store.roster()).await.expect_err("no right to make tables").to_string();
    assert!(error.contains("permission denied") && error.contains("docs/feeds"), "{error}");

    let [rights, tables] = &*code_blocks(DOCUMENT, "sql") else { panic!("two blocks") };
    let made = PostgresStore::ddl("revocations", "public").expect("a name");
    assert_eq!(made, format!("{tables}\n"));
    database.sql(tables);
    let rights = rights.replace("gateway", &node).replace("application", &app);
    database.sql(&rights);
    let mut feed = store.feed();
    load(&mut feed).await;
    append_each(&store.log(), &[revoke("a", 100)]).await;
    database.psql(&app, "INSERT INTO revocations (issuer, claim, value, expires_at) VALUES ('i', 'jti', 'b', 100)").expect("the application may publish");
    assert_eq!(&*next_record(&mut feed).await.0.name.value, "a");
    let (record, _) = next_record(&mut feed).await;
    assert_eq!((&*record.name.value, record.actor.as_deref()), ("b", Some(&*app)));
    assert_eq!(store.log().list(Filter::default(), None, 10).await.expect("a page").items.len(), 2);
    assert_eq!(store.log().compact(UnixTime::from_secs(101)).await.expect("compacted"), 2);
    use_roster(&store.roster()).await.expect("it may");

    let forbidden = [
        "SELECT * FROM revocations",
        "DELETE FROM revocations",
        "UPDATE revocations_meta SET folded = 0",
        "SELECT * FROM revocations_live",
        "SELECT * FROM revocations_nodes",
        "INSERT INTO revocations (id, issuer, claim, value, expires_at) VALUES (1, 'i', 'c', 'v', 1)",
    ];
    for sql in forbidden {
        let error = database.psql(&app, sql).expect_err(sql);
        assert!(error.contains("permission denied"), "{error}");
    }
}

#[tokio::test]
async fn a_table_of_nodes_that_is_gone_is_made_again() {
    let database = PostgresServer::database();
    let roster = database.store().await.roster();
    use_roster(&roster).await.expect("made");
    database.sql("DROP TABLE revocations_nodes");
    let again = async { while use_roster(&roster).await.is_err() {} };
    timeout(Duration::from_secs(10), again).await.expect("made again");
}

#[tokio::test]
async fn a_table_in_a_schema_of_its_own_works() {
    let database = PostgresServer::database();
    database.sql("CREATE SCHEMA auth");
    let mut config = database.config("postgres");
    config.table = "auth.gone".to_owned();
    let store = PostgresStore::open(&config).await.expect("a store");
    let mut feed = store.feed();
    load(&mut feed).await;
    database.sql(
        "INSERT INTO auth.gone (issuer, claim, value, expires_at) VALUES ('i', 'jti', 'a', 100)",
    );
    assert_eq!(&*next_record(&mut feed).await.0.name.value, "a");
    config.table = "no such".to_owned();
    let error = PostgresStore::open(&config).await.expect_err("no name");
    assert!(matches!(error, FeedError::Refused(_)), "{error}");
}

#[tokio::test]
async fn without_a_notification_the_log_is_read_within_a_second() {
    let database = PostgresServer::database();
    let mut feed = database.store().await.feed();
    load(&mut feed).await;
    database.sql("ALTER TABLE revocations DISABLE TRIGGER revocations_wake");
    for i in 0..3 {
        let sql = format!(
            "INSERT INTO revocations (issuer, claim, value, expires_at) VALUES ('i', 'jti', '{i}', 100)"
        );
        database.sql(&sql);
        let found = timeout(Duration::from_secs(1), next_record(&mut feed)).await;
        assert_eq!(*found.expect("within a second").0.name.value, i.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_endanger_what_was_acknowledged_are_named() {
    let database: Database = PostgresServer::database();
    let store = database.store().await;
    load(&mut store.feed()).await;
    // The tests' own cluster does not sync.
    assert_eq!(store.dangers().await.expect("an answer"), ["fsync is off"]);
    let name = &database.name;
    database.sql(&format!("ALTER DATABASE {name} SET synchronous_commit = off"));
    database.sql("ALTER TABLE revocations SET UNLOGGED");
    let dangers = store.dangers().await.expect("an answer").join("; ");
    assert!(dangers.contains("synchronous_commit") && dangers.contains("not logged"), "{dangers}");
}
