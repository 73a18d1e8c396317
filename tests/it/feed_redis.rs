//! What only Redis can do to a feed: trim, empty, forget, evict, cut, stand still, refuse.

use std::time::{Duration, Instant};

use portcullis::clock::UnixTime;
use portcullis::feed::redis::{RedisFeed, RedisStore};
use portcullis::revocation::{
    Cursor, Epoch, FeedError, FeedEvent, Filter, Name, RedisConfig, RevocationFeed, RevocationLog,
    StoreTls, StoreUrl,
};
use portcullis::secret::Secret;

use crate::support::documents::code_blocks;
use crate::support::nodes::use_roster;
use crate::support::python;
use crate::support::records::{append_each, load, next_record, revoke};
use crate::support::servers::redis::{Keeps, RedisServer};

const STREAM: &str = "portcullis:revocations";

/// A server, a store on it that holds `a`, and a reader that has loaded it.
async fn scene(keeps: Keeps) -> (RedisServer, RedisStore, RedisFeed, Epoch) {
    let server = RedisServer::start(keeps);
    let store = server.store().await;
    append_each(&store.log(), &[revoke("a", 1 << 40)]).await;
    let mut feed = store.feed();
    let epoch = feed.load().await.expect("a checkpoint").epoch;
    (server, store, feed, epoch)
}

/// The next error, past all events.
async fn failure(feed: &mut RedisFeed) -> FeedError {
    let failed = async {
        loop {
            if let Err(error) = feed.next().await {
                return error;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), failed).await.expect("an error in time")
}

/// The reader is told to load again, perhaps after it could not reach the server.
async fn must_load(feed: &mut RedisFeed) {
    loop {
        match failure(feed).await {
            FeedError::Unreachable(_) => {}
            FeedError::Truncated(_) => return,
            error => panic!("{error}"),
        }
    }
}

/// The reader is told to load again and finds another memory there, with these entries.
async fn finds_another_memory(feed: &mut RedisFeed, known: Epoch, values: &[&str]) {
    must_load(feed).await;
    let checkpoint = feed.load().await.expect("a checkpoint");
    assert_ne!(checkpoint.epoch, known);
    let live = checkpoint.live.collect().await.expect("all of it");
    let found: Vec<_> = live.iter().map(|entry| &*entry.name.value).collect();
    assert_eq!(found, values);
}

#[tokio::test]
async fn an_emptied_redis_is_another_memory() {
    let (server, store, mut feed, epoch) = scene(Keeps::All).await;
    server.cli(&["flushall"]);
    finds_another_memory(&mut feed, epoch, &[]).await;
    append_each(&store.log(), &[revoke("b", 1 << 40)]).await;
    assert_eq!(&*next_record(&mut feed).await.0.name.value, "b");
}

#[tokio::test]
async fn an_emptied_redis_that_is_written_to_at_once_is_another_memory() {
    let (server, store, mut feed, epoch) = scene(Keeps::All).await;
    server.cli(&["flushall"]);
    append_each(&store.log(), &[revoke("b", 1 << 40)]).await;
    finds_another_memory(&mut feed, epoch, &["b"]).await;
}

#[tokio::test]
async fn a_restart_without_persistence_is_another_memory() {
    let (mut server, _store, mut feed, epoch) = scene(Keeps::Nothing).await;
    server.restart();
    finds_another_memory(&mut feed, epoch, &[]).await;
}

#[tokio::test]
async fn a_lost_tail_is_another_memory_although_the_log_has_gone_on() {
    let (server, store, mut feed, epoch) = scene(Keeps::All).await;
    append_each(&store.log(), &[revoke("lost", 1 << 40)]).await;
    let (_, at) = next_record(&mut feed).await;
    // As after a failover to a replica that lagged: the entry is not there, and new ones are.
    let id: Vec<String> =
        at.as_str().split('-').map(|part| part.trim_start_matches('0').to_owned()).collect();
    let id = format!("{}-{}", id[0], if id[1].is_empty() { "0" } else { &id[1] });
    assert_eq!(server.cli(&["xdel", STREAM, &id]).trim(), "1");
    append_each(&store.log(), &[revoke("later", 1 << 40)]).await;
    server.cli(&["client", "kill", "type", "normal"]);
    must_load(&mut feed).await;
    let checkpoint = feed.load().await.expect("a checkpoint");
    assert_ne!(checkpoint.epoch, epoch);
    assert!(checkpoint.upto > at);
    // A second reader need not find the same hole: it is told by the marker in the stream.
    assert_eq!(store.feed().load().await.expect("a checkpoint").epoch, checkpoint.epoch);
}

#[tokio::test]
async fn what_others_trimmed_before_it_was_folded_is_another_memory() {
    let (server, store, mut feed, epoch) = scene(Keeps::All).await;
    append_each(&store.log(), &[revoke("b", 1 << 40), revoke("c", 1 << 40)]).await;
    server.cli(&["xtrim", STREAM, "maxlen", "1"]);
    let other = store.feed().load().await.expect("a checkpoint");
    assert_ne!(other.epoch, epoch);
    finds_another_memory(&mut feed, epoch, &["a", "c"]).await;
}

#[tokio::test]
async fn evicted_entries_are_another_memory_and_folded_again() {
    let (server, _store, mut feed, epoch) = scene(Keeps::All).await;
    assert_eq!(server.cli(&["del", &format!("{{{STREAM}}}:live")]).trim(), "1");
    finds_another_memory(&mut feed, epoch, &["a"]).await;
}

#[tokio::test]
async fn a_reader_goes_on_after_the_cursor_that_its_node_has_kept() {
    let (server, store, _feed, epoch) = scene(Keeps::All).await;
    let at = append_each(&store.log(), &[revoke("b", 1 << 40), revoke("c", 1 << 40)]).await;
    let mut feed = store.feed();
    feed.resume(epoch, &at[0]).await.expect("it is all there");
    assert_eq!(&*next_record(&mut feed).await.0.name.value, "c");
    let other = Epoch(uuid::Uuid::new_v4());
    for (epoch, after) in [(other, &at[0]), (epoch, &Cursor::new("?"))] {
        let refused = store.feed().resume(epoch, after).await;
        assert!(matches!(refused, Err(FeedError::Truncated(_))), "{refused:?}");
    }
    // What this node has seen is not there any more: the checkpoint is not the whole truth.
    server.cli(&["xtrim", STREAM, "maxlen", "1"]);
    let mut feed = store.feed();
    let refused = feed.resume(epoch, &at[0]).await;
    assert!(matches!(refused, Err(FeedError::Truncated(_))), "{refused:?}");
    assert_ne!(feed.load().await.expect("a checkpoint").epoch, epoch);
}

#[tokio::test]
async fn a_cut_connection_loses_nothing() {
    let (server, store, mut feed, epoch) = scene(Keeps::All).await;
    for round in 0..5 {
        let value = format!("round {round}");
        server.cli(&["client", "kill", "type", "normal"]);
        append_each(&store.log(), &[revoke(&value, 1 << 40)]).await;
        let record = loop {
            match feed.next().await {
                Ok(FeedEvent::Record { record, .. }) => break record,
                Ok(_) | Err(FeedError::Unreachable(_)) => {}
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(*record.name.value, *value);
    }
    assert_eq!(feed.load().await.expect("a checkpoint").epoch, epoch);
}

#[tokio::test]
async fn a_redis_that_stands_still_is_away_and_confirms_nothing() {
    let (server, store, mut feed, epoch) = scene(Keeps::All).await;
    feed.next().await.expect("a heartbeat");
    server.pause();
    let paused = Instant::now();
    let error = failure(&mut feed).await;
    assert!(matches!(error, FeedError::Unreachable(_)), "{error}");
    let append = store.log().append(vec![revoke("b", 1 << 40)]).await;
    assert!(matches!(append, Err(FeedError::Unreachable(_))), "{append:?}");
    assert!(paused.elapsed() < Duration::from_secs(8), "{:?}", paused.elapsed());
    server.resume();
    append_each(&store.log(), &[revoke("c", 1 << 40)]).await;
    loop {
        // The one that was refused may have been kept all the same.
        let (record, _) = next_record(&mut feed).await;
        if &*record.name.value == "c" {
            break;
        }
        assert_eq!(&*record.name.value, "b");
    }
    assert_eq!(feed.load().await.expect("a checkpoint").epoch, epoch);
}

#[tokio::test]
async fn a_redis_that_is_away_is_no_reason_not_to_open() {
    let mut server = RedisServer::start(Keeps::All);
    server.kill();
    let store = server.store().await;
    let error = store.feed().load().await.expect_err("away");
    assert!(matches!(error, FeedError::Unreachable(_)), "{error}");
    server.restart();
    let comes_back = async {
        // For a moment after a failure the next is not even tried.
        while let Err(error) = store.feed().load().await {
            assert!(matches!(error, FeedError::Unreachable(_)), "{error}");
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), comes_back).await.expect("it is back");
}

#[tokio::test]
async fn malformed_entries_are_told_of_and_passed() {
    let (server, store, mut feed, _) = scene(Keeps::All).await;
    let long = format!("\"{}\"", "x".repeat(20_000));
    let bad = ["", "{}", "[1]", "{\"v\":2}", "{\"v\":1,\"op\":\"revoke\"}", &long];
    for text in bad {
        server.cli(&["xadd", STREAM, "*", "r", text]);
    }
    server.cli(&["xadd", STREAM, "*", "other", "field"]);
    append_each(&store.log(), &[revoke("good", 1 << 40)]).await;
    let mut undecodable = 0;
    loop {
        match feed.next().await.expect("an event") {
            FeedEvent::Undecodable { .. } => undecodable += 1,
            FeedEvent::Record { record, .. } => {
                assert_eq!(&*record.name.value, "good");
                break;
            }
            FeedEvent::Heartbeat { .. } => {}
        }
    }
    assert_eq!(undecodable, bad.len() + 1);
    assert_eq!(load(&mut store.feed()).await.0.len(), 2);
}

#[tokio::test]
async fn an_application_publishes_with_its_own_client() {
    let (server, store, mut feed, _) = scene(Keeps::All).await;
    let program = &code_blocks("docs/feeds/redis.md", "python")[0];
    let publish = |value: &str, op: &str| {
        let url = format!("unix://{}", server.socket().display());
        python::run(program, &[&url, "i", "jti", value, op], &[]);
    };
    publish("from Python", "revoke");
    publish("a", "reinstate");
    let (record, _) = next_record(&mut feed).await;
    assert_eq!((&*record.name.value, record.actor.as_deref()), ("from Python", Some("shop")));
    next_record(&mut feed).await;
    // A node that starts later finds it among the live entries, and listings have it.
    let page = store.log().list(Filter::default(), None, 10).await.expect("a page");
    let listed: Vec<_> = page.items.iter().map(|item| &*item.name.value).collect();
    assert_eq!(listed, ["from Python"]);
    assert_eq!(load(&mut store.feed()).await.0.len(), 1);
}

#[tokio::test]
async fn python_registers_a_token_with_the_documented_code() {
    let (server, _store, mut feed, _) = scene(Keeps::All).await;
    let program = &code_blocks("docs/feeds/redis.md", "python")[1];
    let url = format!("unix://{}", server.socket().display());
    python::run(program, &[&url, "i", "j1", "alice", "4000000000"], &[]);
    let (record, _) = next_record(&mut feed).await;
    assert_eq!(record.name, Name::registered("i".into(), "j1".into()));
    let token = record.token.expect("details");
    assert_eq!(token.subject.as_deref(), Some("alice"));
    assert_eq!(token.expires_at, Some(UnixTime::from_secs(4_000_000_000)));
}

#[tokio::test]
async fn a_missing_right_is_named() {
    let server = RedisServer::start(Keeps::All);
    server.cli(&["acl", "setuser", "reader", "on", ">secret", "~*", "+@read", "+@connection"]);
    server.cli(&["acl", "setuser", "default", "resetpass", ">another"]);
    let config = |username: Option<&str>, password: Option<&str>| RedisConfig {
        username: username.map(str::to_owned),
        password: password.map(|text| Secret::new(text.as_bytes().to_vec())),
        ..server.config()
    };
    let cases = [
        (config(None, None), "user or password"),
        (config(None, Some("wrong")), "user or password"),
        (config(Some("reader"), Some("wrong")), "user or password"),
        (config(Some("reader"), Some("secret")), "lacks a right"),
    ];
    for (config, said) in cases {
        let store = RedisStore::open(&config).await.expect("a store");
        let error = store.feed().load().await.expect_err("refused");
        assert!(matches!(error, FeedError::Refused(_)), "{error}");
        assert!(error.to_string().contains(said), "{error}");
        let error = store.log().append(vec![revoke("a", 1)]).await.expect_err("refused");
        assert!(error.to_string().contains(said), "{error}");
        let error = use_roster(&store.roster()).await.expect_err("refused");
        assert!(error.to_string().contains(said), "{error}");
    }
    let store = RedisStore::open(&config(None, Some("another"))).await.expect("a store");
    assert!(load(&mut store.feed()).await.0.is_empty());
}

#[tokio::test]
async fn the_rights_of_the_document_are_enough() {
    let server = RedisServer::start(Keeps::All);
    for line in code_blocks("docs/feeds/redis.md", "text")[0].lines() {
        let arguments: Vec<_> = line.split(' ').collect();
        assert_eq!(server.cli(&arguments).trim(), "OK", "{line}");
    }
    let password = Some(Secret::new(b"node-password".to_vec()));
    let username = Some("portcullis".to_owned());
    let config = RedisConfig { username, password, ..server.config() };
    let store = RedisStore::open(&config).await.expect("a store");
    let mut feed = store.feed();
    assert!(load(&mut feed).await.0.is_empty());
    append_each(&store.log(), &[revoke("a", 5), revoke("b", 1 << 40)]).await;
    assert_eq!(&*next_record(&mut feed).await.0.name.value, "a");
    assert_eq!(store.log().compact(UnixTime::from_secs(6)).await.expect("compacted"), 1);
    use_roster(&store.roster()).await.expect("it may");
    let shop = ["--user", "shop", "--pass", "shop-password"];
    let added = server.cli(&[&shop[..], &["xadd", STREAM, "*", "r", "{}"]].concat());
    assert!(added.contains('-'), "{added}");
    let flushed = server.cli(&[&shop[..], &["flushall"]].concat());
    assert!(flushed.contains("NOPERM"), "{flushed}");
}

#[tokio::test]
async fn tls_is_spoken_both_sides_showing_who_they_are() {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a key");
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr();
    let port = port.expect("its address").port();
    let files = tempfile::tempdir().expect("a folder");
    let path = |name: &str| files.path().join(name);
    std::fs::write(path("cert.pem"), key.cert.pem()).expect("written");
    std::fs::write(path("key.pem"), key.signing_key.serialize_pem()).expect("written");
    let server = RedisServer::start_with(Keeps::All, |_| {
        let file = |name: &str| path(name).display().to_string();
        let pairs = [
            ("--tls-port", port.to_string()),
            ("--tls-cert-file", file("cert.pem")),
            ("--tls-key-file", file("key.pem")),
            ("--tls-ca-cert-file", file("cert.pem")),
        ];
        pairs.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
    });
    let tls = |ca: bool, identity: bool| RedisConfig {
        url: StoreUrl::new(&format!("rediss://localhost:{port}/0")),
        tls: Some(StoreTls {
            ca: ca.then(|| path("cert.pem")),
            identity: identity.then(|| (path("cert.pem"), path("key.pem"))),
        }),
        ..server.config()
    };
    let store = RedisStore::open(&tls(true, true)).await.expect("a store");
    append_each(&store.log(), &[revoke("a", 1 << 40)]).await;
    assert_eq!(load(&mut store.feed()).await.0.len(), 1);
    for (ca, identity) in [(true, false), (false, true)] {
        let store = RedisStore::open(&tls(ca, identity)).await.expect("a store");
        assert!(store.feed().load().await.is_err(), "ca {ca}, identity {identity}");
    }
    let plain = RedisConfig { url: StoreUrl::new("redis://localhost/"), ..tls(true, false) };
    let error = RedisStore::open(&plain).await.expect_err("no TLS in that URL");
    assert!(error.to_string().contains("rediss://"), "{error}");
}
