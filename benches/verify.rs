//! What a token costs: each algorithm from text to `Verified`, refusals, and the cache beside them.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use jsonwebtoken::Algorithm;
use portcullis::clock::UnixTime;
use portcullis::token::mint::SigningKey;
use portcullis::token::{
    Audiences, BearerToken, IssuerConfig, KeySet, KeysConfig, MaxLifetime, TokenCache, TokenType,
    TokenTypeFrom, TokenTypeRule, TrustedIssuer, TypeHeaders, Verifier,
};
use serde_json::{Map, Value, json};

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

fn config(algorithm: Algorithm) -> IssuerConfig {
    IssuerConfig {
        name: "main".into(),
        issuer: Some("https://login.example.com/".into()),
        audiences: Audiences::OneOf(vec!["orders-api".into()]),
        algorithms: vec![algorithm],
        keys: KeysConfig::Discovery,
        leeway: Duration::from_secs(30),
        max_lifetime: MaxLifetime {
            access: Duration::from_secs(86_400),
            refresh: Duration::from_secs(90 * 86_400),
        },
        require: ["exp", "iat", "sub", "jti"].map(Box::from).into(),
        text_dates: false,
        typ: TypeHeaders::OneOf(["at+jwt", "JWT"].map(Box::from).into()),
        token_type: TokenTypeRule {
            from: TokenTypeFrom::Claim("type".into()),
            access: vec!["access".into()],
            refresh: vec!["refresh".into()],
            missing: Some(TokenType::Access),
            other: None,
        },
        own_claims: None,
    }
}

/// Claims of the size that identity providers make.
fn claims() -> Value {
    json!({
        "iss": "https://login.example.com/", "aud": ["orders-api", "account"], "type": "access",
        "sub": "0f6d7a1e-9c1f-4d2b-8b8e-6f1f0a2c3d4e", "jti": "5e2a7a4c-0a54-4b8e-9a39-2f6a2f6d1c11",
        "iat": NOW.as_secs() - 60, "nbf": NOW.as_secs() - 60, "exp": NOW.as_secs() + 600,
        "azp": "orders-web", "sid": "b7c1f3f0-5d57-4a7c-9d0e-0b8e6b1d2c3a",
        "scope": "openid profile email orders:read orders:write",
        "realm_access": {"roles": ["buyer", "offline_access", "uma_authorization"]},
        "email": "alice@example.com", "email_verified": true, "name": "Alice Example",
    })
}

fn gate(key: &SigningKey) -> Verifier {
    let algorithm = key.algorithm();
    let keys = match key.to_secret() {
        Some(secret) => KeySet::from_secret(secret.expose(), &[algorithm]),
        None => KeySet::parse_jwks(key.jwks().as_bytes(), &[algorithm]),
    };
    let issuer = TrustedIssuer::new(config(algorithm));
    issuer.set_keys(keys.expect("the key is good"));
    Verifier::new(vec![Arc::new(issuer)])
}

fn verify(criterion: &mut Criterion) {
    for algorithm in [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let key = SigningKey::generate(algorithm).expect("keys can be made").with_kid("k1");
        let gate = gate(&key);
        let token = key.sign(&Map::new(), &claims());
        criterion.bench_function(&format!("verify/{algorithm:?}"), |bencher| {
            bencher.iter(|| {
                gate.verify(BearerToken::new(black_box(&token)), NOW).expect("the token is good")
            });
        });
    }
}

fn refuse(criterion: &mut Criterion) {
    let key = SigningKey::generate(Algorithm::RS256).expect("keys can be made").with_kid("k1");
    let gate = gate(&key);
    let token = key.sign(&Map::new(), &claims());
    let forged = format!("{}AAAA", &token[..token.len() - 4]);
    let unknown = key.clone().with_kid("k2").sign(&Map::new(), &claims());
    let none = key.sign(json!({"alg": "none"}).as_object().expect("an object"), &claims());
    for (name, token) in [
        ("bad signature", forged),
        ("unknown key", unknown),
        ("alg none", none),
        ("noise", "a.b.c".into()),
    ] {
        criterion.bench_function(&format!("refuse/{name}"), |bencher| {
            bencher.iter(|| {
                gate.verify(BearerToken::new(black_box(&token)), NOW).expect_err("the token is bad")
            });
        });
    }
}

fn cache(criterion: &mut Criterion) {
    let key = SigningKey::generate(Algorithm::RS256).expect("keys can be made").with_kid("k1");
    let gate = gate(&key);
    let token = key.sign(&Map::new(), &claims());
    let verified = gate.verify(BearerToken::new(&token), NOW).expect("the token is good");
    let cache = TokenCache::new(100_000, 64 << 20);
    cache.insert(&token, gate.generation(), Arc::new(verified), 2048);
    criterion.bench_function("cache/hit", |bencher| {
        bencher.iter(|| cache.find(black_box(&token), gate.generation()).expect("it is kept"));
    });
    let other = format!("{token}A");
    criterion.bench_function("cache/miss", |bencher| {
        bencher.iter(|| cache.find(black_box(&other), gate.generation()).is_none());
    });
}

criterion_group!(benches, verify, refuse, cache);
criterion_main!(benches);
