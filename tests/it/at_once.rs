//! Once a revoke call has returned, no request on any worker passes with that token, under load.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;

use crate::support::client::get;
use crate::support::gateway::{ORDERS, TestGateway};

const TOKENS: usize = 60;
const THREADS: usize = 8;

/// A token, and whether the call that revokes it has returned.
struct Held {
    token: String,
    id: String,
    revoked: AtomicBool,
}

#[test]
fn no_request_that_starts_after_the_acknowledgement_passes_on_any_worker() {
    let gateway = TestGateway::start_edited(ORDERS, &[("workers = 1", "workers = 2")]);
    let held: Vec<Held> = (0..TOKENS)
        .map(|n| {
            let id = format!("token-{n}");
            let token = gateway.issuer.token(json!({ "jti": id }));
            Held { token, id, revoked: AtomicBool::new(false) }
        })
        .collect();
    let (passed, refused, late) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (held, gateway) = (&held, &gateway);
            let (passed, refused, late, over) = (&passed, &refused, &late, &over);
            scope.spawn(move || {
                let mut at = thread;
                while !over.load(Ordering::SeqCst) {
                    at = (at + 1) % TOKENS;
                    // Read before the request starts: the promise is about what starts afterwards.
                    let revoked = held[at].revoked.load(Ordering::SeqCst);
                    let answer = get(gateway.data, "/orders/1").bearer(&held[at].token).send();
                    match answer.status {
                        200 if revoked => late.fetch_add(1, Ordering::SeqCst),
                        200 => passed.fetch_add(1, Ordering::SeqCst),
                        401 => refused.fetch_add(1, Ordering::SeqCst),
                        status => panic!("{status} {}", answer.text()),
                    };
                }
            });
        }
        for one in &held {
            gateway.revoke(&json!({ "claim": "jti", "value": one.id }));
            one.revoked.store(true, Ordering::SeqCst);
            // Each on a connection of its own, so that the kernel spreads them over the workers.
            for _ in 0..8 {
                let answer = get(gateway.data, "/orders/1").bearer(&one.token).send();
                answer.expect_rejected(401, "token-revoked");
            }
        }
        over.store(true, Ordering::SeqCst);
    });
    assert_eq!(
        late.into_inner(),
        0,
        "requests passed with a token whose revocation was acknowledged"
    );
    assert!(passed.into_inner() > 0, "no request passed before");
    assert!(refused.into_inner() > 0, "no request was refused after");
}

#[test]
fn curl_is_refused_on_the_connection_that_it_was_let_through_on() {
    let gateway = TestGateway::start(ORDERS);
    let token = gateway.issuer.good();
    let url = format!("http://{}/orders/1", gateway.data);
    let control = format!("http://{}/v1/revocations", gateway.running.control);
    let body = json!({ "token": &*token }).to_string();
    let bearer = format!("Authorization: Bearer {token}");
    let credential = format!("Authorization: Bearer {}", crate::support::gateway::CREDENTIAL);
    let status = ["-s", "-o", "/dev/null", "-w", "%{http_code} "];
    let output = Command::new("curl")
        .args(status)
        .args(["-H", &bearer, &url, "--next"])
        .args(status)
        .args(["-H", &credential, "-H", "Content-Type: application/json", "-d", &body, &control])
        .arg("--next")
        .args(status)
        .args(["-H", &bearer, &url])
        .output()
        .expect("curl runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "200 201 401 ");
}
