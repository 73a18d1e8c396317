//! A program of its own around the gateway, with a callback in Rust: who is blocked, or has no plan, does not
//! pass, whatever the token says. `cargo run --example closure -- examples/closure.toml`

use std::collections::HashSet;
use std::error::Error;
use std::sync::{Arc, PoisonError, RwLock};

use portcullis::access::Verdict;
use portcullis::app::{App, AppError, BoundApp};
use portcullis::callback::Caller;
use portcullis::config::Config;
use portcullis::shutdown::Shutdown;
use serde::Deserialize;

/// What this program wants to know of a token.
#[derive(Debug, Deserialize)]
struct Account {
    sub: String,
    plan: Option<String>,
}

/// Stands for a database.
#[derive(Debug, Default)]
pub struct Blocked(RwLock<HashSet<String>>);

/// Why the database can't tell; then the callback's `when_down` decides.
#[derive(Debug)]
struct NoDatabase;

// === impl Blocked ===

impl Blocked {
    /// From the next question on.
    pub fn block(&self, subject: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(subject.to_owned());
    }

    /// The token was verified, is not revoked and suits the route before this is asked.
    async fn judge(&self, caller: Caller) -> Result<Verdict, NoDatabase> {
        let Ok(account) = caller.claims_as::<Account>() else { return Ok(Verdict::Deny) };
        if self.0.read().map_err(|_poisoned| NoDatabase)?.contains(&account.sub) {
            return Ok(Verdict::Inactive);
        }
        Ok(if account.plan.is_some() { Verdict::Allow } else { Verdict::Deny })
    }
}

/// The gateway of this configuration, which has `[callbacks.accounts]` with `kind = "closure"`.
pub fn gateway(config: Config, blocked: &Arc<Blocked>) -> Result<BoundApp, AppError> {
    let blocked = Arc::clone(blocked);
    App::builder(config)
        .callback("accounts", move |caller| {
            let blocked = Arc::clone(&blocked);
            async move { blocked.judge(caller).await }
        })
        .bind()
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "examples/closure.toml".to_owned());
    let blocked = Arc::new(Blocked::default());
    blocked.block("mallory");
    let app = gateway(Config::load(path.as_ref())?, &blocked)?;
    // Dropped with the process: this program is ended by a signal.
    let (_shutdown, drain) = Shutdown::new();
    app.run(drain)?;
    Ok(())
}
