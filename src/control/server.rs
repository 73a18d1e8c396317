//! The port itself: bound early, served on a thread of its own, bounded in connections and time.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZero;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::{ControlAddress, ControlConfig};
use crate::shutdown::Drain;

use super::guard::{self, Shared};
use super::host::Arrival;
use super::socket::{self, SocketFile};
use super::stall::Stall;
use super::{CredentialError, Credentials, Gatehouse};

/// Connections at one time; a further one waits for its turn.
const CONNECTIONS: usize = 256;
/// Threads that answer calls: one for so many cores, the others have requests and the store.
const CORES_EACH: usize = 2;
/// At most.
const WORKERS: usize = 4;
/// From accept, or the last answer, to a whole head.
pub(super) const HEAD_TIME: Duration = Duration::from_secs(10);
/// A request's head, in bytes.
const HEAD_BYTES: usize = 32 * 1024;
/// How long a drain waits for calls under way.
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// How long an answer may wait for its reader to take any of it.
const STALL_TIME: Duration = Duration::from_secs(30);
/// After an accept that failed (out of descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The control port; see [`Control::bind`].
#[derive(Debug)]
pub struct Control;

/// The control port, bound and not yet answering.
#[derive(Debug)]
pub struct BoundControl {
    listener: Bound,
    credentials: Credentials,
    connections: usize,
    head_time: Duration,
}

/// Where the port listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BoundAddress {
    /// The address, with the port the system chose if the configuration left it open.
    Tcp(SocketAddr),
    /// The socket's path.
    Unix(PathBuf),
}

/// Why the port can't be had.
#[derive(Debug, Error)]
pub enum BindError {
    /// The address.
    #[error("the control port can't listen on {address}: {error}")]
    Listen {
        /// Which.
        address: String,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// The credentials.
    #[error("the control port has no credentials: {0}")]
    Credentials(#[from] CredentialError),
}

#[derive(Debug)]
enum Bound {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// A listener of the runtime.
enum Accepting {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

/// What serves connections, and knows those that are open.
struct Serving<G> {
    http: http1::Builder,
    shared: Arc<Shared<G>>,
    graceful: GracefulShutdown,
}

/// One accepted connection.
enum Accepted {
    Tcp(tokio::net::TcpStream, SocketAddr),
    Unix(tokio::net::UnixStream),
}

// === impl Control ===

impl Control {
    /// Binds the address, and makes the credential file at first start.
    pub fn bind(config: &ControlConfig) -> Result<BoundControl, BindError> {
        let listener = match &config.address {
            ControlAddress::Tcp(address) => TcpListener::bind(address)
                .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
                .map(Bound::Tcp)
                .map_err(|error| BindError::Listen { address: address.to_string(), error })?,
            ControlAddress::Unix(path) => socket::bind(path)
                .and_then(|(listener, file)| {
                    listener.set_nonblocking(true).map(|()| Bound::Unix(listener, file))
                })
                .map_err(|error| {
                    let address = path.display().to_string();
                    BindError::Listen { address, error }
                })?,
        };
        let credentials = Credentials::open(config)?;
        Ok(BoundControl { listener, credentials, connections: CONNECTIONS, head_time: HEAD_TIME })
    }
}

// === impl BoundControl ===

impl BoundControl {
    /// Where it listens.
    pub fn local_addr(&self) -> io::Result<BoundAddress> {
        match &self.listener {
            Bound::Tcp(listener) => listener.local_addr().map(BoundAddress::Tcp),
            Bound::Unix(_, file) => Ok(BoundAddress::Unix(file.path().to_owned())),
        }
    }

    /// Fewer connections at one time than usual, for a test that uses them all.
    #[cfg(test)]
    pub(super) fn with_connections(self, connections: usize) -> Self {
        Self { connections, ..self }
    }

    /// Less time for a head than usual, for a test that waits for its end.
    #[cfg(test)]
    pub(super) fn with_head_time(self, head_time: Duration) -> Self {
        Self { head_time, ..self }
    }

    /// Serves on threads of its own, so that a busy data plane does not silence it.
    pub fn spawn<G: Gatehouse>(
        self,
        house: Arc<G>,
        drain: Drain,
    ) -> io::Result<JoinHandle<io::Result<()>>> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        // A runtime of one thread would be woken by a system call for each answer of the store.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads((cores / CORES_EACH).clamp(1, WORKERS))
            .thread_name("control")
            .enable_all()
            .build()?;
        let serve = move || runtime.block_on(self.run(house, drain));
        thread::Builder::new().name("control".into()).spawn(serve)
    }

    /// Serves on the current runtime until the drain; then calls under way have five seconds.
    pub async fn run<G: Gatehouse>(self, house: Arc<G>, mut drain: Drain) -> io::Result<()> {
        let (listener, file) = match self.listener {
            Bound::Tcp(listener) => {
                (Accepting::Tcp(tokio::net::TcpListener::from_std(listener)?), None)
            }
            Bound::Unix(listener, file) => {
                (Accepting::Unix(tokio::net::UnixListener::from_std(listener)?), Some(file))
            }
        };
        let serving =
            Serving::new(Shared::new(house, self.credentials, drain.clone()), self.head_time);
        tokio::select! {
            () = serving.accept_all(&listener, self.connections) => {}
            () = drain.begun() => {}
        }
        drop((listener, file));
        drop(tokio::time::timeout(DRAIN_TIME, serving.graceful.shutdown()).await);
        Ok(())
    }
}

// === impl Accepting ===

impl Accepting {
    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                // Bound to 0.0.0.0, only the connection knows which address was meant.
                let local = stream.local_addr()?;
                Ok(Accepted::Tcp(stream, local))
            }
            Self::Unix(listener) => Ok(Accepted::Unix(listener.accept().await?.0)),
        }
    }
}

// === impl Serving ===

impl<G: Gatehouse> Serving<G> {
    fn new(shared: Shared<G>, head_time: Duration) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(head_time).max_header_size(HEAD_BYTES);
        Self { http, shared: Arc::new(shared), graceful: GracefulShutdown::new() }
    }

    async fn accept_all(&self, listener: &Accepting, connections: usize) {
        let places = Arc::new(Semaphore::new(connections));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok(Accepted::Tcp(stream, local)) => {
                    self.connect(stream, Arrival(Some(local)), place);
                }
                Ok(Accepted::Unix(stream)) => self.connect(stream, Arrival(None), place),
                Err(error) => {
                    tracing::warn!(%error, "the control port could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Serves one connection in a task.
    fn connect<S>(&self, stream: S, arrival: Arrival, place: OwnedSemaphorePermit)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let service =
            service_fn(move |request| guard::answer(Arc::clone(&shared), arrival, request));
        let stream = TokioIo::new(Stall::new(stream, STALL_TIME));
        let connection = self.graceful.watch(self.http.serve_connection(stream, service));
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a control connection ended badly");
            }
        });
    }
}
