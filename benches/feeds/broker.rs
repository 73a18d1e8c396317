//! A broker of the bench's own, in a folder of its own, that keeps what it acknowledges.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Redis,
    Nats,
    Postgres,
}

/// A running broker, gone at the end.
pub(crate) struct Broker {
    pub(crate) kind: Kind,
    pub(crate) url: String,
    child: Child,
    place: PathBuf,
    /// Gone at the end, unless what it holds is to be kept.
    folder: Option<TempDir>,
}

/// Where what a broker holds is kept, so that filling it and measuring can be two runs.
const KEPT: &str = "PORTCULLIS_BENCH_FOLDER";
const LIMIT: Duration = Duration::from_secs(300);

// === impl Kind ===

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Redis, Self::Nats, Self::Postgres];

    pub(crate) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// As `revocation.feed` has it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Nats => "nats",
            Self::Postgres => "postgres",
        }
    }
}

// === impl Broker ===

impl Broker {
    pub(crate) fn start(kind: Kind) -> Self {
        let kept = std::env::var_os(KEPT).map(|kept| Path::new(&kept).join(kind.word()));
        let folder = kept.is_none().then(|| tempfile::tempdir().expect("a folder"));
        let place = kept.or_else(|| folder.as_ref().map(|folder| folder.path().to_owned()));
        let place = place.expect("one of the two");
        let path = place.as_path();
        fs::create_dir_all(path).expect("a folder");
        // Free now; the broker takes it a moment later.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = port.expect("a free port").port();
        let (mut command, url) = match kind {
            Kind::Redis => redis(path, port),
            Kind::Nats => nats(path, port),
            Kind::Postgres => postgres(path, port),
        };
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = quiet.spawn().unwrap_or_else(|error| panic!("{}: {error}", kind.word()));
        let begun = Instant::now();
        while !is_there(kind, port) {
            assert!(begun.elapsed() < LIMIT, "{} is silent", kind.word());
            std::thread::park_timeout(Duration::from_millis(20));
        }
        Self { kind, url, child, place, folder }
    }

    /// Whether it was filled with so many before.
    pub(crate) fn is_filled(&self, entries: usize) -> bool {
        let filled = fs::read_to_string(self.place.join("filled")).unwrap_or_default();
        filled == entries.to_string()
    }

    /// It is now.
    pub(crate) fn note_filled(&self, entries: usize) {
        fs::write(self.place.join("filled"), entries.to_string()).expect("written");
    }

    /// The lines of `[revocation]` that lead to it.
    pub(crate) fn table(&self) -> String {
        let (word, url) = (self.kind.word(), &self.url);
        format!("feed = \"{word}\"\n{word} = {{ url = \"{url}\" }}")
    }

    /// Processor time that its processes have used so far.
    pub(crate) fn processor(&self) -> Duration {
        let ours = self.child.id().to_string();
        let mut ticks = 0;
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let stat = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
            // After the name, which may hold anything: state, parent, …, user and system time.
            let Some((number, rest)) = stat.split_once(' ') else { continue };
            let rest = rest.rsplit_once(") ").map_or("", |(_, rest)| rest);
            let fields: Vec<&str> = rest.split(' ').collect();
            if number == ours || fields.get(1) == Some(&ours.as_str()) {
                let times = fields.iter().skip(11).take(2);
                ticks += times.filter_map(|text| text.parse::<u64>().ok()).sum::<u64>();
            }
        }
        Duration::from_millis(ticks * 10)
    }

    /// What its process holds now, in MB.
    pub(crate) fn memory(&self) -> u64 {
        super::memory(self.child.id(), "VmRSS")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let signal = match (&self.folder, self.kind) {
            // What it holds is read again.
            (None, Kind::Postgres) => "-INT",
            (None, _) => "-TERM",
            // Its children as well.
            (Some(_), Kind::Postgres) => "-QUIT",
            (Some(_), _) => "-KILL",
        };
        drop(Command::new("kill").args([signal, &self.child.id().to_string()]).status());
        drop(self.child.wait());
    }
}

/// Whether it answers: Redis refuses while it reads its file.
fn is_there(kind: Kind, port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    if kind != Kind::Redis {
        return true;
    }
    let mut answer = [0; 5];
    let asked = stream.write_all(b"PING\r\n").and_then(|()| stream.read_exact(&mut answer));
    asked.is_ok() && answer == *b"+PONG"
}

fn redis(folder: &Path, port: u16) -> (Command, String) {
    let mut command = Command::new("redis-server");
    command.current_dir(folder).args(["--port", &port.to_string(), "--save", ""]);
    command.args(["--appendonly", "yes", "--appendfsync", "always"]);
    (command, format!("redis://127.0.0.1:{port}"))
}

fn nats(folder: &Path, port: u16) -> (Command, String) {
    let mut command = Command::new("nats-server");
    command.args(["-js", "-a", "127.0.0.1", "-p", &port.to_string()]).arg("-sd").arg(folder);
    (command, format!("nats://127.0.0.1:{port}"))
}

fn postgres(folder: &Path, port: u16) -> (Command, String) {
    let data = folder.join("data");
    if is_root() {
        let owned = Command::new("chown").arg("postgres").arg(folder).status();
        assert!(owned.is_ok_and(|status| status.success()), "there is a user `postgres`");
    }
    if !data.exists() {
        let mut made = as_postgres("initdb");
        made.args(["--no-sync", "-A", "trust", "-U", "postgres", "-D"]).arg(&data);
        let made = made.stdout(Stdio::null()).status();
        assert!(made.is_ok_and(|status| status.success()), "initdb");
    }
    let mut command = as_postgres("postgres");
    command.arg("-D").arg(&data).args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k", ""]);
    command.args(["-c", "max_wal_size=8GB", "-c", "shared_buffers=512MB"]);
    (command, format!("postgres://postgres@127.0.0.1:{port}/postgres"))
}

/// PostgreSQL refuses to run as root.
fn as_postgres(name: &str) -> Command {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        versions.map(|entry| entry.path().join("bin").join(name)).collect();
    found.sort();
    let program = found.pop().unwrap_or_else(|| name.into());
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]).arg(program);
    command.current_dir("/");
    command
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}
