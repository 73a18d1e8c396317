//! An issuer with keys made at start; mints good tokens and every kind of bad one.

use std::sync::LazyLock;

use jsonwebtoken::Algorithm;
use portcullis::token::mint::SigningKey;
use serde_json::{Map, Value, json};

/// The issuer that `TestGateway`'s configuration trusts.
#[derive(Debug)]
pub struct TestIssuer {
    pub key: SigningKey,
}

pub const ISSUER: &str = "https://login.example.com/";
pub const AUDIENCE: &str = "orders-api";
/// What signs and verifies where signatures are HMAC.
pub const SECRET: &str = "a-shared-secret-of-at-least-thirty-two-bytes";

static RSA: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::generate(Algorithm::RS256).expect("a key"));

// === impl TestIssuer ===

impl TestIssuer {
    /// Signs with RS256. One key a test process: making one takes a while.
    pub fn new() -> Self {
        Self { key: RSA.clone() }
    }

    /// Signs with HS256 and [`SECRET`].
    pub fn hmac() -> Self {
        let key = SigningKey::from_secret(Algorithm::HS256, SECRET.as_bytes()).expect("a key");
        Self { key }
    }

    /// A good access token for alice, with these members put in or (null) taken away.
    pub fn token(&self, changes: Value) -> String {
        let mut claims = good_claims();
        for (name, value) in changes.as_object().expect("an object") {
            if value.is_null() {
                claims.as_object_mut().expect("an object").remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        self.key.sign(&Map::new(), &claims)
    }

    pub fn good(&self) -> String {
        self.token(json!({}))
    }

    pub fn of(&self, subject: &str) -> String {
        self.token(json!({ "sub": subject }))
    }

    pub fn refresh(&self) -> String {
        self.token(json!({ "type": "refresh" }))
    }

    pub fn expired(&self) -> String {
        self.token(json!({ "iat": now() - 7200, "exp": now() - 3600 }))
    }
}

/// Claims that pass every rule of `TestGateway`'s configuration.
pub fn good_claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "jti": uuid::Uuid::new_v4(), "type": "access",
        "scope": "orders:read", "iat": now(), "exp": now() + 3600,
    })
}

/// UNIX seconds.
pub fn now() -> u64 {
    use portcullis::clock::{Clock, SystemClock};
    SystemClock.now().as_secs()
}
