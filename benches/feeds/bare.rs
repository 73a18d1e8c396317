//! The same data read by a client that does nothing with it, in a process of its own.

use std::pin::pin;
use std::time::Instant;

use async_nats::jetstream;
use async_nats::jetstream::consumer::pull::Config;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use futures_util::StreamExt;

use super::broker::{Broker, Kind};
use super::fill::connect;
use super::{memory, say};

const PAGE: usize = 4096;

/// Has another process read everything; it prints how long it took.
pub(crate) fn measure(broker: &Broker) {
    let program = std::env::current_exe().expect("this program");
    let arguments = ["bare", broker.kind.word(), &broker.url];
    let status = std::process::Command::new(program).args(arguments).status();
    assert!(status.is_ok_and(|status| status.success()), "the bare client");
}

/// Reads everything.
pub(crate) fn read(kind: Kind, url: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let begun = Instant::now();
    let (entries, bytes) = runtime.expect("a runtime").block_on(async {
        match kind {
            Kind::Redis => redis(url).await,
            Kind::Nats => nats(url).await,
            Kind::Postgres => postgres(url).await,
        }
    });
    let (took, peak) = (begun.elapsed(), memory(std::process::id(), "VmHWM"));
    let megabytes = bytes / 1_000_000;
    say(&format!(
        "  a bare client has read {entries} entries ({megabytes} MB) after {took:.2?}, with {peak} MB at most"
    ));
}

async fn redis(url: &str) -> (usize, usize) {
    let client = redis::Client::open(url).expect("a URL");
    let config = redis::AsyncConnectionConfig::new()
        .set_response_timeout(Some(std::time::Duration::from_secs(10)));
    let connection = client.get_multiplexed_async_connection_with_config(&config).await;
    let (mut connection, mut start) = (connection.expect("connected"), b"-".to_vec());
    let (mut entries, mut bytes) = (0, 0);
    loop {
        let mut call = redis::cmd("ZRANGEBYLEX");
        call.arg("{portcullis:revocations}:live").arg(&start).arg("+");
        call.arg("LIMIT").arg(0).arg(PAGE);
        let page: Vec<Vec<u8>> = call.query_async(&mut connection).await.expect("a page");
        entries += page.len();
        bytes += page.iter().map(Vec::len).sum::<usize>();
        match page.last() {
            Some(last) if page.len() == PAGE => start = [b"(", &last[..]].concat(),
            _ => return (entries, bytes),
        }
    }
}

async fn nats(url: &str) -> (usize, usize) {
    let context = jetstream::new(async_nats::connect(url).await.expect("connected"));
    let stream = context.get_stream("REVOCATIONS").await.expect("the stream");
    let config = Config {
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::None,
        memory_storage: true,
        ..Config::default()
    };
    let consumer = stream.create_consumer(config).await.expect("a consumer");
    let messages = consumer.stream().max_messages_per_batch(2048).messages().await;
    let mut messages = messages.expect("messages");
    let (mut entries, mut bytes) = (0, 0);
    while let Some(message) = messages.next().await {
        let message = message.expect("a message");
        entries += 1;
        bytes += message.payload.len() + message.subject.len();
        if message.info().expect("its place").pending == 0 {
            break;
        }
    }
    (entries, bytes)
}

async fn postgres(url: &str) -> (usize, usize) {
    let client = connect(url).await;
    let sql = "SELECT record_id::text, issuer, claim, value, issued_before::text, expires_at::text, \
               at::text, actor, reason FROM revocations_live";
    let none: [&(dyn tokio_postgres::types::ToSql + Sync); 0] = [];
    let rows = client.query_raw(sql, none).await.expect("rows");
    let mut rows = pin!(rows);
    let (mut entries, mut bytes) = (0, 0);
    while let Some(row) = rows.next().await {
        let row = row.expect("a row");
        entries += 1;
        bytes += row.get::<_, &str>(3).len() + row.get::<_, &str>(1).len();
    }
    (entries, bytes)
}
