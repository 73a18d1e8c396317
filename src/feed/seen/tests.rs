//! The recorder over an embedded store.

use serde_json::json;

use super::*;
use crate::clock::{ManualClock, UnixTime};
use crate::feed::embedded::EmbeddedStore;
use crate::revocation::{Filter, Op, REGISTERED, RegisterConfig, RevocationMode};
use crate::shutdown::Shutdown;
use crate::token::{TokenType, Verified};

fn revocations(every: Duration) -> Arc<Revocations> {
    let revocations = Revocations::new(&[], Duration::from_secs(10));
    let register = RegisterConfig { max_tokens: 5000, seen_every: every };
    revocations.configure_register(RevocationMode::DenyList, Some(&register));
    Arc::new(revocations)
}

async fn registered(log: &impl RevocationLog) -> Vec<Revocation> {
    let filter = Filter { claim: Some(REGISTERED.into()), ..Filter::default() };
    log.list(filter, None, 5000).await.expect("a page").items
}

/// As many tokens as do not fit into one append.
const TOKENS: usize = 1300;

#[tokio::test]
async fn what_was_seen_is_recorded_when_its_time_comes_and_at_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = EmbeddedStore::open(folder.path().join("store")).expect("a store");
    let revocations = revocations(Duration::from_millis(1));
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(UnixTime::from_secs(1000)));
    let (shutdown, drain) = Shutdown::new();
    let task = run(store.log(), Arc::clone(&revocations), Arc::clone(&clock), drain);
    let task = tokio::spawn(task);
    let see = |id: String| {
        let claims = json!({ "jti": id, "sub": "u", "iat": 900, "exp": 2000 });
        let verified = Verified::for_test("i", TokenType::Refresh, claims);
        let named = Arc::new(revocations.name(verified));
        revocations.note_seen(&named, clock.now());
    };
    (0..TOKENS).for_each(|number| see(number.to_string()));
    let log = store.log();
    let all = async {
        while registered(&log).await.len() < TOKENS {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all).await.expect("all of them in time");
    see("last".to_owned());
    shutdown.begin();
    task.await.expect("it ends");
    let records = registered(&log).await;
    assert_eq!(records.len(), TOKENS + 1);
    let last = records.iter().find(|record| *record.name.value == *"last").expect("the last");
    let details = last.token.as_deref().expect("details");
    assert_eq!((last.op, details.subject.as_deref()), (Op::Register, Some("u")));
    assert_eq!(details.token_type.as_deref(), Some("refresh"));
    assert_eq!(details.first_seen.map(UnixTime::as_secs), Some(1000));
}

#[tokio::test]
async fn a_store_that_refuses_loses_a_batch_and_not_the_recorder() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = EmbeddedStore::open(folder.path().join("store")).expect("a store");
    let log = store.log();
    drop(store);
    let revocations = revocations(Duration::from_millis(1));
    let mut seen = revocations.take_seen().expect("the first to ask");
    let clock = ManualClock::at(UnixTime::from_secs(1000));
    let claims = json!({ "jti": "a", "sub": "u", "exp": 2000 });
    let named = Arc::new(revocations.name(Verified::for_test("i", TokenType::Access, claims)));
    revocations.note_seen(&named, clock.now());
    tell(&log, &revocations, &clock, &mut seen).await;
    assert!(seen.is_empty());
    revocations.note_seen(&named, clock.now());
    assert_eq!(seen.len(), 1, "seen again, told again");
}
