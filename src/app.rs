//! Joins the rooms and runs them: bind everything, follow the feed, become ready, serve, drain.
//!
//! The data plane has its own threads (`listen`), the control port another; everything else that
//! waits for something runs on one background runtime.

mod asked;
mod builder;
mod cluster;
mod desk;
mod house;
mod status;
mod tasks;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use uuid::Uuid;

use crate::callback::Closures;
use crate::clock::{Clock, SystemClock};
use crate::config::{AccessLog as AccessLogConfig, Config};
use crate::control::{BindError, BoundAddress, BoundControl, Control};
use crate::feed::local::{LocalCopy, Reader};
use crate::feed::{Feed, Roster, Store, compaction, seen};
use crate::forward::Forwarder;
use crate::gateway::Gateway;
use crate::listen::{BoundListener, ListenError, Listener, Tls};
use crate::observe::access_log::{AccessLog, Destination, Writer};
use crate::observe::metrics::Metrics;
use crate::revocation::follower::Follower;
use crate::revocation::{FeedConfig, FeedError, NodeName, Revocations};
use crate::shutdown::{Drain, Shutdown};
use crate::snapshot::{Snapshot, SnapshotError};

pub use builder::AppBuilder;
pub use house::House;

use cluster::{Announced, Cluster, Voice, host_name};
use desk::BackgroundDesk;
use tasks::Tasks;

/// Where the parts are joined.
#[derive(Debug)]
pub struct App;

/// Everything bound and built; nothing served yet.
#[derive(Debug)]
pub struct BoundApp {
    listener: BoundListener,
    control: BoundControl,
    store: Store,
    copy: Option<LocalCopy>,
    follower: Follower<Reader<Announced<Feed, Roster>>>,
    cluster: Arc<Cluster<Roster>>,
    house: Arc<House>,
    writer: Writer,
    background: Runtime,
}

/// Why the gateway can't start.
#[derive(Debug, Error)]
pub enum AppError {
    /// The data listener.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The control port.
    #[error(transparent)]
    Control(#[from] BindError),
    /// The store.
    #[error(transparent)]
    Store(#[from] FeedError),
    /// The configuration reads well and can't run.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The access log.
    #[error("the access log can't be opened: {0}")]
    AccessLog(#[source] io::Error),
    /// A thread or runtime.
    #[error("a thread can't be started: {0}")]
    Thread(#[source] io::Error),
}

/// How often the store forgets what has expired.
const COMPACTION: Duration = Duration::from_secs(600);
/// How long the times at which tokens were last seen may take to be recorded at the end.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long the end waits for this node to leave the others.
const GOOD_BYE: Duration = Duration::from_secs(2);

// === impl App ===

impl App {
    /// Opens the store, binds both ports and builds the first snapshot. `origin` is the file that a
    /// reload reads again.
    pub fn bind(config: Config, origin: Option<PathBuf>) -> Result<BoundApp, AppError> {
        Self::bind_with(config, origin, &Closures::default())
    }

    /// For a program that embeds the library: the same, with callbacks of its own.
    pub fn builder(config: Config) -> AppBuilder {
        AppBuilder::new(config)
    }

    fn bind_with(
        config: Config,
        origin: Option<PathBuf>,
        closures: &Closures,
    ) -> Result<BoundApp, AppError> {
        // Twice is fine: the first provider stays.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let background = background()?;
        let metrics = Arc::new(Metrics::new());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = open(&background, &config.revocation.feed)?;
        let copy = config.revocation.local_copy.as_ref().map(LocalCopy::open).transpose()?;
        let listener = Listener::bind(&config.listener)?;
        let control = Control::bind(&config.control)?;
        let (log, writer) = AccessLog::open(access_log(&config), metrics.log_dropped.clone())
            .map_err(AppError::AccessLog)?;
        let revocation = &config.revocation;
        let revocations = Arc::new(Revocations::new(&revocation.claims, revocation.max_staleness));
        revocations.configure_register(revocation.mode, revocation.register.as_ref());
        let voice = Arc::new(voice(&store, &config, &revocations));
        let (follower, applied) = Follower::new(
            Reader::new(Announced::new(store.feed(), Arc::clone(&voice)), copy.as_ref())?,
            Arc::clone(&revocations),
            Arc::clone(&metrics),
            Arc::clone(&clock),
        );
        let cluster = Arc::new(Cluster::new(
            voice,
            applied.clone(),
            Arc::clone(&revocations),
            Arc::clone(&metrics),
            Arc::clone(&clock),
        ));
        let snapshot = Arc::new(Snapshot::build_with(Arc::new(config), &metrics, None, closures)?);
        metrics.config_generation.set(1);
        let gateway = Gateway::new(snapshot, revocations, clock, Arc::clone(&metrics), log);
        let tasks = Tasks::new(background.handle().clone());
        let writing = (store.log(), applied, Arc::clone(&cluster));
        let house = House::new(Arc::new(gateway), writing, origin, tasks).with_copy(copy.clone());
        let house = Arc::new(house);
        let desk = BackgroundDesk::new(&house, background.handle().clone());
        house.gateway().open_desk(Arc::new(desk));
        Ok(BoundApp {
            listener,
            control,
            store,
            copy,
            follower,
            cluster,
            house,
            writer,
            background,
        })
    }
}

impl App {
    /// Builds what would run and drops it: keys are read, certificates and routes checked, nothing is
    /// bound and no store opened.
    pub fn check(config: Config) -> Result<(), AppError> {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        if let Some(tls) = &config.listener.tls {
            Tls::load(tls).map_err(ListenError::Tls)?;
        }
        Snapshot::build(Arc::new(config), &Arc::new(Metrics::new()), None)?;
        Ok(())
    }
}

// === impl BoundApp ===

impl BoundApp {
    /// Where clients connect.
    pub const fn data_address(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// Where operators connect, when that is TCP.
    pub fn control_address(&self) -> Option<SocketAddr> {
        match self.control.local_addr().ok()? {
            BoundAddress::Tcp(address) => Some(address),
            BoundAddress::Unix(_) => None,
        }
    }

    /// The control port's address in words.
    pub fn control_place(&self) -> String {
        match self.control.local_addr() {
            Ok(BoundAddress::Tcp(address)) => address.to_string(),
            Ok(BoundAddress::Unix(path)) => format!("unix:{}", path.display()),
            Err(error) => error.to_string(),
        }
    }

    /// What may be asked of the running gateway from outside: reload, reopen the log.
    pub fn house(&self) -> Arc<House> {
        Arc::clone(&self.house)
    }

    /// Serves until `drain`, finishes what is in flight, and ends. Blocks.
    pub fn run(self, drain: Drain) -> Result<(), AppError> {
        let Self { listener, control, store, copy, follower, cluster, house, writer, background } =
            self;
        // The background outlives the data plane: requests in flight may still be revoked.
        let (end, ending) = Shutdown::new();
        house.start_tasks(&ending, &drain);
        background.spawn(follower.run(ending.clone()));
        if let Some(copy) = copy {
            let (log, house, mut ending) = (store.log(), Arc::clone(&house), ending.clone());
            background.spawn(async move {
                let freshness = house.gateway().revocations().freshness();
                tokio::select! {
                    () = ending.begun() => {}
                    () = copy.look_after(log, &**house.clock(), freshness, house.metrics_shared()) => {}
                }
            });
        }
        let announcing = background.spawn(cluster.run(ending.clone()));
        let (log, clock) = (store.log(), Arc::clone(house.clock()));
        let compacted = ending.clone();
        background.spawn(async move { compaction::run(log, &*clock, COMPACTION, compacted).await });
        let recorder = background.spawn(seen::run(
            store.log(),
            Arc::clone(house.gateway().revocations()),
            Arc::clone(house.clock()),
            ending.clone(),
        ));
        if let Some(reloader) = listener.tls_reloader() {
            background.spawn(reloader.run(ending.clone()));
        }
        let control = control.spawn(Arc::clone(&house), ending).map_err(AppError::Thread)?;
        let serving = serve(listener, &house, &drain);
        let served = serving.map(|serving| background.block_on(serving.finished()));
        end.begin();
        if control.join().is_err() {
            tracing::error!("the control port ended by a panic");
        }
        // What was seen last is still told; a store that is away is not waited for.
        drop(background.block_on(async { timeout(LAST_WORDS, recorder).await }));
        // It says good-bye to the other nodes, if that is quick.
        drop(background.block_on(async { timeout(GOOD_BYE, announcing).await }));
        background.shutdown_timeout(Duration::from_secs(5));
        writer.finish();
        served.map_err(Into::into)
    }
}

fn serve(
    listener: BoundListener,
    house: &House,
    drain: &Drain,
) -> Result<crate::listen::Serving, ListenError> {
    let gateway = Arc::clone(house.gateway());
    let metrics = Arc::clone(house.metrics_shared());
    let worker = move |_number| {
        // One count for both, and it is the worker's own: no request touches what other cores do.
        let rooms = Rc::new((Arc::clone(&gateway), Forwarder::new()));
        move |request, peer| {
            let rooms = Rc::clone(&rooms);
            async move { rooms.0.handle(&rooms.1, request, peer).await }
        }
    };
    listener.serve(worker, &metrics, drain)
}

fn access_log(config: &Config) -> Destination {
    match &config.log.access {
        AccessLogConfig::Off => Destination::Off,
        AccessLogConfig::Stdout => Destination::Stdout,
        AccessLogConfig::File(path) => Destination::File(path.clone()),
    }
}

fn voice(store: &Store, config: &Config, revocations: &Arc<Revocations>) -> Voice<Roster> {
    let name = config.revocation.node.clone().unwrap_or_else(host_name);
    let own = NodeName { name, id: Uuid::new_v4() };
    Voice::new(store.roster(), own, Arc::clone(revocations))
}

/// On a thread of its own: the caller may be inside another runtime.
fn open(background: &Runtime, config: &FeedConfig) -> Result<Store, AppError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("opening".to_owned());
        let opening = thread.spawn_scoped(scope, || background.block_on(Store::open(config)));
        let opened = opening.map_err(AppError::Thread)?.join();
        let broke = |_panic| FeedError::Corrupt("opening it failed".to_owned());
        Ok(opened.map_err(broke)??)
    })
}

fn background() -> Result<Runtime, AppError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("background")
        .enable_all()
        .build()
        .map_err(AppError::Thread)
}
