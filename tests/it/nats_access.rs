//! Who may use a JetStream store: credentials, rights, TLS, and servers that can't be used.

use std::fs;
use std::path::Path;

use async_nats::jetstream;
use portcullis::feed::nats::NatsStore;
use portcullis::revocation::{
    FeedError, NatsConfig, RevocationFeed, RevocationLog, StoreTls, StoreUrl, wire,
};
use portcullis::secret::Secret;
use tempfile::TempDir;

use crate::support::authority::Authority;
use crate::support::documents::code_blocks;
use crate::support::nodes::use_roster;
use crate::support::records::{append_each, load, next_record, revoke};
use crate::support::servers::nats::NatsServer;

/// Opens, and does a little of everything.
async fn use_store(config: &NatsConfig) -> Result<(), FeedError> {
    let store = NatsStore::open(config).await?;
    let mut feed = store.feed();
    load(&mut feed).await;
    append_each(&store.log(), &[revoke("a", 100)]).await;
    assert_eq!(&*next_record(&mut feed).await.0.name.value, "a");
    let gone = store.log().compact(portcullis::clock::UnixTime::from_secs(200)).await?;
    assert_eq!(gone, 1);
    use_roster(&store.roster()).await
}

fn refused(outcome: Result<(), FeedError>, word: &str) {
    match outcome {
        Err(FeedError::Refused(text)) => assert!(text.contains(word), "{text}"),
        other => panic!("{other:?}"),
    }
}

fn as_user(server: &NatsServer, user: &str, password: &str) -> NatsConfig {
    let password = Some(Secret::new(password.into()));
    NatsConfig { username: Some(user.to_owned()), password, ..server.config() }
}

#[tokio::test]
async fn a_server_without_jetstream_is_refused_with_the_way_out() {
    let server = NatsServer::start_with(&[]);
    refused(use_store(&server.config()).await, "`-js`");
}

#[tokio::test]
async fn user_and_password_are_given_and_must_be_right() {
    let server = NatsServer::start_with(&["-js", "--user", "node", "--pass", "pw@:/x"]);
    use_store(&as_user(&server, "node", "pw@:/x")).await.expect("used");
    refused(use_store(&as_user(&server, "node", "wrong")).await, "authorization");
    refused(use_store(&server.config()).await, "authorization");
    let in_url = StoreUrl::new(&format!("nats://node:wrong@127.0.0.1:{}", server.port));
    let config = NatsConfig { url: in_url, ..server.config() };
    refused(use_store(&config).await, "authorization");
}

fn start_with_config(text: &str) -> (NatsServer, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("nats.conf");
    fs::write(&file, text).expect("written");
    let server = NatsServer::start_with(&["-js", "-c", file.to_str().expect("UTF-8")]);
    (server, folder)
}

#[tokio::test]
async fn the_documents_rights_are_enough_and_one_less_is_named() {
    let rights = &code_blocks("docs/feeds/nats.md", "conf")[0];
    let (server, _folder) = start_with_config(rights);
    use_store(&as_user(&server, "node", "node-password")).await.expect("used");
    // An application may revoke, and nothing else.
    let options =
        async_nats::ConnectOptions::with_user_and_password("shop".into(), "shop-password".into());
    let context = jetstream::new(options.connect(server.url()).await.expect("connected"));
    let record = revoke("shop's", 4_000_000_000);
    let payload = wire::encode(&record);
    let sent = context.publish(format!("REVOCATIONS.app.{}", record.id), payload.into());
    sent.await.expect("sent").await.expect("acknowledged");
    assert!(context.get_stream("REVOCATIONS").await.is_err());
    for missing in ["STREAM.CREATE", "STREAM.MSG.GET", "CONSUMER.CREATE"] {
        let right = |line: &&str| !line.contains(missing);
        let fewer: Vec<_> = rights.lines().filter(right).collect();
        let (server, _folder) = start_with_config(&fewer.join("\n"));
        let outcome = async {
            let store = NatsStore::open(&as_user(&server, "node", "node-password")).await?;
            store.feed().load().await?.live.collect().await.map(drop)
        };
        refused(outcome.await, missing);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[tokio::test]
async fn tls_with_certificates_on_both_sides() {
    let authority = Authority::new("127.0.0.1");
    let (ca, certificate, key) =
        (authority.path("ca.pem"), authority.path("server.pem"), authority.path("server.key"));
    let arguments =
        ["-js", "--tlsverify", "--tlscacert", text(&ca), "--tlscert", text(&certificate)];
    let server = NatsServer::start_with(&[&arguments[..], &["--tlskey", text(&key)]].concat());
    let identity = Some((authority.path("client.pem"), authority.path("client.key")));
    let with =
        |ca, identity| NatsConfig { tls: Some(StoreTls { ca, identity }), ..server.config() };
    use_store(&with(Some(ca.clone()), identity.clone())).await.expect("used");
    // An authority that we do not know, and no certificate of ours.
    let other = Authority::new("127.0.0.1");
    let unknown = NatsStore::open(&with(Some(other.path("ca.pem")), identity)).await;
    let nameless = NatsStore::open(&with(Some(ca), None)).await;
    for store in [unknown, nameless].into_iter().flatten() {
        assert!(store.feed().load().await.is_err());
    }
}

#[tokio::test]
async fn a_server_that_comes_later_is_found() {
    let mut server = NatsServer::start();
    server.kill();
    let store = NatsStore::open(&server.config()).await.expect("opened without it");
    let mut feed = store.feed();
    let error = feed.load().await.expect_err("nobody there");
    assert!(matches!(error, FeedError::Unreachable(_)), "{error}");
    server.start_again();
    let loaded = async {
        loop {
            match feed.load().await {
                Ok(checkpoint) => return checkpoint.live.collect().await.expect("all of it").len(),
                Err(FeedError::Unreachable(_)) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    let limit = std::time::Duration::from_secs(20);
    assert_eq!(tokio::time::timeout(limit, loaded).await.expect("found in time"), 0);
}
