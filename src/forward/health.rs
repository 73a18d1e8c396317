//! Active checks of endpoints, on the control runtime; the data plane reads one atomic.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::config::HealthConfig;
use crate::shutdown::Drain;

use super::upstream::{Endpoint, Upstream};

/// Checks the endpoints of one snapshot's upstreams; dropped when another snapshot takes over.
#[derive(Debug)]
pub struct HealthChecker {
    upstreams: Vec<Arc<Upstream>>,
}

/// Successes and failures in a row.
#[derive(Debug, Default)]
struct Run {
    good: u32,
    bad: u32,
}

// === impl HealthChecker ===

impl HealthChecker {
    /// A checker of those among the upstreams that ask for checks.
    pub const fn new(upstreams: Vec<Arc<Upstream>>) -> Self {
        Self { upstreams }
    }

    /// Checks until told to stop.
    pub async fn run(self, mut drain: Drain) {
        let checks = self.upstreams.iter().filter_map(|upstream| {
            let health = upstream.health.as_ref()?;
            let endpoints = upstream.endpoints().iter();
            Some(join_all(endpoints.map(move |endpoint| watch(upstream, endpoint, health))))
        });
        tokio::select! {
            _ = join_all(checks) => {}
            () = drain.begun() => {}
        }
    }
}

// === impl Run ===

impl Run {
    /// Counts one check; says when the endpoint's state changes.
    const fn count(&mut self, good: bool, was: bool, health: &HealthConfig) -> Option<bool> {
        if good {
            *self = Self { good: self.good.saturating_add(1), bad: 0 };
        } else {
            *self = Self { good: 0, bad: self.bad.saturating_add(1) };
        }
        match was {
            true if self.bad >= health.unhealthy_after => Some(false),
            false if self.good >= health.healthy_after => Some(true),
            _ => None,
        }
    }
}

// === free functions ===

async fn watch(upstream: &Upstream, endpoint: &Endpoint, health: &HealthConfig) {
    let mut clock = interval(health.interval);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let patience = upstream.connect_timeout + upstream.response_timeout.min(health.interval);
    let mut run = Run::default();
    loop {
        clock.tick().await;
        let good = is_good(endpoint, health, patience).await;
        if let Some(healthy) = run.count(good, endpoint.is_healthy(), health) {
            endpoint.set_healthy(healthy);
            tracing::warn!(upstream = %upstream.name(), endpoint = %endpoint.uri(), healthy, "endpoint health changed");
        }
    }
}

async fn is_good(endpoint: &Endpoint, health: &HealthConfig, patience: Duration) -> bool {
    matches!(timeout(patience, ask(endpoint, health)).await, Ok(Some(true)))
}

/// One GET on a connection of its own.
async fn ask(endpoint: &Endpoint, health: &HealthConfig) -> Option<bool> {
    let stream = TcpStream::connect(endpoint.address()).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let authority = endpoint.uri().authority().map_or("", http::uri::Authority::as_str);
    let request = Request::get(health.path.as_str())
        .header(header::HOST, authority)
        .header(header::USER_AGENT, "portcullis-health")
        .body(Empty::<Bytes>::new())
        .ok()?;
    // Ends with the sender, also when this check is given up.
    drop(tokio::spawn(connection));
    let status = sender.send_request(request).await.ok()?.status();
    Some(status.is_success() || status.is_redirection())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_changes_after_as_many_in_a_row_as_configured() {
        let health = HealthConfig {
            path: "/healthz".parse().unwrap(),
            interval: Duration::from_secs(5),
            unhealthy_after: 3,
            healthy_after: 2,
        };
        let mut run = Run::default();
        let mut healthy = true;
        let mut states = Vec::new();
        for good in [false, false, true, false, false, false, false, true, false, true, true] {
            healthy = run.count(good, healthy, &health).unwrap_or(healthy);
            states.push(healthy);
        }
        let want = [true, true, true, true, true, false, false, false, false, false, true];
        assert_eq!(states, want);
    }
}
