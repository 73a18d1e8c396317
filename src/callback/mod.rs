//! The callback room: somebody else is asked about a token that was verified and checked here. By token
//! introspection (RFC 7662), a plain HTTP callback, or a closure of the program that embeds the library.
//!
//! Questions are asked on threads of their own, one a token, bounded in time, number and size; their
//! verdicts are kept in a bounded cache. What happens when no answer comes is the configuration's word.

mod ask;
mod cache;
mod client;
mod closure;
mod error;
mod flights;
mod health;
mod introspection;
mod series;
mod verdict;

use std::collections::HashMap;
use std::sync::Arc;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::access::Verdict;
use crate::clock::UnixTime;
use crate::config::{CallbackConfig, CallbackKind};
use crate::observe::metrics::Metrics;

pub use ask::{Callback, Question};
pub use closure::{Answer, Caller, Closures};
pub use error::{CallbackError, CallbackSetupError};

use introspection::Introspection;
use verdict::VerdictService;

/// The callbacks of one configuration.
#[derive(Debug, Default)]
pub struct Callbacks {
    by_name: HashMap<Arc<str>, Arc<Callback>>,
    closures: Closures,
    threads: Option<Arc<Threads>>,
}

/// Whoever is asked.
#[derive(Debug)]
enum Source {
    Introspection(Introspection),
    Service(VerdictService),
    Closure(closure::Closure),
}

/// A verdict, and until when it may be kept at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answered {
    verdict: Verdict,
    expires_at: Option<UnixTime>,
}

/// Where questions are asked: neither on the request path nor beside the follower, which no flood and no
/// closure may hold up.
#[derive(Debug)]
struct Threads(Option<Runtime>);

/// How many threads ask.
const THREADS: usize = 2;

// === impl Callbacks ===

impl Callbacks {
    /// Builds what the configuration names; one that did not change is taken over from `previous` with
    /// its verdicts and connections.
    pub fn build(
        wanted: &[CallbackConfig],
        closures: &Closures,
        metrics: &Metrics,
        previous: Option<&Self>,
    ) -> Result<Self, (Arc<str>, CallbackSetupError)> {
        let closures = closures.clone();
        let Some(first) = wanted.first() else { return Ok(Self { closures, ..Self::default() }) };
        let before = previous.and_then(|previous| previous.threads.clone());
        let threads = match before {
            Some(threads) => threads,
            None => Threads::start().map_err(|error| (Arc::clone(&first.name), error.into()))?,
        };
        let build = |config: &CallbackConfig| {
            let name = Arc::clone(&config.name);
            let before = previous.and_then(|previous| previous.by_name.get(&name));
            if let Some(same) = before.filter(|before| before.config() == config) {
                return Ok((name, Arc::clone(same)));
            }
            let source = Source::of(config, &closures).map_err(|error| (name.clone(), error))?;
            let callback = Callback::new(config.clone(), source, metrics, threads.handle());
            Ok((name, Arc::new(callback)))
        };
        let by_name = wanted.iter().map(build).collect::<Result<_, _>>()?;
        Ok(Self { by_name, closures, threads: Some(threads) })
    }

    /// The callback of that name.
    pub fn find(&self, name: &str) -> Option<&Arc<Callback>> {
        self.by_name.get(name)
    }

    /// The closures that are registered, for the next configuration.
    pub const fn closures(&self) -> &Closures {
        &self.closures
    }
}

// === impl Source ===

impl Source {
    fn of(config: &CallbackConfig, closures: &Closures) -> Result<Self, CallbackSetupError> {
        Ok(match &config.kind {
            CallbackKind::Introspection { endpoint, client_id, client_secret } => {
                Self::Introspection(Introspection::new(endpoint, client_id, client_secret)?)
            }
            CallbackKind::Http { endpoint, bearer_secret } => {
                let name = Arc::clone(&config.name);
                Self::Service(VerdictService::new(name, endpoint, bearer_secret.as_ref())?)
            }
            CallbackKind::Closure => {
                let closure = closures.find(&config.name);
                Self::Closure(closure.ok_or(CallbackSetupError::NoClosure)?)
            }
        })
    }

    async fn ask(
        &self,
        token: &str,
        caller: Caller,
        now: UnixTime,
    ) -> Result<Answered, CallbackError> {
        match self {
            Self::Introspection(endpoint) => endpoint.ask(token, &caller, now).await,
            Self::Service(service) => service.ask(&caller).await,
            Self::Closure(closure) => {
                let Answer(verdict) = closure.ask(caller).await;
                verdict.map(Answered::from).ok_or(CallbackError::Unavailable)
            }
        }
    }
}

// === impl Answered ===

impl From<Verdict> for Answered {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, expires_at: None }
    }
}

// === impl Threads ===

impl Threads {
    fn start() -> std::io::Result<Arc<Self>> {
        let mut builder = Builder::new_multi_thread();
        let runtime =
            builder.worker_threads(THREADS).thread_name("callbacks").enable_all().build()?;
        Ok(Arc::new(Self(Some(runtime))))
    }

    fn handle(&self) -> Handle {
        // Only `drop` takes it.
        self.0.as_ref().expect("it runs until it is dropped").handle().clone()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // The last request of an old configuration may end on a thread that must not wait.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests;
