//! `kill -9` at random moments under a stream of revocations: every acknowledged one is enforced after
//! the restart, and none is there that nobody asked for.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::client::{ask, get};
use crate::support::eventually::eventually;
use crate::support::gateway::{CREDENTIAL, bare, folder};
use crate::support::issuer::{AUDIENCE, ISSUER, SECRET, TestIssuer};
use crate::support::program::Program;
use crate::support::upstream::TestUpstream;

const ROUNDS: usize = 100;

/// What was asked for and what was acknowledged, over all rounds.
#[derive(Default)]
struct Model {
    asked: BTreeSet<String>,
    acknowledged: BTreeSet<String>,
}

fn live(program: &Program) -> BTreeSet<String> {
    let answer = get(program.control, "/v1/revocations/export").bearer(CREDENTIAL).send();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let value = |line: &str| {
        let record: Value = serde_json::from_str(line).expect("a record");
        record["value"].as_str().expect("text").to_owned()
    };
    answer.text().lines().map(value).collect()
}

/// Revokes one token id after the other until the program is gone.
fn revoke_until_killed(
    control: SocketAddr,
    round: usize,
    next: &AtomicUsize,
    model: &Mutex<Model>,
) {
    loop {
        let value = format!("r{round}-{}", next.fetch_add(1, Ordering::Relaxed));
        model.lock().expect("not poisoned").asked.insert(value.clone());
        let body = json!({ "claim": "jti", "value": value });
        let answer =
            ask(control, "POST", "/v1/revocations").bearer(CREDENTIAL).json(&body).try_send();
        match answer {
            Ok(answer) if answer.status == 201 => {
                model.lock().expect("not poisoned").acknowledged.insert(value);
            }
            Ok(answer) => panic!("{} {}", answer.status, answer.text()),
            Err(_killed) => return,
        }
    }
}

/// Waits for a moment that differs from round to round: some acknowledgements, however slow the
/// machine, and a little into the next ones.
fn wait_for_the_moment(round: usize, model: &Mutex<Model>, before: usize) {
    let wanted = before + 1 + round * 7 % 13;
    eventually("some acknowledgements", || {
        (model.lock().expect("not poisoned").acknowledged.len() >= wanted).then_some(())
    });
    let (begun, more) = (Instant::now(), Duration::from_micros(round as u64 * 7_919 % 12_000));
    while let Some(left) = more.checked_sub(begun.elapsed()) {
        std::thread::park_timeout(left);
    }
}

fn configuration(upstream: SocketAddr) -> String {
    let tables = format!(
        r#"
[[issuers]]
name = "main"
issuer = "{ISSUER}"
audiences = ["{AUDIENCE}"]
algorithms = ["HS256"]
keys = {{ secret = {{ file = "hmac.secret" }} }}
[upstreams.orders]
endpoints = ["http://{upstream}"]
[[routes]]
name = "orders"
path = "/"
upstream = "orders"
auth = "required"
token_types = ["access"]
"#
    );
    bare("", &tables)
}

#[test]
fn every_acknowledged_revocation_survives_a_hundred_kills_and_none_is_invented() {
    let folder = folder(&[("hmac.secret", SECRET)]);
    let upstream = TestUpstream::start();
    let config = folder.path().join("gateway.toml");
    std::fs::write(&config, configuration(upstream.address)).expect("written");
    let issuer = TestIssuer::hmac();
    let token = |jti: &str| issuer.token(json!({ "jti": jti }));

    let model = Mutex::new(Model::default());
    let mut program = Program::start(&config);
    for round in 0..ROUNDS {
        let before = model.lock().expect("not poisoned").acknowledged.clone();
        let next = AtomicUsize::new(0);
        let control = program.control;
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| revoke_until_killed(control, round, &next, &model));
            }
            wait_for_the_moment(round, &model, before.len());
            program.kill();
        });
        program = Program::start(&config);

        let live = live(&program);
        let model = model.lock().expect("not poisoned");
        let lost: Vec<_> = model.acknowledged.difference(&live).collect();
        assert!(lost.is_empty(), "round {round}: acknowledged and lost: {lost:?}");
        let invented: Vec<_> = live.difference(&model.asked).collect();
        assert!(invented.is_empty(), "round {round}: nobody asked for {invented:?}");
        for value in model.acknowledged.difference(&before).take(8) {
            let answer = get(program.data, "/").bearer(&token(value)).send();
            answer.expect_rejected(401, "token-revoked");
        }
        get(program.data, "/").bearer(&token("never-revoked")).send().expect_forwarded();
    }
    let acknowledged = model.lock().expect("not poisoned").acknowledged.len();
    assert!(acknowledged > ROUNDS, "only {acknowledged} revocations in {ROUNDS} rounds");
}
