//! PostgreSQL as a store: what the server folds is what a node would.

use std::collections::BTreeMap;
use std::fmt::Write;

use portcullis::clock::UnixTime;
use portcullis::feed::postgres::PostgresStore;
use portcullis::revocation::{Filter, Name, Op, Revocation, RevocationFeed, RevocationLog, wire};
use uuid::Uuid;

use crate::support::records::load;
use crate::support::servers::postgres::{Database, PostgresServer};

/// One row as an application may insert it, a record or not.
#[derive(Clone, Debug)]
struct Row {
    v: i32,
    op: &'static str,
    record: Revocation,
}

/// Texts that a careless conversion would spoil, empty and long ones.
struct Texts {
    values: Vec<String>,
    claims: Vec<&'static str>,
}

struct Random(u64);

type Entries = BTreeMap<Name, Revocation>;

// === impl Random ===

impl Random {
    /// A number below `end` (xorshift).
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).expect("below a usize")
    }

    fn seconds(&mut self, end: usize) -> UnixTime {
        UnixTime::from_secs(self.below(end) as u64)
    }

    fn text(&mut self, most: usize) -> Option<std::sync::Arc<str>> {
        let parts = ["", "x", "é", "\u{1}", "\"", "\\", "\n", "\u{7f}", "漢"];
        let part = parts[self.below(parts.len())];
        let times = self.below(most / part.len().max(1) + 1);
        (self.below(3) > 0).then(|| part.repeat(times).into())
    }

    fn row(&mut self, texts: &Texts) -> Row {
        let op = ["revoke", "revoke", "revoke", "reinstate", "enlist"][self.below(5)];
        let name = Name {
            issuer: ["i", "https://login.example/ü"][self.below(2)].into(),
            claim: texts.claims[self.below(texts.claims.len())].into(),
            value: texts.values[self.below(texts.values.len())].as_str().into(),
        };
        let record = Revocation {
            token: None,
            id: Uuid::new_v4(),
            op: if op == "reinstate" { Op::Reinstate } else { Op::Revoke },
            name,
            issued_before: (self.below(4) > 0).then(|| self.seconds(50)),
            expires_at: self.seconds(100),
            at: self.seconds(100),
            actor: self.text(256),
            reason: self.text(1024),
        };
        Row { v: 1 + i32::from(self.below(12) == 0), op, record }
    }
}

// === impl Row ===

impl Row {
    fn insert(&self, sql: &mut String) {
        let Revocation { id, name, issued_before, expires_at, at, actor, reason, .. } =
            &self.record;
        let text = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let maybe =
            |given: &Option<std::sync::Arc<str>>| given.as_deref().map_or("NULL".to_owned(), text);
        let before = issued_before.map_or("NULL".to_owned(), |time| time.as_secs().to_string());
        let separator = if sql.is_empty() { "" } else { ", " };
        write!(
            sql,
            "{separator}({}, '{id}', '{}', {}, {}, {}, {before}, {}, {}, {}, {})",
            self.v,
            self.op,
            text(&name.issuer),
            text(&name.claim),
            text(&name.value),
            expires_at.as_secs(),
            at.as_secs(),
            maybe(actor),
            maybe(reason),
        )
        .expect("a text");
    }

    /// The rules, one record at a time.
    fn apply(self, entries: &mut Entries) {
        let mut record = self.record;
        record.name = record.name.canonical();
        if self.v != 1 || self.op == "enlist" || wire::check(&record).is_err() {
            return;
        }
        let old = entries.remove(&record.name);
        match (record.op, old) {
            (Op::Revoke | Op::Register, Some(old)) => {
                drop(entries.insert(record.name.clone(), old.followed_by(record)));
            }
            (Op::Revoke | Op::Register, None) => drop(entries.insert(record.name.clone(), record)),
            (Op::Reinstate, _) => {}
        }
    }
}

async fn entries(store: &PostgresStore) -> Entries {
    let page = store.log().list(Filter::default(), None, 10_000).await.expect("a page");
    page.items.into_iter().map(|entry| (entry.name.clone(), entry)).collect()
}

/// The application's role may write what the door of the table lets through.
fn without_door(database: &Database) {
    database.sql("ALTER TABLE revocations DROP CONSTRAINT revocations_issuer_check, DROP CONSTRAINT revocations_claim_check, DROP CONSTRAINT revocations_value_check");
}

/// Folds at random places, and compares each time.
async fn hold_to_the_rules(database: &Database, seed: u64, texts: &Texts) {
    let store = database.store().await;
    load(&mut store.feed()).await;
    without_door(database);
    let client = database.client().await;
    let (mut random, mut want) = (Random(seed | 1), Entries::new());
    for fold in 0..60 {
        let rows: Vec<Row> = (0..random.below(120)).map(|_| random.row(texts)).collect();
        let mut values = String::new();
        rows.iter().for_each(|row| row.insert(&mut values));
        rows.into_iter().for_each(|row| row.apply(&mut want));
        if !values.is_empty() {
            let sql = format!(
                "INSERT INTO revocations (v, record_id, op, issuer, claim, value, issued_before, expires_at, at, actor, reason) VALUES {values}"
            );
            client.batch_execute(&sql).await.expect("inserted");
        }
        assert_eq!(entries(&store).await, want, "seed {seed}, fold {fold}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_folds_as_the_rules_say_whatever_is_inserted() {
    let long = ["\u{1}".repeat(2000), "\"".repeat(4096), "ß".repeat(2048), "v".repeat(4097)];
    let mut values: Vec<String> = long.into_iter().collect();
    values.extend(["", "a", "b", "c", "'", "\\", "\u{10ffff}", " "].map(str::to_owned));
    let claims =
        vec!["jti", "sub", "azp", "client_id", "j\nti", "c\u{85}", "ç", "", "\u{a0}", "\u{7f}"];
    let texts = Texts { values, claims };
    for seed in [1, 2, 3] {
        hold_to_the_rules(&PostgresServer::database(), seed * 7919, &texts).await;
    }
    // Few names, so that the same one comes again and again.
    let texts = Texts { values: vec!["a".to_owned(), "b".to_owned()], claims: vec!["sub"] };
    hold_to_the_rules(&PostgresServer::database(), 31, &texts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_in_another_encoding_folds_as_the_rules_say() {
    let values = ["a", "b", "é", "'", "\u{1}"].map(str::to_owned).to_vec();
    let texts = Texts { values, claims: vec!["jti", "azp", "client_id"] };
    let server = PostgresServer::database();
    let name = format!("{}latin", server.name);
    server
        .sql(&format!("CREATE DATABASE {name} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0"));
    hold_to_the_rules(&Database { name, ..server }, 5, &texts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_application_publishes_in_bulk_is_folded_at_once() {
    let database = PostgresServer::database();
    let store = database.store().await;
    load(&mut store.feed()).await;
    // Twice the same names, and more than one transaction folds.
    for round in 1..=2 {
        database.sql(&format!("INSERT INTO revocations (issuer, claim, value, issued_before, expires_at, at) SELECT 'i', 'sub', 'user-' || n, {round}, 100 + {round} + n, 1 FROM generate_series(1, 70000) AS n"));
        let checkpoint = store.feed().load().await.expect("a checkpoint");
        let live = checkpoint.live.collect().await.expect("all of it");
        assert_eq!(live.len(), 70_000);
        let is = |entry: &Revocation| {
            let n: u64 = entry.name.value["user-".len()..].parse().expect("a number");
            entry.expires_at == UnixTime::from_secs(100 + round + n)
                && entry.issued_before == Some(UnixTime::from_secs(round))
        };
        assert!(live.iter().all(is));
    }
}
