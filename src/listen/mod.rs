//! The front door: sockets, connections, TLS and the limits that hold before a request is known.
//!
//! Every worker is one thread with its own socket of the same address, so that a request never crosses
//! a core. What to answer is given in as a function; this room knows nothing of tokens or routes.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use thiserror::Error;
use tokio::sync::mpsc;

use crate::config::ListenerConfig;
use crate::observe::Metrics;
use crate::peer::Peer;
use crate::shutdown::Drain;

mod activity;
mod capacity;
mod connection;
mod presence;
mod sniff;
mod spares;
mod tls;
mod worker;

pub use tls::{Tls, TlsError, TlsReloader};

use capacity::Capacity;
use worker::Worker;

/// Answers one request. Made inside each worker's thread, so neither it nor its futures need be `Send`.
pub trait Handler: Clone + 'static {
    /// The answer's body.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Unpin
        + 'static;

    /// The answer on its way.
    type Future: Future<Output = Response<Self::Body>> + 'static;

    /// Answers; dropping the future means that the client has left.
    fn handle(&self, request: Request<Incoming>, peer: Rc<Peer>) -> Self::Future;
}

/// Where a listener is made.
#[derive(Debug)]
pub struct Listener;

/// Sockets that are bound and listening; connections wait in the kernel until [`Self::serve`].
#[derive(Debug)]
pub struct BoundListener {
    sockets: Vec<StdListener>,
    address: SocketAddr,
    config: ListenerConfig,
    tls: Option<Arc<Tls>>,
}

/// The running workers.
#[derive(Debug)]
pub struct Serving {
    threads: Vec<JoinHandle<()>>,
    ended: mpsc::Receiver<()>,
}

/// Why the listener cannot start.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The address cannot be bound.
    #[error("cannot listen on {address}")]
    Bind {
        /// What was asked for.
        address: SocketAddr,
        /// The system's word.
        source: io::Error,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A worker's thread or runtime cannot be made.
    #[error("cannot start a worker")]
    Worker(#[source] io::Error),
}

/// Connections the kernel keeps for us between two accepts.
const BACKLOG: i32 = 4096;

// === impl Handler ===

impl<H, F, B> Handler for H
where
    H: Fn(Request<Incoming>, Rc<Peer>) -> F + Clone + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin + 'static,
{
    type Body = B;
    type Future = F;

    fn handle(&self, request: Request<Incoming>, peer: Rc<Peer>) -> F {
        self(request, peer)
    }
}

// === impl Listener ===

impl Listener {
    /// Binds one socket a worker and reads the certificate; nothing is accepted yet.
    pub fn bind(config: &ListenerConfig) -> Result<BoundListener, ListenError> {
        let tls = config.tls.as_ref().map(Tls::load).transpose()?.map(Arc::new);
        let sockets = bind_all(config.address, config.workers.max(1))
            .map_err(|source| ListenError::Bind { address: config.address, source })?;
        let address = sockets
            .first()
            .map_or(Ok(config.address), StdListener::local_addr)
            .map_err(|source| ListenError::Bind { address: config.address, source })?;
        Ok(BoundListener { sockets, address, config: config.clone(), tls })
    }
}

// === impl BoundListener ===

impl BoundListener {
    /// The address clients connect to; the chosen port when the configured one was 0.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What reads the certificate again when its files change; `None` without TLS.
    pub fn tls_reloader(&self) -> Option<TlsReloader> {
        self.tls.clone().map(TlsReloader::new)
    }

    /// Starts the workers. `make_handler` runs in each worker's thread, inside its runtime, with the
    /// worker's number.
    pub fn serve<M, H>(
        self,
        make_handler: M,
        metrics: &Arc<Metrics>,
        drain: &Drain,
    ) -> Result<Serving, ListenError>
    where
        M: Fn(usize) -> H + Clone + Send + 'static,
        H: Handler,
    {
        let capacity = Arc::new(Capacity::new(self.config.limits.connections, Arc::clone(metrics)));
        let (alive, ended) = mpsc::channel(1);
        let mut threads = Vec::with_capacity(self.sockets.len());
        for (number, socket) in self.sockets.into_iter().enumerate() {
            let worker = Worker {
                socket,
                limits: self.config.limits,
                drain_timeout: self.config.drain_timeout,
                tls: self.tls.clone(),
                capacity: Arc::clone(&capacity),
                drain: drain.clone(),
            };
            let make_handler = make_handler.clone();
            let alive = alive.clone();
            let thread = std::thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || {
                    let _alive = alive;
                    worker.run_thread(|| make_handler(number));
                })
                .map_err(ListenError::Worker)?;
            threads.push(thread);
        }
        Ok(Serving { threads, ended })
    }
}

// === impl Serving ===

impl Serving {
    /// Waits until every worker has drained and ended.
    pub async fn finished(mut self) {
        // Nobody sends: this ends when the last worker's sender is gone.
        while self.ended.recv().await.is_some() {}
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker ended by a panic");
            }
        }
    }
}

// === free functions ===

fn bind_all(address: SocketAddr, count: usize) -> io::Result<Vec<StdListener>> {
    if address.port() != 0 {
        // SO_REUSEPORT would let a second gateway share the port in silence: ask without it first.
        drop(open(address, false)?);
    }
    let first = open(address, true)?;
    let actual = first.local_addr()?.as_socket().unwrap_or(address);
    let mut sockets = vec![first];
    for _ in 1..count {
        sockets.push(open(actual, true)?);
    }
    sockets
        .into_iter()
        .map(|socket| {
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        })
        .collect()
}

fn open(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Small answers leave at once, and a peer that vanished is noticed.
fn tune(stream: &tokio::net::TcpStream) {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(std::time::Duration::from_secs(60))
        .with_interval(std::time::Duration::from_secs(15));
    // A socket that refuses still works.
    drop(socket.set_tcp_nodelay(true));
    drop(socket.set_tcp_keepalive(&keepalive));
}
