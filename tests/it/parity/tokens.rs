//! Tokens of every kind that the library tells apart, each with a name.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use portcullis::token::mint::SigningKey;
use serde_json::{Map, Value, json};

use crate::support::issuer::{SECRET, now};

use super::gateways::key;

/// What a good token's CSRF claim says.
pub const CSRF: &str = "0d1e2f3a-4d5e-4f60-8a7b-9c0d6f1a2b3c";

/// Tokens by name, and the ids that are revoked on both sides.
#[derive(Debug)]
pub struct Tokens {
    pub all: Vec<(String, String)>,
    pub revoked: Vec<String>,
}

// === impl Tokens ===

impl Tokens {
    pub fn mint() -> Self {
        let mut tokens = Self { all: Vec::new(), revoked: Vec::new() };
        tokens.of_claims();
        tokens.of_dates();
        tokens.of_headers();
        tokens.of_forms();
        tokens.of_revocations();
        tokens
    }

    #[track_caller]
    pub fn get(&self, name: &str) -> &str {
        let found = self.all.iter().find(|(it, _)| it == name);
        &found.unwrap_or_else(|| panic!("no token {name}")).1
    }

    fn add(&mut self, name: &str, token: String) {
        self.all.push((name.to_owned(), token));
    }

    fn with(&mut self, name: &str, changes: Value) {
        self.add(name, signed(&changes));
    }

    fn of_claims(&mut self) {
        self.with("good", json!({}));
        self.with("refresh", json!({ "type": "refresh" }));
        for (name, value) in [
            ("no", json!(null)),
            ("other", json!("id")),
            ("empty", json!("")),
            ("upper", json!("Refresh")),
            ("number", json!(7)),
            ("list", json!(["refresh"])),
        ] {
            self.with(&format!("type {name}"), json!({ "type": value }));
        }
        let soon = now() + 600;
        for (name, value) in [
            ("true", json!(true)),
            ("no", json!(null)),
            ("past", json!(now() - 60)),
            ("future", json!(soon)),
            ("future float", json!(soon as f64 + 0.5)),
            ("zero", json!(0)),
            ("text", json!("yes")),
            ("list", json!([])),
        ] {
            self.with(&format!("fresh {name}"), json!({ "fresh": value }));
        }
        self.with("refresh fresh true", json!({ "type": "refresh", "fresh": true }));
        for claim in ["sub", "jti"] {
            self.with(&format!("{claim} no"), json!({ claim: null }));
            for (name, value) in [
                ("number", json!(7)),
                ("list", json!(["a"])),
                ("object", json!({})),
                ("true", json!(true)),
            ] {
                self.with(&format!("{claim} {name}"), json!({ claim: value }));
            }
            self.add(&format!("{claim} null"), raw_claim(claim, "null"));
        }
        self.with("sub empty", json!({ "sub": "" }));
        self.with("sub unicode", json!({ "sub": "Zo\u{eb} \u{2603}" }));
        self.with("sub long", json!({ "sub": "a".repeat(1000) }));
        self.with("aud text", json!({ "aud": "orders" }));
        self.with("aud list", json!({ "aud": ["a", "b"] }));
        self.with("aud number", json!({ "aud": 7 }));
        self.with("iss other", json!({ "iss": "https://other.example.com/" }));
        self.with("role admin", json!({ "role": "admin" }));
        self.with("role viewer", json!({ "role": "viewer" }));
        self.with("csrf no", json!({ "csrf": null }));
        self.with("csrf number", json!({ "csrf": 7 }));
        self.add("member twice", raw_claim("x", "1,\"x\":2"));
    }

    fn of_dates(&mut self) {
        let now = now();
        let old = json!({ "iat": now - 9000, "nbf": now - 9000, "exp": now - 3600 });
        self.with("expired", old.clone());
        let and = |changes: Value| {
            let mut claims = old.clone();
            claims
                .as_object_mut()
                .expect("an object")
                .extend(changes.as_object().expect("one").clone());
            claims
        };
        self.with("expired refresh", and(json!({ "type": "refresh" })));
        self.with("expired sub no", and(json!({ "sub": null })));
        self.with("expired sub number", and(json!({ "sub": 7 })));
        self.with("expired csrf other", and(json!({ "csrf": "other" })));
        self.with("expired fresh text", and(json!({ "fresh": "yes" })));
        self.with("expired now", json!({ "exp": now }));
        self.with("expired a moment ago", json!({ "exp": now - 5 }));
        self.with("expired iat future", json!({ "exp": now - 60, "iat": now + 600 }));
        for claim in ["exp", "nbf", "iat"] {
            let date = if claim == "exp" { now + 600 } else { now - 60 };
            let past = if claim == "exp" { now - 60 } else { now + 600 };
            self.with(&format!("{claim} no"), json!({ claim: null }));
            self.with(&format!("{claim} wrong"), json!({ claim: past }));
            self.with(&format!("{claim} float"), json!({ claim: date as f64 + 0.5 }));
            self.with(&format!("{claim} text"), json!({ claim: date.to_string() }));
            self.with(&format!("{claim} wrong text"), json!({ claim: past.to_string() }));
            self.with(&format!("{claim} word"), json!({ claim: "soon" }));
            self.with(&format!("{claim} empty"), json!({ claim: "" }));
            self.with(&format!("{claim} list"), json!({ claim: [date] }));
            self.with(&format!("{claim} object"), json!({ claim: {} }));
            self.with(&format!("{claim} negative"), json!({ claim: -5 }));
            self.add(&format!("{claim} null"), raw_claim(claim, "null"));
        }
        self.with("exp and iat no", json!({ "exp": null, "iat": null }));
        self.with("exp false", json!({ "exp": false }));
    }

    fn of_headers(&mut self) {
        for (name, header) in [
            ("typ no", r#"{"alg":"HS256"}"#),
            ("typ at+jwt", r#"{"alg":"HS256","typ":"at+jwt"}"#),
            ("typ number", r#"{"alg":"HS256","typ":7}"#),
            ("kid", r#"{"alg":"HS256","kid":"k1"}"#),
            ("kid number", r#"{"alg":"HS256","kid":7}"#),
            ("alg no", r#"{"typ":"JWT"}"#),
            ("alg none", r#"{"alg":"none"}"#),
            ("alg empty", r#"{"alg":""}"#),
            ("alg null", r#"{"alg":null}"#),
            ("alg number", r#"{"alg":7}"#),
            ("alg lower", r#"{"alg":"hs256"}"#),
            ("alg other", r#"{"alg":"RS256"}"#),
            ("alg unknown", r#"{"alg":"XX1"}"#),
            ("crit x", r#"{"alg":"HS256","crit":["x"],"x":1}"#),
            ("crit empty", r#"{"alg":"HS256","crit":[]}"#),
            ("crit text", r#"{"alg":"HS256","crit":"x"}"#),
            ("crit number", r#"{"alg":"HS256","crit":[7]}"#),
            ("crit b64 missing", r#"{"alg":"HS256","crit":["b64"]}"#),
            ("b64 true", r#"{"alg":"HS256","b64":true}"#),
            ("jwk", r#"{"alg":"HS256","jwk":{"kty":"oct"}}"#),
            ("header list", "[]"),
            ("header number", "7"),
            ("header broken", "{\"alg\""),
            ("header empty", ""),
            ("header twice", r#"{"alg":"HS256","x":1,"x":2}"#),
        ] {
            self.add(name, key().sign_bytes(header.as_bytes(), claims(&json!({})).as_bytes()));
        }
        let other =
            SigningKey::from_secret(Algorithm::HS384, format!("{SECRET}-longer").as_bytes());
        self.add("alg HS384", other.expect("a key").sign(&Map::new(), &json!({ "sub": "a" })));
        let foreign = SigningKey::generate(Algorithm::HS256).expect("a key").without_kid();
        let payload: Value = serde_json::from_str(&claims(&json!({}))).expect("JSON");
        self.add("signature foreign", foreign.sign(&Map::new(), &payload));
        let bad = json!({ "exp": 1, "sub": 7, "type": "refresh" });
        let bad = claims(&bad).into_bytes();
        self.add(
            "signature foreign and claims bad",
            foreign.sign_bytes(br#"{"alg":"HS256"}"#, &bad),
        );
    }

    fn of_forms(&mut self) {
        let header = br#"{"alg":"HS256"}"#;
        for (name, payload) in [
            ("payload list", "[]"),
            ("payload text", "\"x\""),
            ("payload null", "null"),
            ("payload empty object", "{}"),
            ("payload broken", "{\"sub\":"),
            ("payload empty", ""),
        ] {
            self.add(name, key().sign_bytes(header, payload.as_bytes()));
        }
        let good = signed(&json!({}));
        let parts: Vec<&str> = good.split('.').collect();
        let [head, payload, signature] = [parts[0], parts[1], parts[2]];
        let zero = URL_SAFE_NO_PAD.encode([0; 32]);
        for (name, token) in [
            ("one segment", "abc".to_owned()),
            ("two segments", "abc.def".to_owned()),
            ("letters", "a.b.c".to_owned()),
            ("dots", "..".to_owned()),
            ("one dot", ".".to_owned()),
            ("four segments", format!("{good}.x")),
            ("four good segments", format!("{head}.{payload}.{payload}.{signature}")),
            ("five segments", "a.b.c.d.e".to_owned()),
            ("header padding", format!("a.{payload}.{signature}")),
            ("payload padding", format!("{head}.a.{signature}")),
            ("signature padding", format!("{head}.{payload}.a")),
            ("signature short", format!("{head}.{payload}.{}", &signature[..20])),
            ("signature no", format!("{head}.{payload}.")),
            ("signature zero", format!("{head}.{payload}.{zero}")),
            ("signature equals sign", format!("{good}=")),
            ("signature three equals signs", format!("{good}===")),
            ("payload not base64", format!("{head}.+/.{signature}")),
            ("payload swapped", format!("{head}.{}.{signature}", URL_SAFE_NO_PAD.encode("{}"))),
        ] {
            self.add(name, token);
        }
    }

    fn of_revocations(&mut self) {
        let now = now();
        for (name, changes) in [
            ("revoked", json!({})),
            ("revoked fresh", json!({ "fresh": true })),
            ("revoked refresh", json!({ "type": "refresh" })),
            ("revoked expired", json!({ "exp": now - 60, "iat": now - 900, "nbf": now - 900 })),
            ("revoked type other", json!({ "type": "id" })),
            ("revoked role viewer", json!({ "role": "viewer" })),
            ("revoked exp no", json!({ "exp": null })),
        ] {
            let id = uuid::Uuid::new_v4().to_string();
            let mut changes = changes;
            changes["jti"] = id.clone().into();
            self.with(name, changes);
            self.revoked.push(id);
        }
    }
}

/// As flask-jwt-extended makes them with cookies; null takes a claim away.
pub fn claims(changes: &Value) -> String {
    let now = now();
    let mut claims = json!({
        "fresh": false, "iat": now - 60, "jti": uuid::Uuid::new_v4(), "type": "access",
        "sub": "alice", "nbf": now - 60, "csrf": CSRF, "exp": now + 3600,
    });
    let members = claims.as_object_mut().expect("an object");
    for (name, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => drop(members.remove(name)),
            value => drop(members.insert(name.clone(), value.clone())),
        }
    }
    claims.to_string()
}

pub fn signed(changes: &Value) -> String {
    key().sign_bytes(br#"{"alg":"HS256","typ":"JWT"}"#, claims(changes).as_bytes())
}

/// A claim whose JSON is put in as it is.
fn raw_claim(name: &str, json: &str) -> String {
    let mut text = claims(&json!({ name: null }));
    text.truncate(text.len() - 1);
    let payload = format!("{text},\"{name}\":{json}}}");
    key().sign_bytes(br#"{"alg":"HS256","typ":"JWT"}"#, payload.as_bytes())
}
