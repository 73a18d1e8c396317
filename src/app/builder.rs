//! For programs that embed the library: the gateway with callbacks of their own.

use std::future::Future;
use std::path::PathBuf;

use crate::callback::{Answer, Caller, Closures};
use crate::config::Config;

use super::{App, AppError, BoundApp};

/// A gateway to be.
#[derive(Debug)]
pub struct AppBuilder {
    config: Config,
    origin: Option<PathBuf>,
    closures: Closures,
}

// === impl AppBuilder ===

impl AppBuilder {
    pub(super) fn new(config: Config) -> Self {
        Self { config, origin: None, closures: Closures::default() }
    }

    /// The file that a reload reads again; without one nothing can be reloaded.
    #[must_use]
    pub fn origin(mut self, path: impl Into<PathBuf>) -> Self {
        self.origin = Some(path.into());
        self
    }

    /// Registers the closure that `[callbacks.name]` with `kind = "closure"` asks, after the token was
    /// verified and checked here. It gives a [`Verdict`](crate::access::Verdict), or a `Result` whose error
    /// means that it can't answer now, so that `when_down` decides. It may wait, up to the callback's
    /// `timeout`, and must not block its thread.
    #[must_use]
    pub fn callback<F, Fut>(mut self, name: &str, closure: F) -> Self
    where
        F: Fn(Caller) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Into<Answer>> + Send + 'static,
    {
        self.closures.register(name, closure);
        self
    }

    /// Opens the store, binds both ports and builds the first snapshot.
    pub fn bind(self) -> Result<BoundApp, AppError> {
        let Self { config, origin, closures } = self;
        for name in closures.names() {
            if !config.callbacks.iter().any(|callback| &*callback.name == name) {
                tracing::warn!(
                    callback = name,
                    "a closure is registered that no [callbacks] names"
                );
            }
        }
        App::bind_with(config, origin, &closures)
    }
}
