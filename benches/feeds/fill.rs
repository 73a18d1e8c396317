//! Live entries put into a broker, as fast as it takes them.

use std::time::Duration;

use async_nats::jetstream;
use aws_lc_rs::digest::{SHA256, digest};
use futures_util::future::join_all;
use portcullis::clock::UnixTime;
use portcullis::feed::nats::NatsStore;
use portcullis::feed::postgres::PostgresStore;
use portcullis::feed::redis::RedisStore;
use portcullis::revocation::{
    NatsConfig, Op, PostgresConfig, RedisConfig, Revocation, RevocationFeed, RevocationLog,
    StoreUrl, wire,
};
use uuid::Uuid;

use super::broker::{Broker, Kind};
use super::support::{record, stranger};

/// Long after everything here.
const EXPIRY: u64 = 4_000_000_000;
const PART: usize = 5000;

/// Puts them there, folded as upkeep would.
pub(crate) async fn fill(broker: &Broker, entries: usize) {
    match broker.kind {
        Kind::Redis => redis(&broker.url, entries).await,
        Kind::Nats => nats(&broker.url, entries).await,
        Kind::Postgres => postgres(&broker.url, entries).await,
    }
}

fn revocation(number: usize) -> Revocation {
    let record = record(stranger(number as u64), Op::Revoke);
    Revocation { id: Uuid::now_v7(), expires_at: UnixTime::from_secs(EXPIRY), ..record }
}

async fn redis(url: &str, entries: usize) {
    let (url, stream) = (StoreUrl::new(url), "portcullis:revocations".to_owned());
    let config =
        RedisConfig { url, stream, replicas: 0, username: None, password: None, tls: None };
    let store = RedisStore::open(&config).await.expect("a store");
    let log = store.log();
    for start in (0..entries).step_by(PART) {
        let part = (start..entries.min(start + PART)).map(revocation).collect();
        log.append(part).await.expect("appended");
    }
    log.compact(UnixTime::EPOCH).await.expect("folded");
}

/// As the nodes write, without asking first whether there is an entry already.
async fn nats(url: &str, entries: usize) {
    let config = NatsConfig {
        url: StoreUrl::new(url),
        stream: "REVOCATIONS".to_owned(),
        replicas: 1,
        username: None,
        password: None,
        credentials: None,
        tls: None,
    };
    let store = NatsStore::open(&config).await.expect("a store");
    // The first who reads makes the stream.
    drop(store.feed().load().await.expect("a checkpoint"));
    let mut context = jetstream::new(async_nats::connect(url).await.expect("connected"));
    // It writes to disk now and then for longer than the usual five seconds.
    context.set_timeout(Duration::from_secs(60));
    for start in (0..entries).step_by(PART) {
        let mut sent = Vec::with_capacity(PART);
        for number in start..entries.min(start + PART) {
            let record = revocation(number);
            let name = &record.name;
            let text = [&*name.issuer, &*name.claim, &*name.value].join("\0");
            let hash = digest(&SHA256, text.as_bytes());
            let digits: String = hash.as_ref()[..20].iter().map(|b| format!("{b:02x}")).collect();
            let subject = format!("REVOCATIONS.entry.{digits}");
            let answer = context.publish(subject, wire::encode(&record).into()).await;
            sent.push(answer.expect("sent").into_future());
        }
        for answer in join_all(sent).await {
            answer.expect("acknowledged");
        }
    }
}

/// As an application would that publishes in bulk.
async fn postgres(url: &str, entries: usize) {
    let (url_of_store, table) = (StoreUrl::new(url), "revocations".to_owned());
    let config =
        PostgresConfig { url: url_of_store, table, username: None, password: None, tls: None };
    let store = PostgresStore::open(&config).await.expect("a store");
    drop(store.feed().load().await.expect("a checkpoint"));
    let client = connect(url).await;
    let issuer = super::support::ISSUER;
    let begun = std::time::Instant::now();
    let insert = format!(
        "INSERT INTO revocations (issuer, claim, value, expires_at) \
         SELECT '{issuer}', 'jti', gen_random_uuid(), {EXPIRY} FROM generate_series(1, {entries})"
    );
    client.batch_execute(&insert).await.expect("inserted");
    let inserted = begun.elapsed();
    let begun = std::time::Instant::now();
    store.log().compact(UnixTime::EPOCH).await.expect("folded");
    let folded = begun.elapsed();
    super::say(&format!(
        "  an INSERT … SELECT of {entries} rows took {inserted:.1?}, folding them (and trimming the log) {folded:.1?}"
    ));
    // What autovacuum does sooner or later.
    client.batch_execute("VACUUM ANALYZE").await.expect("vacuumed");
}

/// A client of the database that is no gateway.
pub(crate) async fn connect(url: &str) -> tokio_postgres::Client {
    let connected = tokio_postgres::connect(url, tokio_postgres::NoTls).await;
    let (client, connection) = connected.expect("connected");
    tokio::spawn(connection);
    client
}
