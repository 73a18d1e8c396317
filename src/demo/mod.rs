//! The whole product on one machine: a sample issuer and upstream, the real gateway in front of them
//! with its durable store, and curl lines to try. `--once` plays the story by itself and ends.

mod call;
mod services;
mod story;

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use jsonwebtoken::Algorithm;
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

use crate::app::{App, BoundApp};
use crate::config::Config;
use crate::shutdown::Shutdown;
use crate::token::mint::SigningKey;

use services::Issuer;

/// Everything the story and the reader need to know.
#[derive(Debug)]
struct Stage {
    folder: PathBuf,
    gateway: SocketAddr,
    control: SocketAddr,
    issuer: Arc<Issuer>,
    credential: String,
}

/// Runs the demo until `stop`, or to the story's end.
pub fn run(once: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the demo's runtime")?;
    let folder = std::env::temp_dir().join(format!("portcullis-demo-{}", std::process::id()));
    fs::create_dir_all(&folder).context("making the demo's folder")?;
    let played = play(&runtime, &folder, once, out);
    let cleared = fs::remove_dir_all(&folder).context("removing the demo's folder");
    played.and(cleared)
}

fn play(
    runtime: &tokio::runtime::Runtime,
    folder: &Path,
    once: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let (stage, app) = runtime.block_on(set(folder, once))?;
    let (shutdown, drain) = Shutdown::new();
    let running =
        std::thread::Builder::new().name("gateway".to_owned()).spawn(|| app.run(drain))?;
    let told = runtime.block_on(async {
        story::until_ready(&stage).await?;
        if once {
            return story::play(&stage, out).await;
        }
        story::invite(&stage, out)?;
        interrupted().await.context("waiting for Ctrl-C")
    });
    shutdown.begin();
    let ended = running.join().map_err(|_panic| anyhow::anyhow!("the gateway panicked"))?;
    told.and(ended.map_err(Into::into))
}

/// Waits for Ctrl-C, or to be told to end in another way.
async fn interrupted() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupt = tokio::signal::ctrl_c() => interrupt,
        _ = terminate.recv() => Ok(()),
    }
}

/// Starts the neighbours and binds the real gateway in front of them.
async fn set(folder: &Path, once: bool) -> anyhow::Result<(Stage, BoundApp)> {
    // The story runs beside whatever else is running; a reader gets ports to remember.
    let wished = |port| if once { 0 } else { port };
    let (upstream, upstream_at) = services::listen(wished(9000)).await?;
    let (keys, issuer_at) = services::listen(wished(9001)).await?;
    let name = format!("http://{issuer_at}/");
    let issuer = Arc::new(Issuer::new(SigningKey::generate(Algorithm::RS256)?, name));
    tokio::spawn(services::serve_upstream(upstream));
    tokio::spawn(services::serve_issuer(keys, Arc::clone(&issuer)));
    let credential = format!("demo-{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    write_private(&folder.join("control.token"), &credential)?;
    let text = |gateway, control| configuration(gateway, control, upstream_at, issuer_at);
    let origin = folder.join("gateway.toml");
    let bind = |gateway: u16, control: u16| -> anyhow::Result<BoundApp> {
        let text = text(gateway, control);
        fs::write(&origin, &text)?;
        Ok(App::bind(Config::parse(&text, &origin)?, None)?)
    };
    let app = bind(wished(8080), wished(9901)).or_else(|_taken| bind(0, 0))?;
    let gateway = app.data_address();
    let control = app.control_address().context("the demo's control port is TCP")?;
    Ok((Stage { folder: folder.to_owned(), gateway, control, issuer, credential }, app))
}

fn configuration(gateway: u16, control: u16, upstream: SocketAddr, issuer: SocketAddr) -> String {
    format!(
        r#"# Written by `portcullis demo`.
[listener]
address = "127.0.0.1:{gateway}"

[control]
address = "127.0.0.1:{control}"
credentials = [{{ name = "demo", secret = {{ file = "control.token" }}, role = "admin" }}]

[log]
access = "off"

[[issuers]]
name = "demo"
issuer = "http://{issuer}/"
audiences = ["orders-api"]
algorithms = ["RS256"]
keys = {{ jwks_url = "http://{issuer}/.well-known/jwks.json" }}

[revocation]
embedded = {{ path = "revocations.redb" }}

[upstreams.orders]
endpoints = ["http://{upstream}"]

[[routes]]
name = "orders"
path = "/orders/"
upstream = "orders"
auth = "required"
token_types = ["access"]
scopes = ["orders:read"]
forward = {{ claims = {{ sub = "X-Auth-Subject" }} }}

[[routes]]
name = "refresh"
path = "=/refresh"
upstream = "orders"
auth = "required"
token_types = ["refresh"]
forward = {{ claims = {{ sub = "X-Auth-Subject" }} }}
"#,
        gateway = gateway,
        control = control,
    )
}

/// Writes a file that only its owner may read.
fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    let mut file = options.create(true).write(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(())
}
