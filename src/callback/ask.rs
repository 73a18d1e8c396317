//! One callback and its questions: from the cache, from a question that is out already, or by asking.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::access::Verdict;
use crate::clock::UnixTime;
use crate::config::{CallbackConfig, WhenDown};
use crate::observe::metrics::Metrics;
use crate::revocation::Named;

use super::cache::{Term, VerdictCache};
use super::flights::{Flight, Flights, Outcome, Seat, Waiting};
use super::health::Health;
use super::series::Series;
use super::{Answered, CallbackError, Caller, Source};

/// One configured callback, running.
#[derive(Debug)]
pub struct Callback {
    config: CallbackConfig,
    source: Source,
    cache: VerdictCache,
    flights: Arc<Flights>,
    turns: Semaphore,
    health: Health,
    series: Series,
    threads: Handle,
}

/// What is asked.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The token's text; the verdict is kept under exactly this.
    pub token: &'a str,
    /// `Verifier::generation` as it was before the token was verified.
    pub generation: u64,
    /// The verified token.
    pub named: &'a Arc<Named>,
    /// The time of the request.
    pub now: UnixTime,
}

/// Questions that wait for their turn, for each that may be out.
const WAITING: usize = 16;
/// What a waiting request gives the question beyond its own limits: the threads may be held up.
const GRACE: Duration = Duration::from_millis(100);

// === impl Callback ===

impl Callback {
    pub(super) fn new(
        config: CallbackConfig,
        source: Source,
        metrics: &Metrics,
        threads: Handle,
    ) -> Self {
        Self {
            cache: VerdictCache::new(&config.cache),
            flights: Arc::new(Flights::new(config.concurrency.saturating_mul(WAITING))),
            turns: Semaphore::new(config.concurrency),
            health: Health::default(),
            series: Series::of(metrics, &config.name),
            config,
            source,
            threads,
        }
    }

    /// What it was built from.
    pub const fn config(&self) -> &CallbackConfig {
        &self.config
    }

    /// The verdict that is kept on exactly this token; whoever asks checks expiry and revocation.
    pub fn known(&self, token: &str, generation: u64) -> Option<Verdict> {
        let verdict = self.cache.find(token, generation, Instant::now())?;
        self.series.cached();
        Some(verdict)
    }

    /// The verdict on the token, or what `when_down` says when no answer comes.
    pub async fn ask(self: &Arc<Self>, question: Question<'_>) -> Result<Verdict, CallbackError> {
        match self.outcome(question).await {
            Err(error) if error.is_down() && self.config.when_down == WhenDown::Allow => {
                self.series.passed_while_down();
                Ok(Verdict::Allow)
            }
            outcome => outcome,
        }
    }

    async fn outcome(self: &Arc<Self>, question: Question<'_>) -> Outcome {
        let known = || self.known(question.token, question.generation);
        let waiting = match self.flights.board(question.token, known) {
            Seat::Known(verdict) => return Ok(verdict),
            Seat::Joined(waiting) => waiting,
            Seat::First(flight, waiting) => {
                if !self.health.may_ask(Instant::now()) {
                    self.series.failed(CallbackError::Down);
                    // Whoever joined meanwhile is told the same.
                    flight.land(Err(CallbackError::Down));
                    return Err(CallbackError::Down);
                }
                let named = Arc::clone(question.named);
                let fly = Arc::clone(self).fly(flight, named, question.generation, question.now);
                self.threads.spawn(fly);
                waiting
            }
            Seat::Full => {
                self.series.failed(CallbackError::Busy);
                return Err(CallbackError::Busy);
            }
        };
        self.landed(waiting).await
    }

    async fn landed(&self, mut waiting: Waiting) -> Outcome {
        match timeout(self.config.timeout * 2 + GRACE, waiting.wait_for(Option::is_some)).await {
            Ok(Ok(outcome)) => outcome.unwrap_or(Err(CallbackError::Failed)),
            // Dropped without a word: a panic, or the end of the program.
            Ok(Err(_gone)) => {
                self.series.failed(CallbackError::Failed);
                Err(CallbackError::Failed)
            }
            Err(_elapsed) => {
                self.series.failed(CallbackError::Busy);
                Err(CallbackError::Busy)
            }
        }
    }

    /// Asks, on the callbacks' own threads. It goes on when the request that began it is gone: others may
    /// have joined, and the verdict is kept.
    async fn fly(
        self: Arc<Self>,
        flight: Flight,
        named: Arc<Named>,
        generation: u64,
        now: UnixTime,
    ) {
        let (boarded, limit) = (Instant::now(), self.config.timeout);
        let Ok(Ok(_turn)) = timeout(limit, self.turns.acquire()).await else {
            self.series.failed(CallbackError::Busy);
            return flight.land(Err(CallbackError::Busy));
        };
        // All of its time from here on: a flood must not make it look as if the callback were down.
        let began = Instant::now();
        let asking = self.source.ask(flight.token(), Caller::new(Arc::clone(&named)), now);
        let asked = timeout(limit, asking).await;
        self.series.asked(began.elapsed());
        let answered = asked.unwrap_or(Err(CallbackError::TimedOut));
        match answered {
            Ok(answered) => {
                let term = Term { from: boarded, most: life(&named, answered, now) };
                self.cache.keep(flight.token(), generation, answered.verdict, term);
                self.answers();
            }
            Err(error) => self.no_verdict(error),
        }
        let outcome = answered.map(|answered| answered.verdict);
        self.series.outcome(outcome);
        flight.land(outcome);
    }

    fn no_verdict(&self, error: CallbackError) {
        let callback = &self.config.name;
        if !error.is_down() {
            tracing::debug!(%callback, %error, "no verdict that counts");
            self.answers();
        } else if self.health.failed(Instant::now()) {
            let when_down = self.config.when_down;
            tracing::warn!(%callback, %error, ?when_down, "the callback is down");
        }
    }

    fn answers(&self) {
        if self.health.answered() {
            tracing::info!(callback = %self.config.name, "the callback answers again");
        }
    }
}

// === impl Question ===

impl std::fmt::Debug for Question<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Question(..)")
    }
}

/// How long a verdict may be kept from `now` on, whatever the configuration says: the token's `exp`, or
/// an earlier one that the answer named. A second less, since `now` was rounded down.
fn life(named: &Named, answered: Answered, now: UnixTime) -> Duration {
    let own = named.verified().claims().expires_at();
    let end = own.into_iter().chain(answered.expires_at).min();
    let end = end.unwrap_or_else(|| named.verified().valid_until());
    end.since(now).saturating_sub(Duration::from_secs(1))
}
