//! Questions asked of closures: once a token, bounded in time and number, and never answered by silence.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::sync::Semaphore;

use super::*;
use crate::config::{CallbackCache, WhenDown};
use crate::revocation::{Named, Revocations};
use crate::token::{TokenType, Verified};

const NOW: UnixTime = UnixTime::from_secs(1_000_000);
const QUICK: Duration = Duration::from_millis(200);

/// A callback of the closure, and how often it was asked.
struct Asking {
    callback: Arc<Callback>,
    count: Arc<AtomicUsize>,
    metrics: Metrics,
    _all: Callbacks,
}

// === impl Asking ===

impl Asking {
    fn new<F, Fut>(config: CallbackConfig, closure: F) -> Self
    where
        F: Fn(Caller) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Into<Answer>> + Send + 'static,
    {
        let (mut closures, metrics) = (Closures::default(), Metrics::new());
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        closures.register("mine", move |caller| {
            counted.fetch_add(1, Ordering::SeqCst);
            closure(caller)
        });
        let all = Callbacks::build(&[config], &closures, &metrics, None).expect("it can run");
        let callback = Arc::clone(all.find("mine").expect("it is there"));
        Self { callback, count, metrics, _all: all }
    }

    async fn ask(&self, token: &str) -> Result<Verdict, CallbackError> {
        ask(&self.callback, token).await
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

fn config() -> CallbackConfig {
    let (ttl, refused_ttl) = (Duration::from_secs(10), Duration::from_secs(5));
    CallbackConfig {
        name: "mine".into(),
        kind: CallbackKind::Closure,
        timeout: Duration::from_secs(10),
        concurrency: 8,
        when_down: WhenDown::Reject,
        cache: CallbackCache { ttl, refused_ttl, entries: 100, bytes: 1 << 20 },
    }
}

fn quick() -> CallbackConfig {
    CallbackConfig { timeout: QUICK, ..config() }
}

fn token_until(end: u64) -> Arc<Named> {
    let claims = json!({ "iss": "main", "sub": "alice", "exp": end, "plan": "paid" });
    let verified = Verified::for_test("main", TokenType::Access, claims);
    Arc::new(Revocations::new(&[], Duration::from_secs(10)).name(verified))
}

async fn ask(callback: &Arc<Callback>, token: &str) -> Result<Verdict, CallbackError> {
    let named = token_until(NOW.as_secs() + 3600);
    callback.ask(Question { token, generation: 1, named: &named, now: NOW }).await
}

#[tokio::test]
async fn many_who_ask_the_same_at_once_ask_once() {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let asking = Asking::new(config(), move |_caller| {
        let held = Arc::clone(&held);
        async move { held.acquire().await.map(|_open| Verdict::Allow) }
    });
    let all: Vec<_> = (0..50).map(|_| asking.ask("one")).collect();
    let all = futures_util::future::join_all(all);
    let opened = async {
        while asking.count() == 0 {
            tokio::task::yield_now().await;
        }
        gate.add_permits(1);
    };
    let (outcomes, ()) = tokio::join!(all, opened);
    assert!(outcomes.iter().all(|outcome| *outcome == Ok(Verdict::Allow)));
    assert_eq!(asking.count(), 1);
    assert_eq!(asking.ask("one").await, Ok(Verdict::Allow));
    assert_eq!(asking.count(), 1);
    gate.add_permits(1);
    assert_eq!(asking.ask("two").await, Ok(Verdict::Allow));
    assert_eq!(asking.count(), 2);
}

#[tokio::test]
async fn a_closure_sees_whose_token_it_is_and_its_refusal_is_kept() {
    #[derive(serde::Deserialize)]
    struct Plan {
        sub: String,
        plan: String,
    }
    let asking = Asking::new(config(), async |caller: Caller| {
        let plan: Plan = caller.claims_as().expect("its claims");
        assert_eq!((caller.issuer(), caller.token_type()), ("main", TokenType::Access));
        if plan.sub == "alice" && plan.plan == "paid" { Verdict::Deny } else { Verdict::Allow }
    });
    assert_eq!(asking.ask("one").await, Ok(Verdict::Deny));
    assert_eq!(asking.ask("one").await, Ok(Verdict::Deny));
    assert_eq!(asking.count(), 1);
    assert_eq!(asking.callback.known("one", 1), Some(Verdict::Deny));
    let text = asking.metrics.render();
    for line in [
        "portcullis_callback_asked_total{callback=\"mine\"} 1",
        "portcullis_callback_cached_total{callback=\"mine\"} 2",
        "portcullis_callback_verdicts_total{callback=\"mine\",verdict=\"deny\"} 1",
        "portcullis_callback_seconds_count{callback=\"mine\"} 1",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn a_panic_is_a_refusal_and_holds_up_nobody_after_it() {
    for when_down in [WhenDown::Reject, WhenDown::Allow] {
        let first = AtomicUsize::new(0);
        let asking = Asking::new(CallbackConfig { when_down, ..config() }, move |_caller| {
            assert!(first.fetch_add(1, Ordering::SeqCst) > 0, "the first is a bug");
            async { Verdict::Allow }
        });
        assert_eq!(asking.ask("one").await, Err(CallbackError::Failed));
        assert_eq!(asking.ask("one").await, Ok(Verdict::Allow));
    }
}

#[tokio::test]
async fn what_cannot_answer_is_refused_or_passed_as_configured_and_never_kept() {
    for (when_down, outcome) in
        [(WhenDown::Reject, Err(CallbackError::Unavailable)), (WhenDown::Allow, Ok(Verdict::Allow))]
    {
        let config = CallbackConfig { when_down, ..config() };
        let asking = Asking::new(config, async |_caller| Err::<Verdict, _>("no database"));
        assert_eq!(asking.ask("one").await, outcome);
        assert_eq!(asking.ask("one").await, outcome);
        assert_eq!((asking.count(), asking.callback.known("one", 1)), (2, None));
    }
}

#[tokio::test]
async fn what_fails_again_and_again_is_left_alone() {
    let asking = Asking::new(config(), async |_caller| Err::<Verdict, ()>(()));
    let mut outcomes = Vec::new();
    for _ in 0..20 {
        outcomes.push(asking.ask("one").await);
    }
    assert!(outcomes[..5].iter().all(|outcome| *outcome == Err(CallbackError::Unavailable)));
    assert_eq!(outcomes[19], Err(CallbackError::Down));
    // One more a second, however slow this machine is.
    assert!(asking.count() < 10, "{}", asking.count());
}

#[tokio::test]
async fn what_is_slow_or_blocks_its_thread_is_waited_for_no_longer_than_said() {
    let slow = Asking::new(quick(), async |_caller| std::future::pending::<Verdict>().await);
    assert_eq!(slow.ask("one").await, Err(CallbackError::TimedOut));
    let blocking = Asking::new(quick(), async |_caller| {
        std::thread::park_timeout(Duration::from_secs(3));
        Verdict::Allow
    });
    let asked = (0..4).map(|n| (n, blocking.ask(["a", "b", "c", "d"][n])));
    let (_, asked): (Vec<_>, Vec<_>) = asked.unzip();
    let began = std::time::Instant::now();
    let outcomes = futures_util::future::join_all(asked).await;
    assert!(outcomes.iter().all(Result::is_err), "{outcomes:?}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_flood_of_tokens_has_no_more_questions_out_than_said_and_is_no_outage() {
    let config = CallbackConfig { concurrency: 2, when_down: WhenDown::Allow, ..quick() };
    let asking = Asking::new(config, async |_caller| std::future::pending::<Verdict>().await);
    let tokens: Vec<String> = (0..500).map(|n| format!("token {n}")).collect();
    let all = futures_util::future::join_all(tokens.iter().map(|token| asking.ask(token))).await;
    let busy = all.iter().filter(|outcome| **outcome == Err(CallbackError::Busy)).count();
    // Two are out, 30 more wait for a turn, which the first of them get; the others don't even wait.
    assert!((500 - 4..=498).contains(&busy), "{busy}");
    // It is down for those that were asked in full, and for no other.
    assert_eq!(asking.count(), 500 - busy);
    assert_eq!(all.iter().filter(|outcome| **outcome == Ok(Verdict::Allow)).count(), 500 - busy);
}

#[tokio::test]
async fn a_verdict_is_not_kept_past_the_tokens_exp() {
    let asking = Asking::new(config(), async |_caller| Verdict::Allow);
    for (end, kept) in [(1, false), (2, true)] {
        let named = token_until(NOW.as_secs() + end);
        let token = if kept { "longer" } else { "shorter" };
        let question = Question { token, generation: 1, named: &named, now: NOW };
        assert_eq!(asking.callback.ask(question).await, Ok(Verdict::Allow));
        assert_eq!(asking.callback.known(token, 1).is_some(), kept, "{end}");
    }
}

#[tokio::test]
async fn a_question_whose_client_left_is_answered_for_the_next() {
    let asking = Asking::new(config(), async |_caller| Verdict::Allow);
    // Polled once, so that it is out, and dropped.
    let mut asked = Box::pin(asking.ask("one"));
    let _ = futures_util::poll!(asked.as_mut());
    drop(asked);
    while asking.callback.known("one", 1).is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(asking.count(), 1);
}

#[tokio::test]
async fn a_reload_keeps_what_did_not_change() {
    let asking = Asking::new(config(), async |_caller| Verdict::Allow);
    assert_eq!(asking.ask("one").await, Ok(Verdict::Allow));
    let before = &asking._all;
    let again = |config| {
        Callbacks::build(&[config], before.closures(), &asking.metrics, Some(before))
            .expect("it can run")
    };
    let same = again(config());
    assert!(Arc::ptr_eq(same.find("mine").expect("there"), &asking.callback));
    assert_eq!(same.find("mine").expect("there").known("one", 1), Some(Verdict::Allow));
    let other = again(quick());
    assert_eq!(other.find("mine").expect("there").known("one", 1), None);
    drop(same);
    assert_eq!(ask(other.find("mine").expect("there"), "one").await, Ok(Verdict::Allow));
    let unknown = CallbackConfig { name: "other".into(), ..config() };
    let refused = Callbacks::build(&[unknown], before.closures(), &asking.metrics, None);
    assert!(matches!(refused, Err((name, CallbackSetupError::NoClosure)) if &*name == "other"));
}

#[test]
fn nothing_here_prints_a_token() {
    let flights = Arc::new(flights::Flights::new(4));
    let seat = flights.board("header.payload.signature", || None);
    let named = token_until(2);
    let question =
        Question { token: "header.payload.signature", generation: 1, named: &named, now: NOW };
    let said = format!("{flights:?} {seat:?} {question:?} {:?}", Caller::new(named.clone()));
    assert!(!said.contains("payload") && !said.contains("alice"), "{said}");
    assert_eq!(flights.len(), 1);
    drop(seat);
    assert_eq!(flights.len(), 0);
}
