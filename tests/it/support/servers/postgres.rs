//! A PostgreSQL cluster in a folder of its own, on a Unix socket; gone when the test process is.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use portcullis::feed::postgres::PostgresStore;
use portcullis::revocation::{PostgresConfig, StoreUrl};
use tokio_postgres::{Client, NoTls};

use crate::support::eventually::eventually;

/// A cluster. Its folder is removed and its server killed when this goes, or the process does.
#[derive(Debug)]
pub struct PostgresServer {
    folder: PathBuf,
    data: PathBuf,
    port: u16,
    server: Option<Child>,
    /// Its input is closed by whatever ends the process: then it cleans up.
    watcher: Child,
}

/// One database of a cluster.
#[derive(Clone, Debug)]
pub struct Database {
    pub socket: PathBuf,
    pub port: u16,
    pub name: String,
}

static SHARED: OnceLock<PostgresServer> = OnceLock::new();
/// A cluster that never runs: the others are copies of it, since making one takes seconds.
static TEMPLATE: OnceLock<PostgresServer> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// Where it is called as long as only its socket counts.
const USUAL: u16 = 5432;

const WATCHER: &str = r#"cat >/dev/null
for pid in "$0"/*/postmaster.pid; do kill -KILL $(head -n 1 "$pid"); done
rm -rf "$0""#;

// === impl PostgresServer ===

impl PostgresServer {
    /// A database of its own in the cluster that all tests share.
    pub fn database() -> Database {
        SHARED.get_or_init(|| Self::start(&["-c", "fsync=off"])).create()
    }

    /// A cluster that may be stopped and killed.
    pub fn start(settings: &[&str]) -> Self {
        Self::start_at(USUAL, settings)
    }

    /// One that may listen on this port, if the settings say so.
    pub fn start_at(port: u16, settings: &[&str]) -> Self {
        let template = TEMPLATE.get_or_init(Self::template);
        let mut server = Self::without_data(port);
        run(Command::new("cp").arg("-a").arg(&template.data).arg(&server.data));
        server.up(settings);
        server
    }

    fn template() -> Self {
        let it = Self::without_data(USUAL);
        let mut initdb = as_postgres("initdb");
        run(initdb
            .args(["--no-sync", "-A", "trust", "-U", "postgres", "-E", "UTF8", "-D"])
            .arg(&it.data));
        let configuration = it.data.join("postgresql.conf");
        let mut text = fs::read_to_string(&configuration).expect("a configuration");
        text += "listen_addresses = ''\nmax_connections = 300\nmax_prepared_transactions = 5\n";
        fs::write(&configuration, text).expect("written");
        it
    }

    /// A folder, and who removes it.
    fn without_data(port: u16) -> Self {
        let folder = tempfile::Builder::new().prefix("pg-").tempdir().expect("a folder").keep();
        let data = folder.join("data");
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(&folder));
        }
        let watcher = Command::new("sh")
            .args(["-c", WATCHER])
            .arg(&folder)
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("a shell");
        Self { folder, data, port, server: None, watcher }
    }

    /// Starts the server on what is there.
    pub fn up(&mut self, settings: &[&str]) {
        self.down();
        let log = fs::File::options().append(true).create(true).open(self.folder.join("log"));
        let log = log.expect("a log");
        let mut server = as_postgres("postgres");
        server.arg("-D").arg(&self.data).arg("-k").arg(&self.folder).args(settings);
        server.args(["-p", &self.port.to_string()]);
        server.stdin(Stdio::null()).stderr(log.try_clone().expect("a log")).stdout(log);
        self.server = Some(server.process_group(0).spawn().expect("a server"));
        eventually("PostgreSQL answers", || {
            let mut ready = Command::new(program("pg_isready"));
            let ready = ready.env("PGPORT", self.port.to_string()).arg("-q").arg("-h");
            let ready = ready.arg(&self.folder).status();
            ready.expect("pg_isready").success().then_some(())
        });
    }

    /// Stops the server at once, without a checkpoint: like a power cut of the process.
    pub fn down(&mut self) {
        if let Some(mut server) = self.server.take() {
            signal(server.id(), "QUIT");
            server.wait().expect("it ends");
        }
    }

    /// Stops it in an orderly way: what is on disk can be copied.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            signal(server.id(), "INT");
            server.wait().expect("it ends");
        }
    }

    /// Every process of the server gets the signal: STOP, CONT.
    pub fn signal_all(&self, name: &str) {
        let server = self.server.as_ref().expect("running").id();
        signal(server, name);
        children(server).into_iter().for_each(|child| signal(child, name));
    }

    /// `kill -9` to every process of it, at once.
    pub fn kill(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        // So that it starts no other while we count them.
        signal(server.id(), "STOP");
        let children = children(server.id());
        signal(server.id(), "KILL");
        children.iter().for_each(|child| signal(*child, "KILL"));
        server.wait().expect("it ends");
        eventually("its processes have ended", || {
            children.iter().all(|child| has_ended(*child)).then_some(())
        });
    }

    /// Puts this in the place of what says who may connect how; local users may always.
    pub fn let_in(&self, lines: &str) {
        let text = format!("local all all trust\n{lines}\n");
        fs::write(self.data.join("pg_hba.conf"), text).expect("written");
        self.main().sql("SELECT pg_reload_conf()");
    }

    /// The database that is always there.
    pub fn main(&self) -> Database {
        let (socket, port) = (self.folder.clone(), self.port);
        Database { socket, port, name: "postgres".to_owned() }
    }

    /// Copies the stopped cluster's files, as a backup of the disk would.
    pub fn back_up(&self) -> PathBuf {
        let copy = self.folder.join("backup");
        run(Command::new("cp").arg("-a").arg(&self.data).arg(&copy));
        copy
    }

    /// Puts the copy in the place of the stopped cluster.
    pub fn restore(&self, copy: &Path) {
        fs::remove_dir_all(&self.data).expect("removed");
        run(Command::new("cp").arg("-a").arg(copy).arg(&self.data));
    }

    /// A new database.
    pub fn create(&self) -> Database {
        let name = format!("t{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let main = self.main();
        main.sql(&format!("CREATE DATABASE {name}"));
        Database { name, ..main }
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.down();
        drop(self.watcher.stdin.take());
        // Whether it could clean up or not: it has ended.
        drop(self.watcher.wait());
    }
}

// === impl Database ===

impl Database {
    /// Its URL for a role.
    pub fn url(&self, role: &str) -> String {
        let socket = self.socket.display().to_string().replace('/', "%2F");
        format!("postgres://{role}@{socket}:{}/{}", self.port, self.name)
    }

    /// A node's configuration.
    pub fn config(&self, role: &str) -> PostgresConfig {
        PostgresConfig {
            url: StoreUrl::new(&self.url(role)),
            table: "revocations".to_owned(),
            username: None,
            password: None,
            tls: None,
        }
    }

    /// A node's store.
    pub async fn store(&self) -> PostgresStore {
        PostgresStore::open(&self.config("postgres")).await.expect("a store")
    }

    /// What `psql` answers, or says is wrong.
    pub fn psql(&self, role: &str, sql: &str) -> Result<String, String> {
        let output = Command::new(program("psql"))
            .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-U", role, "-d", &self.name, "-c", sql])
            .arg("-h")
            .arg(&self.socket)
            .env("PGPORT", self.port.to_string())
            .output()
            .expect("psql");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8").trim().to_owned();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// What the owner's `psql` answers.
    #[track_caller]
    pub fn sql(&self, sql: &str) -> String {
        self.psql("postgres", sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Another application's connection.
    pub async fn client(&self) -> Client {
        let (client, connection) =
            tokio_postgres::connect(&self.url("postgres"), NoTls).await.expect("connected");
        tokio::spawn(connection);
        client
    }

    /// Ends every other connection to this database.
    pub fn terminate_backends(&self) {
        self.sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()");
    }
}

/// PostgreSQL refuses to run as root.
fn as_postgres(name: &str) -> Command {
    if !is_root() {
        return Command::new(program(name));
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]);
    command.arg(program(name)).current_dir("/");
    command
}

fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<_> = versions.map(|version| version.path().join("bin").join(name)).collect();
    found.retain(|path| path.is_file());
    found.sort();
    found.pop().unwrap_or_else(|| panic!("no `{name}`: apt-get install postgresql"))
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id");
    id.stdout.trim_ascii() == b"0"
}

fn children(server: u32) -> Vec<u32> {
    let listed = Command::new("pgrep").arg("-P").arg(server.to_string()).output();
    let listed = String::from_utf8(listed.expect("pgrep").stdout).expect("numbers");
    listed.split_whitespace().map(|child| child.parse().expect("a number")).collect()
}

/// Gone, or dead and not yet buried.
fn has_ended(process: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat"));
    state.map_or(true, |text| text.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
}

fn signal(process: u32, name: &str) {
    // A process that has just ended needs no signal.
    drop(Command::new("kill").args(["-s", name, &process.to_string()]).status());
}

fn run(command: &mut Command) {
    let output = command.output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}
