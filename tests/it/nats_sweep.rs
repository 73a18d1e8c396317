//! What sweeping and listing a JetStream store read: not everything each time.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use async_nats::jetstream;
use portcullis::clock::UnixTime;
use portcullis::feed::nats::{NatsLog, NatsStore};
use portcullis::revocation::{Filter, RevocationLog, wire};

use crate::support::records::{entry, load, reinstate, revoke};
use crate::support::servers::nats::NatsServer;

const FAR: u64 = 4_000_000_000;

struct Scene {
    server: NatsServer,
    store: NatsStore,
    log: NatsLog,
}

impl Scene {
    /// So many entries, of which the first ten expire at 100.
    async fn of(entries: usize) -> Self {
        let server = NatsServer::start_with(&["-js", "-m", "-1"]);
        let store = NatsStore::open(&server.config()).await.expect("a store");
        let log = store.log();
        let expires = |number| if number < 10 { 100 } else { FAR };
        let records = (0..entries).map(|number| revoke(&format!("{number:05}"), expires(number)));
        log.append(records.collect()).await.expect("appended");
        Self { server, store, log }
    }

    async fn compact(&self, now: u64) -> usize {
        self.log.compact(UnixTime::from_secs(now)).await.expect("swept")
    }

    async fn page(&self, after: Option<&str>) -> Vec<String> {
        let after = after.map(|value| revoke(value, 0).name);
        let page = self.log.list(Filter::default(), after, 100).await.expect("a page");
        page.items.iter().map(|item| item.name.value.to_string()).collect()
    }

    /// Messages that the server has sent so far.
    fn sent(&self) -> u64 {
        let monitor = self.server.monitor();
        let mut stream = TcpStream::connect(&monitor).expect("connected");
        let ask = format!("GET /varz HTTP/1.0\r\nHost: {monitor}\r\n\r\n");
        stream.write_all(ask.as_bytes()).expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        let told: serde_json::Value = serde_json::from_str(body).expect("JSON");
        told["out_msgs"].as_u64().expect("a number")
    }
}

#[tokio::test]
async fn a_turn_reads_what_is_new_and_forgets_what_was_read_before() {
    let scene = Scene::of(3000).await;
    let before = scene.sent();
    assert_eq!(scene.compact(50).await, 0);
    assert!(scene.sent() - before >= 3000, "the first turn reads everything");
    let more: Vec<_> = (0..5).map(|number| revoke(&format!("x{number}"), 200)).collect();
    scene.log.append(more).await.expect("appended");
    let before = scene.sent();
    assert_eq!(scene.compact(101).await, 10);
    assert_eq!(scene.compact(201).await, 5);
    let read = scene.sent() - before;
    assert!(read < 300, "{read} messages for fifteen entries");
    assert_eq!(load(&mut scene.store.feed()).await.0.len(), 2990);
}

#[tokio::test]
async fn what_was_written_over_since_it_was_read_stays() {
    let scene = Scene::of(20).await;
    assert_eq!(scene.compact(50).await, 0);
    scene.log.append(vec![revoke("00003", FAR), reinstate("00004")]).await.expect("appended");
    assert_eq!(scene.compact(101).await, 8);
    let (live, _) = load(&mut scene.store.feed()).await;
    assert_eq!(live.len(), 11);
    assert!(live.contains_key(&revoke("00003", FAR).name));
}

#[tokio::test]
async fn an_applications_revocation_is_folded_into_an_entry_that_was_read_long_ago() {
    let scene = Scene::of(20).await;
    assert_eq!(scene.compact(50).await, 0);
    let client = async_nats::connect(scene.server.url()).await.expect("connected");
    let application = jetstream::new(client);
    let said = [revoke("00015", 300), revoke("00003", 300), revoke("new", 300)];
    for record in &said {
        let subject = format!("REVOCATIONS.app.{}", record.id);
        let sent = application.publish(subject, wire::encode(record).into()).await.expect("sent");
        sent.await.expect("acknowledged");
    }
    assert_eq!(scene.compact(60).await, 0);
    let stream = application.get_stream("REVOCATIONS").await.expect("a stream");
    // What they said is gone: entries, the epoch and the state of sweeping are left.
    assert_eq!(stream.cached_info().state.messages, 21 + 2);
    assert_eq!(scene.compact(101).await, 9);
    let (live, _) = load(&mut scene.store.feed()).await;
    let wide = [revoke("00015", FAR), revoke("00003", 300), revoke("new", 300)].map(entry);
    assert!(wide.iter().all(|(name, entry)| live.get(name) == Some(entry)), "{live:?}");
    assert_eq!(live.len(), 12);
    assert_eq!(scene.compact(301).await, 2);
}

#[tokio::test]
async fn the_pages_of_a_listing_come_from_one_reading() {
    let scene = Scene::of(1000).await;
    let mut page = scene.page(None).await;
    let (before, mut all) = (scene.sent(), BTreeSet::new());
    while let Some(last) = page.last().cloned() {
        all.extend(page);
        page = scene.page(Some(&last)).await;
    }
    assert_eq!(all.len(), 1000);
    let read = scene.sent() - before;
    assert!(read < 100, "{read} messages for nine pages");
    // Whoever begins again sees what has been said since.
    scene.log.append(vec![revoke("", FAR)]).await.expect("appended");
    assert_eq!(scene.page(None).await[0], "");
    assert_eq!(scene.page(Some("00500")).await[0], "00501");
}
