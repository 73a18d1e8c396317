//! Several issuers, one against another (security.md F, attacker 5): a key speaks for its own issuer, an
//! id is revoked for its own issuer, and a route takes the issuers it names.

use jsonwebtoken::Algorithm;
use portcullis::token::mint::SigningKey;
use serde_json::{Map, Value, json};

use crate::support::forge::members;
use crate::support::gateway::TestGateway;
use crate::support::issuer::good_claims;

/// A second issuer beside the usual one, with the same audience.
const ROUTES: &str = r#"
[[issuers]]
name = "partner"
issuer = "https://partner.example/"
audiences = ["orders-api"]
algorithms = ["RS256"]
keys = { jwks_file = "partner.json" }

[[routes]]
name = "ours"
path = "/ours"
upstream = "orders"
auth = "required"
token_types = ["access"]
issuers = ["main"]

[[routes]]
name = "both"
path = "/both"
upstream = "orders"
auth = "required"
token_types = ["access"]
"#;

fn started(partner: &SigningKey) -> TestGateway {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("partner.json"), partner.jwks()).expect("written");
    TestGateway::start_in(folder, crate::support::upstream::TestUpstream::start(), ROUTES)
}

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::RS256).expect("a key")
}

fn claims(issuer: &str, changes: Value) -> Value {
    let mut claims = good_claims();
    claims["iss"] = json!(issuer);
    for (name, value) in members(changes) {
        claims[name] = value;
    }
    claims
}

const PARTNER: &str = "https://partner.example/";
const MAIN: &str = "https://login.example.com/";

#[test]
fn a_route_takes_the_issuers_it_names() {
    let partner = key();
    let gateway = started(&partner);
    let theirs = partner.sign(&Map::new(), &claims(PARTNER, json!({})));
    for _ in 0..2 {
        gateway.get("/both").bearer(&theirs).send().expect_forwarded();
        gateway.get("/ours").bearer(&theirs).send().expect_rejected(401, "token-invalid");
        gateway.get("/ours").bearer(&gateway.issuer.good()).send().expect_forwarded();
    }
}

#[test]
fn an_issuer_cannot_speak_for_another() {
    let partner = key();
    let gateway = started(&partner);
    let ours = gateway.issuer.key.kid().expect("a kid").to_owned();
    for signer in [partner.clone(), partner.clone().with_kid(ours), partner.without_kid()] {
        for iss in [MAIN, "main", ""] {
            let token = signer.sign(&Map::new(), &claims(iss, json!({})));
            for path in ["/ours", "/both"] {
                gateway.get(path).bearer(&token).send().expect_rejected(401, "token-invalid");
            }
        }
    }
    // The other way round too.
    let token = gateway.issuer.key.sign(&Map::new(), &claims(PARTNER, json!({})));
    gateway.get("/both").bearer(&token).send().expect_rejected(401, "token-invalid");
    assert_eq!(gateway.upstream.count(), 0);
}

#[test]
fn a_kid_that_two_issuers_share_is_looked_up_in_the_issuer_s_own_set() {
    let main = crate::support::issuer::TestIssuer::new();
    let partner = key().with_kid(main.key.kid().expect("a kid"));
    let gateway = started(&partner);
    let theirs = partner.sign(&Map::new(), &claims(PARTNER, json!({})));
    gateway.get("/both").bearer(&theirs).send().expect_forwarded();
    gateway.get("/both").bearer(&gateway.issuer.good()).send().expect_forwarded();
    let forged = partner.sign(&Map::new(), &claims(MAIN, json!({})));
    gateway.get("/both").bearer(&forged).send().expect_rejected(401, "token-invalid");
}

#[test]
fn a_revocation_is_about_one_issuer_s_tokens() {
    let partner = key();
    let gateway = started(&partner);
    let same = json!({ "jti": "same", "sub": "bob" });
    let theirs = partner.sign(&Map::new(), &claims(PARTNER, same.clone()));
    let ours = gateway.issuer.token(same);
    gateway.get("/both").bearer(&theirs).send().expect_forwarded();
    gateway.get("/both").bearer(&ours).send().expect_forwarded();
    let unscoped = json!({ "claim": "jti", "value": "same" });
    assert_eq!(gateway.control("POST", "/v1/revocations").json(&unscoped).send().status, 400);
    gateway.revoke(&json!({ "claim": "jti", "value": "same", "issuer": PARTNER }));
    gateway.get("/both").bearer(&theirs).send().expect_rejected(401, "token-revoked");
    gateway.get("/both").bearer(&ours).send().expect_forwarded();
    gateway.revoke(&json!({ "token": ours }));
    gateway.get("/both").bearer(&ours).send().expect_rejected(401, "token-revoked");
    // A forged token names nothing that could be revoked.
    let forged = partner.sign(&Map::new(), &claims(MAIN, json!({ "jti": "victim" })));
    let answer =
        gateway.control("POST", "/v1/revocations").json(&json!({ "token": forged })).send();
    assert_eq!((answer.status, &answer.json()["field"]), (400, &json!("token")));
    assert!(!answer.text().contains(&forged));
}
