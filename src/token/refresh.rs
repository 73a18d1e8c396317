//! Key sets kept up to date in the background: fetched again, read again, and given up when they
//! could not be confirmed for a day.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use thiserror::Error;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use crate::backoff::{Backoff, jittered};
use crate::clock::Clock;
use crate::observe::metrics::Metrics;
use crate::shutdown::Drain;

use self::fetch::FetchError;
use self::origin::Origin;
use super::{KeySet, KeysConfig, KeysError, TrustedIssuer};

mod fetch;
mod origin;

/// Between two fetches when the server does not say.
const INTERVAL: Duration = Duration::from_secs(5 * 60);
/// What a server may say with `Cache-Control: max-age`.
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// Between two fetches for the sake of unknown `kid`s, whoever sends how many (security.md A45).
const COOLDOWN: Duration = Duration::from_secs(30);
/// Between attempts after a failure.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How long the last good set is used without being confirmed (security.md A47).
const STALE_IF_ERROR: Duration = Duration::from_secs(24 * 60 * 60);
/// Between two looks at a file.
const POLL: Duration = Duration::from_secs(2);

/// Keeps one issuer's keys up to date.
#[derive(Clone, Copy, Debug)]
pub struct KeyRefresher;

/// The work itself, wherever the document comes from.
struct Refresh<O> {
    issuer: Arc<TrustedIssuer>,
    origin: O,
    clock: Arc<dyn Clock>,
    series: Series,
    /// SHA-256 of the document the keys came from.
    loaded: Option<[u8; 32]>,
    confirmed: Option<Instant>,
}

/// Where key documents come from; the tests have their own.
trait DocumentOrigin {
    /// Gets the document as it is now.
    fn document(&self) -> impl Future<Output = Result<Document, RefreshError>> + Send;

    /// How often to look when the document does not say.
    fn interval(&self) -> Duration;
}

/// A key document and for how long it is said to be good.
struct Document {
    bytes: Vec<u8>,
    max_age: Option<Duration>,
}

/// Why keys could not be refreshed. No variant carries the document.
#[derive(Debug, Error)]
enum RefreshError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Keys(#[from] KeysError),
}

/// This issuer's handles of the metrics.
struct Series {
    loaded: Counter,
    unchanged: Counter,
    failed: Counter,
    keys: Gauge,
    confirmed: Gauge,
}

// === impl KeyRefresher ===

impl KeyRefresher {
    /// Keeps the issuer's keys up to date until the drain begins. Returns at once for a secret.
    pub async fn run(
        issuer: Arc<TrustedIssuer>,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
        drain: Drain,
    ) {
        let series = Series::of(&metrics, &issuer.config().name);
        if let Some(keys) = issuer.keys() {
            series.keys.set(keys.keys().len() as i64);
            series.confirmed.set(clock.now().as_secs() as i64);
        }
        let origin = match Origin::of(issuer.config()) {
            Ok(Some(origin)) => origin,
            Ok(None) => return,
            Err(error) => {
                warn!(issuer = %issuer.config().name, %error, "keys can't be fetched");
                return;
            }
        };
        let (loaded, confirmed) = (None, None);
        let refresh = Refresh { issuer, origin, clock, series, loaded, confirmed };
        refresh.keep_going(drain).await;
    }
}

// === impl Refresh ===

impl<O: DocumentOrigin> Refresh<O> {
    async fn keep_going(mut self, mut drain: Drain) {
        let issuer = Arc::clone(&self.issuer);
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        let mut due = Instant::now();
        let mut unknown_key_from = due;
        loop {
            let asked = tokio::select! {
                biased;
                () = drain.begun() => return,
                () = sleep_until(due) => false,
                () = wanted_after(&issuer, unknown_key_from) => true,
            };
            if asked {
                unknown_key_from = Instant::now() + COOLDOWN;
            }
            let refreshed = tokio::select! {
                biased;
                () = drain.begun() => return,
                refreshed = self.once() => refreshed,
            };
            due = Instant::now()
                + match refreshed {
                    Ok(good_for) => {
                        backoff.reset();
                        good_for
                    }
                    Err(error) => {
                        self.failed(&error);
                        backoff.next_delay()
                    }
                };
        }
    }

    /// Gets the document, takes it over if it is another one, and says when to look again.
    async fn once(&mut self) -> Result<Duration, RefreshError> {
        let document = self.origin.document().await?;
        let fingerprint = fingerprint(&document.bytes);
        if self.loaded == Some(fingerprint) {
            self.series.unchanged.inc();
        } else {
            let keys = parse(&self.issuer, &document.bytes)?;
            self.take_over(keys, fingerprint);
        }
        self.confirmed = Some(Instant::now());
        self.series.confirmed.set(self.clock.now().as_secs() as i64);
        let max_age = document.max_age.map(|age| age.clamp(SHORTEST, LONGEST));
        Ok(jittered(max_age.unwrap_or_else(|| self.origin.interval())))
    }

    fn take_over(&mut self, keys: KeySet, fingerprint: [u8; 32]) {
        let name = &self.issuer.config().name;
        info!(issuer = %name, keys = keys.keys().len(), dropped = keys.dropped(), "keys loaded");
        self.series.loaded.inc();
        self.series.keys.set(keys.keys().len() as i64);
        self.issuer.set_keys(keys);
        self.loaded = Some(fingerprint);
    }

    /// Counts a failure; the last good keys stay until they are too old.
    fn failed(&mut self, error: &RefreshError) {
        let name = &self.issuer.config().name;
        self.series.failed.inc();
        let confirmed = *self.confirmed.get_or_insert_with(Instant::now);
        if self.issuer.keys().is_some() && confirmed.elapsed() > STALE_IF_ERROR {
            warn!(issuer = %name, %error, "keys not confirmed for a day: given up");
            self.issuer.clear_keys();
            self.series.keys.set(0);
            self.loaded = None;
        } else {
            warn!(issuer = %name, %error, "keys not refreshed; the last good ones stay");
        }
    }
}

// === impl Series ===

impl Series {
    fn of(metrics: &Metrics, issuer: &str) -> Self {
        let of_issuer = vec![("issuer", issuer.to_owned())];
        let outcome = |outcome: &str| {
            let labels = [of_issuer.clone(), vec![("outcome", outcome.to_owned())]].concat();
            metrics.key_fetches.get_or_create_owned(&labels)
        };
        Self {
            loaded: outcome("loaded"),
            unchanged: outcome("unchanged"),
            failed: outcome("failed"),
            keys: metrics.keys.get_or_create_owned(&of_issuer),
            confirmed: metrics.keys_confirmed.get_or_create_owned(&of_issuer),
        }
    }
}

/// Waits for somebody to want a refresh, but not before that time. What is wanted earlier waits.
async fn wanted_after(issuer: &TrustedIssuer, from: Instant) {
    sleep_until(from).await;
    issuer.refresh_wanted().await;
}

fn parse(issuer: &TrustedIssuer, document: &[u8]) -> Result<KeySet, KeysError> {
    let config = issuer.config();
    match &config.keys {
        KeysConfig::PemFile(_) => KeySet::parse_pem(document, &config.algorithms),
        _ => KeySet::parse_jwks(document, &config.algorithms),
    }
}

fn fingerprint(document: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, document).as_ref());
    bytes
}

#[cfg(test)]
#[path = "tests/refresh.rs"]
mod tests;
