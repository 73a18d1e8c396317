//! Callbacks of a program that embeds the library: async closures, registered by name.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::access::Verdict;
use crate::revocation::Named;
use crate::token::{Claims, TokenType};

/// Whose token it is: verified, not revoked, not expired, and good enough for the route.
#[derive(Clone)]
pub struct Caller(Arc<Named>);

/// What a closure gives back: a [`Verdict`], or a `Result` whose error means that it can't answer now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer(pub(super) Option<Verdict>);

/// Closures by name.
#[derive(Clone, Debug, Default)]
pub struct Closures(HashMap<Arc<str>, Closure>);

/// One of them.
#[derive(Clone)]
pub(super) struct Closure(Arc<dyn Fn(Caller) -> BoxFuture<'static, Answer> + Send + Sync>);

// === impl Caller ===

impl Caller {
    pub(super) const fn new(named: Arc<Named>) -> Self {
        Self(named)
    }

    /// The token's claims.
    pub fn claims(&self) -> &Claims {
        self.0.verified().claims()
    }

    /// The claims as a type of the caller's own.
    pub fn claims_as<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_value(Value::Object(self.claims().object().to_object()))
    }

    /// The configured name of the token's issuer.
    pub fn issuer(&self) -> &str {
        self.0.verified().issuer()
    }

    /// What the token is for.
    pub fn token_type(&self) -> TokenType {
        self.0.verified().token_type()
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("issuer", &self.issuer()).finish_non_exhaustive()
    }
}

// === impl Answer ===

impl From<Verdict> for Answer {
    fn from(verdict: Verdict) -> Self {
        Self(Some(verdict))
    }
}

impl<E> From<Result<Verdict, E>> for Answer {
    fn from(result: Result<Verdict, E>) -> Self {
        Self(result.ok())
    }
}

// === impl Closures ===

impl Closures {
    /// Registers a closure; another of the same name is replaced. It runs beside the request path and
    /// must not block its thread.
    pub fn register<F, Fut>(&mut self, name: &str, closure: F)
    where
        F: Fn(Caller) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Into<Answer>> + Send + 'static,
    {
        let boxed = move |caller| -> BoxFuture<'static, Answer> {
            let answer = closure(caller);
            Box::pin(async move { answer.await.into() })
        };
        self.0.insert(name.into(), Closure(Arc::new(boxed)));
    }

    /// The registered names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|name| &**name)
    }

    pub(super) fn find(&self, name: &str) -> Option<Closure> {
        self.0.get(name).cloned()
    }
}

// === impl Closure ===

impl Closure {
    pub(super) async fn ask(&self, caller: Caller) -> Answer {
        (self.0)(caller).await
    }
}

impl fmt::Debug for Closure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closure(..)")
    }
}
