//! Who may use a PostgreSQL store: TLS, passwords, client certificates.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis::feed::postgres::PostgresStore;
use portcullis::revocation::{
    FeedError, PostgresConfig, RevocationFeed, RevocationLog, StoreTls, StoreUrl,
};
use portcullis::secret::Secret;
use tempfile::TempDir;

use crate::support::authority::Authority;
use crate::support::eventually::eventually;
use crate::support::records::{append_each, load, next_record, revoke};
use crate::support::servers::postgres::PostgresServer;

/// A server on a port of its own that lets nobody in over TCP without TLS.
struct Guarded {
    server: PostgresServer,
    port: u16,
    _keys: TempDir,
}

const PASSWORD: &str = "hunter2-@:/%";

// === impl Guarded ===

impl Guarded {
    /// Shows the authority's certificate; `let_in` is its `pg_hba.conf`.
    fn start(authority: &Authority, let_in: &str) -> Self {
        // Free now; the server takes it a moment later.
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("a free port").port();
        let keys = readable_by_the_server(authority);
        let file = |name: &str| keys.path().join(name).display().to_string();
        let settings = [
            "listen_addresses=127.0.0.1".to_owned(),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", file("server.pem")),
            format!("ssl_key_file={}", file("server.key")),
            format!("ssl_ca_file={}", file("ca.pem")),
        ];
        let settings: Vec<&str> = settings.iter().flat_map(|one| ["-c", one.as_str()]).collect();
        let server = PostgresServer::start_at(port, &settings);
        let sql = format!(
            "CREATE ROLE node LOGIN PASSWORD '{PASSWORD}'; GRANT CREATE ON SCHEMA public TO node"
        );
        server.main().sql(&sql);
        server.let_in(let_in);
        Self { server, port, _keys: keys }
    }

    fn config(&self, mode: &str, ca: Option<PathBuf>) -> PostgresConfig {
        let url = format!("postgres://127.0.0.1:{}/postgres?sslmode={mode}", self.port);
        PostgresConfig {
            url: StoreUrl::new(&url),
            table: "revocations".to_owned(),
            username: Some("node".to_owned()),
            password: Some(Secret::new(PASSWORD.into())),
            tls: Some(StoreTls { ca, identity: None }),
        }
    }
}

/// The server reads a key only if nobody else may.
fn readable_by_the_server(authority: &Authority) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["server.pem", "server.key", "ca.pem"] {
        fs::copy(authority.path(name), folder.path().join(name)).expect("copied");
    }
    let run = |program: &str, arguments: &[&str], path: &Path| {
        let status = Command::new(program).args(arguments).arg(path).status();
        assert!(status.is_ok_and(|status| status.success()), "{program} {arguments:?}");
    };
    run("chmod", &["600"], &folder.path().join("server.key"));
    if Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.trim_ascii() == b"0") {
        run("chown", &["-R", "postgres"], folder.path());
    }
    folder
}

/// A little of everything.
async fn use_store(config: &PostgresConfig) -> Result<(), FeedError> {
    let store = PostgresStore::open(config).await?;
    let mut feed = store.feed();
    drop(feed.load().await?);
    load(&mut feed).await;
    append_each(&store.log(), &[revoke("a", 100)]).await;
    assert_eq!(&*next_record(&mut feed).await.0.name.value, "a");
    store.log().compact(portcullis::clock::UnixTime::from_secs(200)).await.map(drop)
}

/// It fails, says why, and says nothing that nobody may know.
async fn is_refused(config: &PostgresConfig, why: &str) {
    let error = use_store(config).await.expect_err(why);
    let said = format!("{error} {error:?}");
    assert!(said.contains(why) && !said.contains("hunter2"), "{said}");
}

const WITH_PASSWORD: &str = "hostssl all node 127.0.0.1/32 scram-sha-256";

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_certificate_and_name_are_verified() {
    let authority = Authority::new("127.0.0.1");
    let guarded = Guarded::start(&authority, WITH_PASSWORD);
    let ca = || Some(authority.path("ca.pem"));
    let config = guarded.config("verify-full", ca());
    use_store(&config).await.expect("used");
    let store = PostgresStore::open(&config).await.expect("a store");
    let mut feed = store.feed();
    load(&mut feed).await;
    let encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'node'";
    eventually("every connection is encrypted", || {
        (guarded.server.main().sql(encrypted) == "t").then_some(())
    });

    let other = Authority::new("127.0.0.1");
    let unknown = guarded.config("verify-full", Some(other.path("ca.pem")));
    is_refused(&unknown, "invalid peer certificate").await;
    // No weaker than that: whoever asks for encryption gets a server that is who it says.
    for mode in ["require", "verify-ca"] {
        is_refused(&guarded.config(mode, None), "certificate").await;
        is_refused(&guarded.config(mode, Some(other.path("ca.pem"))), "certificate").await;
    }
    is_refused(&guarded.config("disable", ca()), "no encryption").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_host_is_refused() {
    let authority = Authority::new("db.example");
    let guarded = Guarded::start(&authority, WITH_PASSWORD);
    let config = guarded.config("verify-full", Some(authority.path("ca.pem")));
    is_refused(&config, "not valid for name").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_said_and_not_shown() {
    let authority = Authority::new("127.0.0.1");
    let guarded = Guarded::start(&authority, WITH_PASSWORD);
    let ca = Some(authority.path("ca.pem"));
    let mut config = guarded.config("verify-full", ca.clone());
    config.password = Some(Secret::new("hunter2-wrong".into()));
    is_refused(&config, "password authentication failed for user \"node\"").await;
    config.password = None;
    is_refused(&config, "password").await;
    // In the URL, where a password may stand as well.
    let url = format!("postgres://node:hunter2-wrong@127.0.0.1:{}/postgres", guarded.port);
    config = PostgresConfig { url: StoreUrl::new(&url), username: None, ..config };
    is_refused(&config, "password authentication failed").await;
    assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
    config.username = Some("nobody".to_owned());
    is_refused(&config, "no pg_hba.conf entry").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_shown() {
    let authority = Authority::new("127.0.0.1");
    let guarded = Guarded::start(&authority, "hostssl all node 127.0.0.1/32 cert");
    let mut config = guarded.config("verify-full", Some(authority.path("ca.pem")));
    config.password = None;
    is_refused(&config, "certificate").await;
    let identity = Some((authority.path("client.pem"), authority.path("client.key")));
    config.tls = Some(StoreTls { ca: Some(authority.path("ca.pem")), identity });
    use_store(&config).await.expect("used");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_not_talked_to_when_tls_is_demanded() {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = free.expect("a free port").port();
    let server = PostgresServer::start_at(port, &["-c", "listen_addresses=127.0.0.1"]);
    let authority = Authority::new("127.0.0.1");
    let url =
        StoreUrl::new(&format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=require"));
    let ca = Some(authority.path("ca.pem"));
    let config = PostgresConfig {
        url,
        tls: Some(StoreTls { ca, identity: None }),
        ..server.main().config("postgres")
    };
    is_refused(&config, "TLS").await;
}
