//! Applications publish to the JetStream store by themselves, well and badly.

use async_nats::jetstream::{self, Context};
use portcullis::clock::UnixTime;
use portcullis::feed::nats::NatsStore;
use portcullis::revocation::{
    FeedEvent, Filter, Name, Op, Revocation, RevocationFeed, RevocationLog, wire,
};

use crate::support::documents::code_blocks;
use crate::support::python;
use crate::support::records::{
    Entries, append_each, cut_off, entry, load, next_record, reinstate, revoke,
};
use crate::support::servers::nats::NatsServer;

const FAR: u64 = 4_000_000_000;

struct Scene {
    server: NatsServer,
    store: NatsStore,
    application: Context,
}

impl Scene {
    async fn new() -> Self {
        let server = NatsServer::start();
        let store = NatsStore::open(&server.config()).await.expect("a store");
        let client = async_nats::connect(server.url()).await.expect("connected");
        Self { server, store, application: jetstream::new(client) }
    }

    async fn publish(&self, subject: &str, payload: Vec<u8>) -> u64 {
        let subject = format!("REVOCATIONS.{subject}");
        let sent = self.application.publish(subject, payload.into()).await.expect("sent");
        sent.await.expect("acknowledged").sequence
    }

    async fn say(&self, record: &Revocation) -> u64 {
        self.publish(&format!("app.{}", record.id), wire::encode(record)).await
    }

    async fn entries(&self) -> Entries {
        load(&mut self.store.feed()).await.0
    }

    async fn messages(&self) -> u64 {
        let stream = self.application.get_stream("REVOCATIONS").await.expect("a stream");
        stream.cached_info().state.messages
    }

    /// Runs the document's n-th program.
    fn python(&self, nth: usize, value: &str) -> u64 {
        let program = &code_blocks("docs/feeds/nats.md", "python")[nth];
        let url = self.server.url();
        let said = python::run(program, &[&url, "REVOCATIONS", "i", "jti", value, "3600"], &[]);
        said.trim().parse().expect("a sequence")
    }
}

#[tokio::test]
async fn what_the_document_shows_in_python_registers_and_is_folded() {
    let scene = Scene::new().await;
    let mut feed = scene.store.feed();
    load(&mut feed).await;
    let program = &code_blocks("docs/feeds/nats.md", "python")[2];
    let url = scene.server.url();
    python::run(program, &[&url, "REVOCATIONS", "i", "j1", "alice", "4000000000"], &[]);
    let (record, _) = next_record(&mut feed).await;
    let name = Name::registered("i".into(), "j1".into());
    assert_eq!((record.op, &record.name), (Op::Register, &name));
    assert_eq!(record.token.as_deref().and_then(|it| it.subject.as_deref()), Some("alice"));
    let list = async || {
        let filter = Filter { claim: Some(name.claim.clone()), ..Filter::default() };
        scene.store.log().list(filter, None, 10).await.expect("a page").items
    };
    assert_eq!(list().await, std::slice::from_ref(&record));
    // Swept: what an application said becomes the nodes' word, with all it says.
    scene.store.log().compact(UnixTime::from_secs(1)).await.expect("swept");
    assert_eq!(list().await, [record]);
}

#[tokio::test]
async fn what_the_document_shows_in_python_revokes_and_reinstates() {
    let scene = Scene::new().await;
    let mut feed = scene.store.feed();
    load(&mut feed).await;
    let sequence = scene.python(0, "from Python");
    let (record, at) = next_record(&mut feed).await;
    assert_eq!((record.op, &*record.name.value), (Op::Revoke, "from Python"));
    assert_eq!(at.as_str().parse(), Ok(sequence));
    let page = scene.store.log().list(Filter::default(), None, 10).await.expect("a page");
    assert_eq!(page.items, [record]);
    scene.python(1, "from Python");
    assert_eq!(next_record(&mut feed).await.0.op, Op::Reinstate);
    assert!(scene.entries().await.is_empty());
}

#[tokio::test]
async fn what_is_no_record_is_skipped_with_its_cursor() {
    let scene = Scene::new().await;
    let good = revoke("good", FAR);
    append_each(&scene.store.log(), &[revoke("before", FAR)]).await;
    let mut feed = scene.store.feed();
    load(&mut feed).await;
    let id = good.id;
    let other = format!("entry.{}", "0".repeat(40));
    let mut future = String::from_utf8(wire::encode(&good)).expect("JSON");
    future = future.replace("\"v\":1", "\"v\":9");
    let table = [
        (format!("app.{id}"), b"not JSON".to_vec()),
        (format!("app.{id}"), Vec::new()),
        (format!("app.{id}"), vec![b'['; 20_000]),
        (format!("app.{id}"), future.into_bytes()),
        (format!("app.shop.{id}"), wire::encode(&reinstate("before"))),
        ("app.logout".to_owned(), wire::encode(&good)),
        (other, wire::encode(&good)),
    ];
    for (subject, payload) in table {
        let sequence = scene.publish(&subject, payload).await;
        let at = loop {
            match feed.next().await.expect("an event") {
                FeedEvent::Undecodable { at } => break at,
                FeedEvent::Heartbeat { .. } => {}
                FeedEvent::Record { record, .. } => panic!("{subject}: {record:?}"),
            }
        };
        assert_eq!(at.as_str().parse(), Ok(sequence), "{subject}");
    }
    scene.say(&good).await;
    assert_eq!(next_record(&mut feed).await.0, good);
    assert_eq!(scene.entries().await.len(), 2);
}

#[tokio::test]
async fn what_applications_and_nodes_say_merges_in_order() {
    let scene = Scene::new().await;
    let log = scene.store.log();
    let name = |claim: &str, value: &str| Name {
        issuer: "i".into(),
        claim: claim.into(),
        value: value.into(),
    };
    // Void by the reinstatement that follows; alive again by what follows that.
    scene.say(&revoke("a", FAR + 9)).await;
    append_each(&log, &[reinstate("a")]).await;
    assert!(scene.entries().await.is_empty());
    append_each(&log, &[revoke("a", FAR)]).await;
    scene.say(&revoke("b", FAR)).await;
    append_each(&log, &[cut_off("u", 5, FAR)]).await;
    scene.say(&cut_off("u", 9, FAR - 7)).await;
    scene.say(&revoke("dead", 50)).await;
    let mut all: Entries =
        [revoke("a", FAR), revoke("b", FAR), cut_off("u", 9, FAR), revoke("dead", 50)]
            .map(entry)
            .into();
    assert_eq!(scene.entries().await, all);
    // Sweeping folds all of it into the nodes' entries, and loses nothing.
    assert_eq!(log.compact(UnixTime::from_secs(100)).await.expect("swept"), 1);
    all.remove(&name("jti", "dead"));
    assert_eq!(scene.entries().await, all);
    assert_eq!(scene.messages().await, 5, "three entries, the epoch, the sweep");
    append_each(&log, &[reinstate("b")]).await;
    all.remove(&name("jti", "b"));
    assert_eq!(scene.entries().await, all);
}

#[tokio::test]
async fn the_stream_does_not_grow_with_what_is_over() {
    let scene = Scene::new().await;
    let log = scene.store.log();
    for round in 0..3_u64 {
        let records: Vec<_> =
            (0..50).map(|i| revoke(&format!("{round}-{i}"), 100 + round)).collect();
        log.append(records.clone()).await.expect("appended");
        let back =
            records.into_iter().take(10).map(|record| Revocation { op: Op::Reinstate, ..record });
        log.append(back.collect()).await.expect("appended");
        let gone = log.compact(UnixTime::from_secs(101 + round)).await.expect("swept");
        assert_eq!(gone, 40);
    }
    log.compact(UnixTime::from_secs(200)).await.expect("swept");
    assert_eq!(scene.messages().await, 2, "the epoch and the sweep");
}

#[tokio::test]
async fn one_node_sweeps_at_a_time_and_never_a_newer_entry() {
    let scene = Scene::new().await;
    let other = NatsStore::open(&scene.server.config()).await.expect("a store");
    let log = scene.store.log();
    append_each(&log, &[revoke("a", 50)]).await;
    let writer = {
        let log = other.log();
        tokio::spawn(async move {
            for i in 0..200_u64 {
                append_each(&log, &[revoke(&format!("{}", i % 20), FAR + i)]).await;
            }
        })
    };
    let mut gone = 0;
    while !writer.is_finished() {
        gone += log.compact(UnixTime::from_secs(100)).await.expect("swept");
        assert_eq!(other.log().compact(UnixTime::from_secs(100)).await.expect("not its turn"), 0);
    }
    writer.await.expect("the writer");
    assert_eq!(gone, 1);
    assert_eq!(scene.entries().await.len(), 20);
}

#[tokio::test]
async fn a_checkpoint_taken_while_entries_are_rewritten_holds_all_of_them() {
    let scene = Scene::new().await;
    let log = scene.store.log();
    let record = |i: u64, expires: u64| revoke(&i.to_string(), FAR + expires);
    log.append((0..300).map(|i| record(i, 0)).collect()).await.expect("appended");
    let writer = tokio::spawn(async move {
        for i in 0..u64::MAX {
            log.append(vec![record(i * 7 % 300, i)]).await.expect("appended");
            // Looks at it, so that a reader can keep up with the writing.
            let value = Some((i * 7 % 300).to_string().into());
            let filter = Filter { issuer: Some("i".into()), claim: Some("jti".into()), value };
            assert_eq!(log.list(filter, None, 1).await.expect("a page").items.len(), 1);
        }
    });
    let mut feed = scene.store.feed();
    for _ in 0..4 {
        let live = feed.load().await.expect("a checkpoint").live.collect().await.expect("all");
        let live: Entries = live.into_iter().map(entry).collect();
        assert_eq!(live.len(), 300);
    }
    writer.abort();
}
