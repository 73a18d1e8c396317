//! One thread of the data plane: its runtime, its socket's accept loop, its drain.

use std::io;
use std::net::TcpListener as StdListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio_util::task::TaskTracker;

use crate::config::Limits;
use crate::peer::{Peer, Scheme};
use crate::shutdown::Drain;

use super::connection::{Setting, Visit};
use super::spares::Spares;
use super::{Handler, capacity::Capacity, tls::Tls, tune};

/// What one thread needs; made on the thread that starts it.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) socket: StdListener,
    pub(super) limits: Limits,
    pub(super) drain_timeout: Duration,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) capacity: Arc<Capacity>,
    pub(super) drain: Drain,
}

/// How long accepting rests when the system has no more descriptors or memory.
const EXHAUSTED: Duration = Duration::from_millis(50);

// === impl Worker ===

impl Worker {
    /// Runs on this thread until drained.
    pub(super) fn run_thread<H: Handler>(self, make_handler: impl FnOnce() -> H) {
        let runtime =
            Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        let ended = runtime.and_then(|runtime| {
            runtime.block_on(async {
                let handler = make_handler();
                self.run(handler).await
            })
        });
        if let Err(error) = ended {
            tracing::error!(error = &error as &dyn std::error::Error, "a worker cannot run");
        }
    }

    async fn run<H: Handler>(self, handler: H) -> io::Result<()> {
        let Self { socket, limits, drain_timeout, tls, capacity, mut drain } = self;
        let scheme = if tls.is_some() { Scheme::Https } else { Scheme::Http };
        let setting = Rc::new(Setting::new(limits, tls, Arc::clone(&capacity)));
        let listener = TcpListener::from_std(socket)?;
        let (connections, spares) = (TaskTracker::new(), Spares::new());
        let told = drain.clone();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = drain.begun() => break,
            };
            let (stream, client) = match accepted {
                Ok(accepted) => accepted,
                Err(error) if is_exhausted(&error) => {
                    tokio::time::sleep(EXHAUSTED).await;
                    continue;
                }
                // The client was gone before we looked (ECONNABORTED and the like).
                Err(_) => continue,
            };
            let Some(place) = capacity.enter(client.ip()) else { continue };
            let Some(peer) = peer_of(&stream, client, scheme) else { continue };
            tune(&stream);
            let (handler, spares) = (handler.clone(), Rc::clone(&spares));
            let visit = Visit { peer, handler, spares, drain: told.clone() };
            let setting = Rc::clone(&setting);
            connections.spawn_local(async move {
                let _place = place;
                setting.serve(stream, visit).await;
            });
        }
        drop(listener);
        connections.close();
        // What is left then is dropped with the runtime.
        drop(tokio::time::timeout(drain_timeout, connections.wait()).await);
        Ok(())
    }
}

// === free functions ===

fn peer_of(stream: &TcpStream, client: std::net::SocketAddr, scheme: Scheme) -> Option<Peer> {
    Some(Peer::new(client, stream.local_addr().ok()?, scheme))
}

/// ENFILE, EMFILE, ENOMEM, ENOBUFS: waiting may help, trying again at once will not.
fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24 | 12 | 105))
}
