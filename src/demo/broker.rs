//! A broker of the cluster demo's own: started in its folder, killed, started again, gone at the end.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum BrokerKind {
    /// Redis
    Redis,
    /// NATS with JetStream
    Nats,
    /// PostgreSQL
    Postgres,
}

/// The running broker.
#[derive(Debug)]
pub(super) struct Broker {
    kind: BrokerKind,
    folder: PathBuf,
    port: u16,
    child: Option<Child>,
}

// === impl BrokerKind ===

impl BrokerKind {
    /// The word for it in the configuration.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Nats => "nats",
            Self::Postgres => "postgres",
        }
    }

    const fn program(self) -> &'static str {
        match self {
            Self::Redis => "redis-server",
            Self::Nats => "nats-server",
            Self::Postgres => "postgres",
        }
    }

    /// The Debian package that has it.
    const fn package(self) -> &'static str {
        match self {
            Self::Redis | Self::Nats => self.program(),
            Self::Postgres => "postgresql",
        }
    }
}

// === impl Broker ===

impl Broker {
    /// Starts one on an empty folder; one that is not installed says how it would be.
    pub(super) fn start(kind: BrokerKind, folder: &Path) -> anyhow::Result<Self> {
        let folder = folder.join("broker");
        fs::create_dir_all(&folder).context("making the broker's folder")?;
        // Free now; the broker takes it a moment later.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut broker = Self { kind, folder, port, child: None };
        if kind == BrokerKind::Postgres {
            broker.make_cluster()?;
        }
        broker.again()?;
        Ok(broker)
    }

    /// Starts it on what it has kept.
    pub(super) fn again(&mut self) -> anyhow::Result<()> {
        let mut command = self.command()?;
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = quiet.spawn().with_context(|| format!("starting {}", self.kind.program()))?;
        self.child = Some(child);
        Ok(())
    }

    /// As a power cut would.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // One that ended by itself is as dead.
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// What leads to it, in `[revocation]`.
    pub(super) fn table(&self) -> String {
        let (word, port, folder) = (self.kind.word(), self.port, self.folder.display());
        let url = match self.kind {
            BrokerKind::Redis => format!("redis+unix://{folder}/redis.sock"),
            BrokerKind::Nats => format!("nats://127.0.0.1:{port}"),
            BrokerKind::Postgres => format!("postgres://portcullis@127.0.0.1:{port}/postgres"),
        };
        format!("feed = \"{word}\"\n{word} = {{ url = \"{url}\" }}")
    }

    fn command(&self) -> anyhow::Result<Command> {
        let (folder, port) = (&self.folder, self.port.to_string());
        let program = find(self.kind)?;
        let mut command = Command::new(&program);
        match self.kind {
            BrokerKind::Redis => {
                let socket = folder.join("redis.sock");
                // What a killed one left would look like a running one.
                drop(fs::remove_file(&socket));
                command.args(["--port", "0", "--save", "", "--appendonly", "yes"]);
                command.args(["--appendfsync", "always"]).arg("--dir").arg(folder);
                command.arg("--unixsocket").arg(socket);
            }
            BrokerKind::Nats => {
                command.args(["-js", "-a", "127.0.0.1", "-p", &port]).arg("-sd").arg(folder);
            }
            BrokerKind::Postgres => {
                command = as_nobody_special(&program);
                command.arg("-D").arg(folder).args(["-p", &port, "-h", "127.0.0.1", "-k", ""]);
            }
        }
        Ok(command)
    }

    /// PostgreSQL's files, owned by whom it agrees to run as.
    fn make_cluster(&self) -> anyhow::Result<()> {
        let program = find(self.kind)?;
        if is_root() {
            let owned = Command::new("chown").arg("postgres").arg(&self.folder).status();
            anyhow::ensure!(owned?.success(), "the broker's folder can't be given to postgres");
        }
        let mut command = as_nobody_special(&program.with_file_name("initdb"));
        command.args(["-A", "trust", "-U", "portcullis", "-D"]).arg(&self.folder);
        let made = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        anyhow::ensure!(made.context("running initdb")?.success(), "initdb failed");
        Ok(())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The program in the search path, or where Debian keeps it.
fn find(kind: BrokerKind) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.push("/usr/sbin".into());
    for version in fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten() {
        folders.push(version.path().join("bin"));
    }
    let found = folders.into_iter().map(|folder| folder.join(kind.program()));
    match found.into_iter().find(|program| program.is_file()) {
        Some(program) => Ok(program),
        None => {
            let (program, package) = (kind.program(), kind.package());
            bail!("{program} is not installed; with it: apt-get install {package}")
        }
    }
}

/// PostgreSQL refuses to run as root.
fn as_nobody_special(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]).arg(program);
    command.current_dir("/");
    command
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}
