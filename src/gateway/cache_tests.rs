//! What gets into the cache of verified tokens, and that it never answers alone.

use std::time::{Duration, Instant};

use jsonwebtoken::Algorithm;
use serde_json::{Map, json};
use uuid::Uuid;

use super::*;
use crate::clock::ManualClock;
use crate::config::Config;
use crate::revocation::{Name, Op, Revocation};
use crate::token::mint::SigningKey;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const SECRET: &[u8] = b"a-shared-secret-that-is-long-enough-for-sha-256";

struct Gate {
    gateway: Gateway,
    snapshot: Arc<Snapshot>,
}

// === impl Gate ===

impl Gate {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), SECRET).unwrap();
        let text = r#"
            [listener]
            address = "127.0.0.1:0"
            [[issuers]]
            name = "main"
            issuer = "https://login.example.com/"
            audiences = ["orders"]
            algorithms = ["HS256"]
            keys = { secret = { file = "secret" } }
            [upstreams.orders]
            endpoints = ["http://127.0.0.1:9"]
            [[routes]]
            name = "orders"
            path = "/"
            upstream = "orders"
            auth = "required"
        "#;
        let config = Config::parse(text, &folder.path().join("gateway.toml"));
        let config = config.unwrap_or_else(|errors| panic!("{errors}"));
        let metrics = Arc::new(Metrics::new());
        let snapshot = Arc::new(Snapshot::build(Arc::new(config), &metrics, None).unwrap());
        let revocations = Arc::new(Revocations::new(&[], Duration::from_secs(3600)));
        revocations.freshness().confirm(Instant::now());
        let (clock, log) = (Arc::new(ManualClock::at(NOW)), AccessLog::default());
        let gateway = Gateway::new(Arc::clone(&snapshot), revocations, clock, metrics, log);
        Self { gateway, snapshot }
    }

    fn is_admitted(&self, token: &str, now: UnixTime) -> bool {
        let request = Request::get("/").header("host", "a").header("authorization", bearer(token));
        let mut head = request.body(()).unwrap().into_parts().0;
        self.gateway.admit(&self.snapshot, &mut head, now).is_ok()
    }

    fn is_kept(&self, token: &str) -> bool {
        self.gateway.tokens.find(token, self.snapshot.verifier.generation()).is_some()
    }
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn token(secret: &[u8], id: &str) -> String {
    let key = SigningKey::from_secret(Algorithm::HS256, secret).unwrap();
    let claims = json!({
        "iss": "https://login.example.com/", "aud": "orders", "sub": "alice", "jti": id,
        "type": "access", "iat": NOW.as_secs() - 60, "exp": NOW.as_secs() + 600,
    });
    key.sign(&Map::new(), &claims)
}

#[test]
fn a_flood_of_bad_tokens_neither_fills_the_cache_nor_evicts_from_it() {
    let gate = Gate::new();
    let good = token(SECRET, "good");
    assert!(gate.is_admitted(&good, NOW));
    for number in 0..2000 {
        let bad = token(b"another-secret-that-is-long-enough-for-sha-256", &number.to_string());
        assert!(!gate.is_admitted(&bad, NOW));
        assert!(!gate.is_admitted(&bad, NOW) && !gate.is_kept(&bad), "{number}");
    }
    assert!(gate.is_kept(&good) && gate.gateway.tokens.len() == 1);
}

#[test]
fn what_is_kept_is_asked_for_expiry_and_revocation_each_time() {
    let gate = Gate::new();
    let (lasting, revoked) = (token(SECRET, "lasting"), token(SECRET, "revoked"));
    let later = NOW.saturating_add(Duration::from_secs(3600));
    for token in [&lasting, &revoked] {
        assert!(gate.is_admitted(token, NOW) && gate.is_kept(token));
    }
    let name = Name {
        issuer: "https://login.example.com/".into(),
        claim: "jti".into(),
        value: "revoked".into(),
    };
    gate.gateway.revocations().set().apply(&Revocation {
        id: Uuid::nil(),
        op: Op::Revoke,
        name,
        issued_before: None,
        expires_at: later,
        at: NOW,
        actor: None,
        reason: None,
        token: None,
    });
    assert!(gate.is_admitted(&lasting, NOW) && !gate.is_admitted(&revoked, NOW));
    assert!(!gate.is_admitted(&lasting, later) && gate.is_kept(&lasting));
    assert!(gate.is_admitted(&lasting, NOW), "the answer is of the time that is asked for");
}
