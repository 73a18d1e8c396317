//! What the benches share: a gateway's parts without its sockets, its tokens, and requests that carry them.
#![allow(dead_code, reason = "each bench uses its part")]
#![allow(clippy::allow_attributes, reason = "what is unused differs from bench to bench")]

pub(crate) mod serving;

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use http::request::Parts;
use http::{Method, Request};
use jsonwebtoken::Algorithm;
use portcullis::clock::{Clock, ManualClock, UnixTime};
use portcullis::config::Config;
use portcullis::gateway::Gateway;
use portcullis::observe::{AccessLog, Metrics};
use portcullis::revocation::{Name, Op, Revocation, Revocations};
use portcullis::snapshot::Snapshot;
use portcullis::token::mint::SigningKey;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use uuid::Uuid;

/// When all of it happens.
pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
/// Who signs.
pub(crate) const ISSUER: &str = "https://login.example.com/";

const SECRET: &[u8] = b"a-shared-secret-that-is-long-enough-for-sha-256";

/// A gateway that decides, and the key its tokens are signed with.
pub(crate) struct Gate {
    pub(crate) gateway: Gateway,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) key: SigningKey,
    _folder: TempDir,
}

// === impl Gate ===

impl Gate {
    /// One issuer with a new key, one route that takes its tokens, nothing revoked.
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        Self::with_routes(algorithm, 1)
    }

    /// The same with so many routes; requests of [`Self::request`] take the last.
    pub(crate) fn with_routes(algorithm: Algorithm, routes: usize) -> Self {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let key = new_key(algorithm);
        let folder = tempfile::tempdir().expect("a folder");
        let text = configuration(&key, folder.path(), routes);
        let config = Config::parse(&text, &folder.path().join("gateway.toml"));
        let config = config.unwrap_or_else(|errors| panic!("{errors}"));
        let metrics = Arc::new(Metrics::new());
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(NOW));
        let revocation = &config.revocation;
        let revocations = Arc::new(Revocations::new(&revocation.claims, revocation.max_staleness));
        revocations.freshness().confirm(Instant::now());
        let snapshot = Snapshot::build(Arc::new(config), &metrics, None).expect("it can run");
        let snapshot = Arc::new(snapshot);
        let log = AccessLog::default();
        let gateway = Gateway::new(Arc::clone(&snapshot), revocations, clock, metrics, log);
        Self { gateway, snapshot, key, _folder: folder }
    }

    /// A good token; numbers make different ones.
    pub(crate) fn token(&self, number: u64) -> String {
        self.key.sign(&Map::new(), &claims(number))
    }

    /// One that was good an hour ago.
    pub(crate) fn expired(&self) -> String {
        let mut claims = claims(0);
        for (name, ago) in [("iat", 7200), ("nbf", 7200), ("exp", 3600)] {
            claims[name] = (NOW.as_secs() - ago).into();
        }
        self.key.sign(&Map::new(), &claims)
    }

    /// Puts the same keys in anew, after which nothing that was cached counts.
    pub(crate) fn forget(&self) {
        for issuer in self.snapshot.verifier.issuers() {
            issuer.load_local().expect("the keys are where they were");
        }
    }

    /// Takes back so many identifiers that no token of ours has.
    pub(crate) fn revoke_strangers(&self, count: u64) {
        let set = self.gateway.revocations().set();
        for number in 0..count {
            set.apply(&record(stranger(number), Op::Revoke));
        }
    }

    /// Whether the request is let through.
    pub(crate) fn admits(&self, head: &mut Parts) -> bool {
        self.gateway.admit(&self.snapshot, head, NOW).is_ok()
    }

    /// Says that everything known is applied, as the follower does while it lives.
    pub(crate) fn confirm(&self) {
        self.gateway.revocations().freshness().confirm(Instant::now());
    }
}

/// A request as browsers and services send them, with this token.
pub(crate) fn request(token: &str) -> Parts {
    let request = Request::builder()
        .method(Method::GET)
        .uri("/orders/17?fields=all")
        .header("host", "api.example.com")
        .header(
            "user-agent",
            "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        )
        .header("accept", "application/json")
        .header("accept-encoding", "gzip, deflate, br")
        .header("accept-language", "en-GB,en;q=0.7")
        .header("authorization", format!("Bearer {token}"))
        .body(())
        .expect("a request");
    request.into_parts().0
}

/// Claims of the size that identity providers make, good at [`NOW`].
pub(crate) fn claims(number: u64) -> Value {
    claims_at(NOW, number)
}

/// The same, good at another time.
pub(crate) fn claims_at(now: UnixTime, number: u64) -> Value {
    let now = now.as_secs();
    json!({
        "iss": ISSUER, "aud": ["orders-api", "account"], "type": "access",
        "sub": "0f6d7a1e-9c1f-4d2b-8b8e-6f1f0a2c3d4e", "jti": token_id(number),
        "iat": now - 60, "nbf": now - 60, "exp": now + 600,
        "azp": "orders-web", "sid": "b7c1f3f0-5d57-4a7c-9d0e-0b8e6b1d2c3a",
        "scope": "openid profile email orders:read orders:write",
        "realm_access": {"roles": ["buyer", "offline_access", "uma_authorization"]},
        "email": "alice@example.com", "email_verified": true, "name": "Alice Example",
    })
}

/// The `jti` of our token of that number.
pub(crate) fn token_id(number: u64) -> String {
    Uuid::from_u128(1 << 127 | u128::from(number)).to_string()
}

/// The `jti` of a token that is not ours.
pub(crate) fn stranger(number: u64) -> String {
    let spread = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 1;
    Uuid::from_u128(u128::from(spread) << 64 | u128::from(number)).to_string()
}

/// A record about a token of [`ISSUER`].
pub(crate) fn record(token_id: String, op: Op) -> Revocation {
    Revocation {
        id: Uuid::nil(),
        op,
        name: Name { issuer: ISSUER.into(), claim: "jti".into(), value: token_id.into() },
        issued_before: None,
        expires_at: UnixTime::from_secs(NOW.as_secs() + 3600),
        at: NOW,
        actor: None,
        reason: None,
        token: None,
    }
}

/// A key pair, or the benches' one secret.
pub(crate) fn new_key(algorithm: Algorithm) -> SigningKey {
    let key = match algorithm {
        Algorithm::HS256 => SigningKey::from_secret(algorithm, SECRET),
        _ => SigningKey::generate(algorithm),
    };
    key.expect("keys can be made").with_kid("k1")
}

/// What the gateway is told; writes its key into the folder. The last of the routes is `/orders/`.
pub(crate) fn configuration(key: &SigningKey, folder: &std::path::Path, routes: usize) -> String {
    let keys = match key.to_secret() {
        Some(secret) => {
            fs::write(folder.join("secret"), secret.expose()).expect("written");
            r#"{ secret = { file = "secret" } }"#
        }
        None => {
            fs::write(folder.join("jwks.json"), key.jwks()).expect("written");
            r#"{ jwks_file = "jwks.json" }"#
        }
    };
    let mut text = format!(
        r#"
        [listener]
        address = "127.0.0.1:0"
        [log]
        access = "off"
        [[issuers]]
        name = "main"
        issuer = "{ISSUER}"
        audiences = ["orders-api"]
        algorithms = ["{:?}"]
        keys = {keys}
        [revocation]
        max_staleness = "1h"
        [upstreams.orders]
        endpoints = ["http://127.0.0.1:9"]
        "#,
        key.algorithm(),
    );
    for number in 1..routes {
        text += &route(&format!("r{number}"), &format!("/service-{number}/"));
    }
    text + &route("orders", "/orders/")
}

fn route(name: &str, path: &str) -> String {
    format!(
        r#"
        [[routes]]
        name = "{name}"
        path = "{path}"
        upstream = "orders"
        auth = "required"
        forward = {{ claims = {{ sub = "X-Auth-Subject" }} }}
        "#
    )
}
