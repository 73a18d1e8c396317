//! The commands that start the gateway: `run`, `check` and `demo`; and the signals it listens to.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::app::{App, AppError, BoundApp, House};
use crate::config::Config;
use crate::demo::{self, BrokerKind};
use crate::observe::Diagnostics;
use crate::shutdown::Shutdown;

use super::Failure;
use super::output;

/// Signals that matter, as streams.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// Runs the gateway until SIGTERM or Ctrl-C; SIGHUP reloads.
pub(super) fn run(path: &Path) -> Result<(), Failure> {
    let config = read(path)?;
    // Until the end: a line may be the last word of what went wrong.
    let (diagnostics, _writer) = Diagnostics::start()
        .context("starting the thread of diagnostics")
        .map_err(Failure::Failed)?;
    show_diagnostics(&config.log.level, BoxMakeWriter::new(diagnostics));
    let app = App::bind(config, Some(path.to_owned())).map_err(refused)?;
    serve(app).map_err(Failure::Failed)
}

/// Reads the configuration and loads what it names, without binding anything.
pub(super) fn check(path: &Path) -> Result<String, Failure> {
    let config = read(path)?;
    let (issuers, routes) = (config.issuers.len(), config.routes.len());
    App::check(config).map_err(refused)?;
    Ok(format!("{}: good (issuers: {issuers}, routes: {routes})", path.display()))
}

pub(super) fn demo(once: bool) -> Result<(), Failure> {
    show_diagnostics("warn", BoxMakeWriter::new(std::io::stderr));
    demo::run(once, &mut output::out()).map_err(Failure::Failed)
}

pub(super) fn cluster_demo(feed: BrokerKind) -> Result<(), Failure> {
    // The broker's death is part of the story; the gateways' warnings of it are not.
    show_diagnostics("off", BoxMakeWriter::new(std::io::stderr));
    demo::cluster::run(feed, &mut output::out()).map_err(Failure::Failed)
}

fn read(path: &Path) -> Result<Config, Failure> {
    Config::load(path).map_err(|errors| Failure::Usage(errors.to_string()))
}

/// What is wrong with the configuration is bad usage; the rest is a failure.
fn refused(error: AppError) -> Failure {
    match error {
        AppError::Snapshot(error) => Failure::Usage(error.to_string()),
        other => Failure::Failed(other.into()),
    }
}

fn serve(app: BoundApp) -> anyhow::Result<()> {
    let (data, control) = (app.data_address(), app.control_place());
    let house = app.house();
    let (shutdown, drain) = Shutdown::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime of signals")?;
    let signals = runtime.block_on(async { Signals::new() }).context("listening to signals")?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || runtime.block_on(obey(signals, &house, &shutdown)))
        .context("starting the thread of signals")?;
    tracing::info!(%data, %control, version = env!("CARGO_PKG_VERSION"), "listening");
    app.run(drain)?;
    tracing::info!("drained and stopped");
    Ok(())
}

async fn obey(mut signals: Signals, house: &Arc<House>, shutdown: &Shutdown) {
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => shutdown.begin(),
            _ = signals.interrupt.recv() => shutdown.begin(),
            _ = signals.hangup.recv() => {
                house.reopen_log();
                // Either outcome is logged there.
                drop(house.reload_now());
            }
        }
    }
}

// === impl Signals ===

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// Diagnostics go to standard error; `RUST_LOG` overrides the configured level.
fn show_diagnostics(level: &str, writer: BoxMakeWriter) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_unset| EnvFilter::new(level));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    // Someone else's subscriber, in a program that embeds us, stays.
    drop(subscriber.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init());
}
