//! A45 to A48: fetching by a scripted origin under a clock that jumps, then over real sockets and files.

use std::collections::VecDeque;
use std::sync::Mutex;

use tokio::task::JoinHandle;

use super::fetch::tests::{ok, serve};
use super::*;
use crate::clock::{ManualClock, SystemClock, UnixTime};
use crate::shutdown::Shutdown;
use crate::token::mint::SigningKey;
use crate::token::tests::{EC, NOW, RSA, STRANGER, b64, claims, config, verify_at};
use crate::token::{IssuerConfig, TokenError, Verifier};

/// Answers from a list; the last one again and again. `None` is a failure.
#[derive(Clone, Default)]
struct Script(Arc<Mutex<Play>>);

#[derive(Default)]
struct Play {
    answers: VecDeque<Option<String>>,
    fetches: Vec<Instant>,
}

/// A refresher at work.
struct Rig {
    issuer: Arc<TrustedIssuer>,
    verifier: Verifier,
    metrics: Arc<Metrics>,
    script: Script,
    stop: Shutdown,
    task: JoinHandle<()>,
}

impl Script {
    fn say(&self, answers: impl IntoIterator<Item = Option<String>>) {
        self.0.lock().unwrap().answers = answers.into_iter().collect();
    }

    fn fetches(&self) -> usize {
        self.0.lock().unwrap().fetches.len()
    }
}

impl DocumentOrigin for Script {
    async fn document(&self) -> Result<Document, RefreshError> {
        let mut script = self.0.lock().unwrap();
        script.fetches.push(Instant::now());
        let answers = &mut script.answers;
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        match answer.flatten() {
            Some(text) => Ok(Document { bytes: text.into_bytes(), max_age: None }),
            None => Err(FetchError::Connect.into()),
        }
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }
}

impl Rig {
    fn start(answers: impl IntoIterator<Item = Option<String>>) -> Self {
        let issuer = Arc::new(TrustedIssuer::new(config()));
        let verifier = Verifier::new(vec![Arc::clone(&issuer)]);
        let (metrics, script) = (Arc::new(Metrics::new()), Script::default());
        script.say(answers);
        let (stop, drain) = Shutdown::new();
        let refresh = Refresh {
            issuer: Arc::clone(&issuer),
            origin: script.clone(),
            clock: Arc::new(ManualClock::at(UnixTime::from_secs(NOW))),
            series: Series::of(&metrics, "main"),
            loaded: None,
            confirmed: None,
        };
        let task = tokio::spawn(refresh.keep_going(drain));
        Self { issuer, verifier, metrics, script, stop, task }
    }

    fn verify(&self, key: &SigningKey) -> Result<(), TokenError> {
        self.verify_token(&key.sign(&serde_json::Map::new(), &claims()))
    }

    fn verify_token(&self, token: &str) -> Result<(), TokenError> {
        verify_at(&self.verifier, token, NOW).map(drop)
    }
}

/// Lets time pass, and everything that falls due in it happen.
async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

const MOMENT: Duration = Duration::from_millis(10);

#[tokio::test(start_paused = true)]
async fn a45_300_random_kids_cause_two_fetches_and_good_tokens_pass_meanwhile() {
    let rig = Rig::start([Some(RSA.jwks())]);
    pass(MOMENT).await;
    assert_eq!(rig.script.fetches(), 1);
    let generation = rig.issuer.generation();
    let [good, flood] = [&*RSA, &*STRANGER].map(|key| key.sign(&serde_json::Map::new(), &claims()));
    let (_, signed) = flood.split_once('.').unwrap();
    for number in 0..300 {
        let header = format!(r#"{{"alg":"RS256","kid":"random-{number}","typ":"JWT"}}"#);
        let flood = format!("{}.{signed}", b64(header));
        assert_eq!(rig.verify_token(&flood), Err(TokenError::UnknownKey));
        assert_eq!(rig.verify_token(&good), Ok(()));
        pass(MOMENT).await;
    }
    assert_eq!(rig.script.fetches(), 2, "the first, and one for all of them");
    pass(COOLDOWN).await;
    assert_eq!(rig.script.fetches(), 3, "one more when the 30 s are over");
    pass(COOLDOWN * 2).await;
    assert_eq!(rig.script.fetches(), 3);
    assert_eq!(rig.issuer.generation(), generation, "the same document changes nothing");
}

#[tokio::test(start_paused = true)]
async fn a46_a_token_of_a_new_key_brings_the_key_at_once() {
    let rig = Rig::start([Some(RSA.jwks()), Some(EC.jwks())]);
    pass(MOMENT).await;
    assert_eq!(rig.verify(&EC), Err(TokenError::UnknownKey));
    pass(MOMENT).await;
    assert_eq!(rig.verify(&EC), Ok(()));
    assert_eq!(rig.verify(&RSA), Err(TokenError::UnknownKey), "A48: no longer in the set");
}

#[tokio::test(start_paused = true)]
async fn a48_without_any_token_the_set_is_fetched_every_five_minutes() {
    let rig = Rig::start([Some(RSA.jwks()), Some(EC.jwks())]);
    pass(INTERVAL * 8 / 10).await;
    assert_eq!((rig.script.fetches(), rig.verify(&RSA)), (1, Ok(())));
    pass(INTERVAL * 4 / 10).await;
    assert_eq!((rig.script.fetches(), rig.verify(&EC)), (2, Ok(())));
}

#[tokio::test(start_paused = true)]
async fn a47_while_the_server_fails_the_last_good_keys_stay_for_a_day_and_not_longer() {
    let rig = Rig::start([Some(RSA.jwks()), None]);
    pass(STALE_IF_ERROR).await;
    assert_eq!(rig.verify(&RSA), Ok(()));
    pass(INTERVAL * 2).await;
    assert_eq!(rig.verify(&RSA), Err(TokenError::KeysUnavailable));
    rig.script.say([Some(RSA.jwks())]);
    pass(RETRY.1 + MOMENT).await;
    assert_eq!(rig.verify(&RSA), Ok(()), "the same document is good again");
    let text = rig.metrics.render();
    for line in [
        r#"portcullis_key_fetches_total{issuer="main",outcome="loaded"} 2"#,
        r#"portcullis_keys{issuer="main"} 1"#,
        &format!(r#"portcullis_keys_confirmed_timestamp_seconds{{issuer="main"}} {NOW}"#),
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a47_broken_documents_are_failures_and_are_tried_again_ever_more_slowly() {
    let rig = Rig::start([Some(RSA.jwks()), Some("<html>".into()), Some(r#"{"keys":[]}"#.into())]);
    pass(INTERVAL * 2).await;
    assert_eq!(rig.verify(&RSA), Ok(()));
    let times = rig.script.0.lock().unwrap().fetches.clone();
    let waits: Vec<_> = times.windows(2).skip(1).map(|pair| pair[1] - pair[0]).collect();
    let within = |wait: &Duration| RETRY.0 <= *wait && *wait <= RETRY.1 + MOMENT;
    assert!(waits.len() > 3 && waits.iter().all(within), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn before_the_first_success_there_are_no_keys_and_it_is_tried_again_soon() {
    let rig = Rig::start([None, None, Some(RSA.jwks())]);
    pass(MOMENT).await;
    assert_eq!(rig.verify(&RSA), Err(TokenError::KeysUnavailable));
    pass(Duration::from_secs(8)).await;
    assert_eq!(rig.verify(&RSA), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn the_work_ends_when_the_drain_begins() {
    let rig = Rig::start([Some(RSA.jwks())]);
    pass(MOMENT).await;
    rig.stop.begin();
    tokio::time::timeout(Duration::from_secs(1), rig.task).await.unwrap().unwrap();
}

/// Runs a real refresher until the condition holds.
async fn until(config: IssuerConfig, holds: impl Fn(&TrustedIssuer, &Metrics) -> bool) {
    let issuer = Arc::new(TrustedIssuer::new(config));
    let metrics = Arc::new(Metrics::new());
    let (stop, drain) = Shutdown::new();
    let running =
        KeyRefresher::run(Arc::clone(&issuer), Arc::clone(&metrics), Arc::new(SystemClock), drain);
    let running = tokio::spawn(running);
    let condition = async {
        while !holds(&issuer, &metrics) {
            tokio::time::sleep(MOMENT).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), condition).await;
    assert!(in_time.is_ok(), "{}", metrics.render());
    stop.begin();
    running.await.unwrap();
}

fn has_keys(issuer: &TrustedIssuer, _: &Metrics) -> bool {
    issuer.keys().is_some()
}

fn has_failed(issuer: &TrustedIssuer, metrics: &Metrics) -> bool {
    let failed = metrics.render().contains(r#"outcome="failed"} 1"#);
    assert!(issuer.keys().is_none());
    failed
}

#[tokio::test]
async fn keys_come_from_a_url() {
    let base = serve(|_| ok("content-type: application/json\r\n", &RSA.jwks())).await;
    let keys = KeysConfig::JwksUrl(format!("{base}/jwks").parse().unwrap());
    until(IssuerConfig { keys, ..config() }, has_keys).await;
}

/// A provider whose metadata says these two things of itself (`BASE` stands for its URL).
async fn provider(issuer: &'static str, jwks_uri: &'static str) -> IssuerConfig {
    let own = Arc::new(Mutex::new(String::new()));
    let base = Arc::clone(&own);
    let url = serve(move |path| {
        let base = base.lock().unwrap().clone();
        let fill = |text: &str| text.replace("BASE", &base);
        match path {
            "/.well-known/openid-configuration" => ok(
                "content-type: application/json\r\n",
                &serde_json::json!({"issuer": fill(issuer), "jwks_uri": fill(jwks_uri)})
                    .to_string(),
            ),
            "/keys" => ok("", &RSA.jwks()),
            _ => b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec(),
        }
    })
    .await;
    own.lock().unwrap().clone_from(&url);
    IssuerConfig { issuer: Some(format!("{url}/").into()), keys: KeysConfig::Discovery, ..config() }
}

#[tokio::test]
async fn keys_come_by_discovery_from_the_issuer_itself_alone() {
    until(provider("BASE/", "BASE/keys").await, has_keys).await;
    until(provider("BASE", "BASE/keys").await, has_failed).await;
    until(provider("https://login.example.com/", "BASE/keys").await, has_failed).await;
    until(provider("BASE/", "http://169.254.169.254/keys").await, has_failed).await;
    until(provider("BASE/", "file:///etc/passwd").await, has_failed).await;
    until(provider("BASE/", "BASE/other").await, has_failed).await;
}

#[tokio::test]
async fn a_file_is_read_again_when_it_changes_and_a_broken_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    std::fs::write(&path, RSA.jwks()).unwrap();
    let steps = Mutex::new(0);
    let known = |issuer: &TrustedIssuer| issuer.keys().and_then(|it| it.keys()[0].id().cloned());
    let config = IssuerConfig { keys: KeysConfig::JwksFile(path.clone()), ..config() };
    until(config, |issuer, metrics| {
        let mut step = steps.lock().unwrap();
        let failed = metrics.render().contains(r#"outcome="failed"} 1"#);
        match (*step, known(issuer).as_deref()) {
            (0, Some("rsa")) => std::fs::write(&path, "half a fi").unwrap(),
            (1, Some("rsa")) if failed => std::fs::write(&path, EC.jwks()).unwrap(),
            (2, Some("ec")) => return true,
            _ => return false,
        }
        *step += 1;
        false
    })
    .await;
}

#[tokio::test]
async fn a_secret_needs_no_refreshing() {
    let secret = crate::secret::Secret::new(vec![1; 32]);
    let issuer = TrustedIssuer::new(IssuerConfig { keys: KeysConfig::Secret(secret), ..config() });
    let (_stop, drain) = Shutdown::new();
    let (metrics, clock) = (Arc::new(Metrics::new()), Arc::new(SystemClock));
    KeyRefresher::run(Arc::new(issuer), metrics, clock, drain).await;
}
