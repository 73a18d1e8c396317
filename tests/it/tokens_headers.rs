//! Header members that ask the verifier for something (security.md A15–A22): keys brought along, keys to
//! be fetched, names to be looked up, extensions, other kinds of token. All tokens are otherwise good.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jsonwebtoken::Algorithm;
use portcullis::token::mint::SigningKey;
use serde_json::{Value, json};

use crate::support::forge::{Court, b64, members, segments};
use crate::support::issuer::good_claims;

fn with(key: &SigningKey, header: Value) -> String {
    key.sign(&members(header), &good_claims())
}

#[test]
fn a_key_that_the_token_brings_is_never_used() {
    let court = Court::new();
    let attacker = SigningKey::generate(Algorithm::RS256).expect("a key");
    let jwk = attacker.public_jwk().expect("public");
    let ours = court.gateway.issuer.key.kid().expect("a kid");
    for kid in [json!(null), json!(ours), json!(attacker.kid())] {
        court.refuses("jwk", &with(&attacker, json!({ "kid": kid, "jwk": jwk })));
        let certificate = json!(["MIIBszCCAVmgAwIBAgIUX"]);
        court.refuses("x5c", &with(&attacker, json!({ "kid": kid, "x5c": certificate })));
        let nested = json!({ "keys": [jwk] });
        court.refuses("jwks", &with(&attacker, json!({ "kid": kid, "jwks": nested })));
    }
    court.adjourn();
}

#[test]
fn no_address_in_a_token_is_ever_asked() {
    let court = Court::new();
    let canary = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = canary.local_addr().expect("an address");
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        for _ in canary.incoming() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let attacker = SigningKey::generate(Algorithm::RS256).expect("a key");
    for url in [
        format!("http://{address}/jwks.json"),
        format!("https://{address}/jwks.json"),
        format!("http://login.example.com@{address}/jwks.json"),
        format!("//{address}/"),
    ] {
        for name in ["jku", "x5u", "kid", "x5t", "iss", "url"] {
            court.refuses(name, &with(&attacker, json!({ name: url })));
        }
        let mut claims = good_claims();
        for name in ["iss", "jwks_uri", "jku"] {
            claims[name] = json!(url);
            court.refuses(name, &attacker.sign(&members(json!({})), &claims));
        }
        // Rightly signed: the address is not looked at, and the token is good.
        let good = with(&court.gateway.issuer.key, json!({ "jku": url, "x5u": url }));
        court.accepts("our own key beside a jku", &good);
    }
    court.adjourn();
    // The canary's own connection comes through: had there been another, it would have come before.
    drop(std::net::TcpStream::connect(address).expect("the canary listens"));
    crate::support::eventually::eventually("the canary", || {
        (asked.load(Ordering::SeqCst) > 0).then_some(())
    });
    assert_eq!(asked.load(Ordering::SeqCst), 1, "somebody else asked the canary");
}

#[test]
fn a_kid_is_compared_and_nothing_else() {
    let court = Court::new();
    let key = &court.gateway.issuer.key;
    let kid = key.kid().expect("a kid").to_owned();
    for strange in [
        json!("../../../../dev/null"),
        json!("/dev/null"),
        json!("jwks.json"),
        json!("' OR '1'='1"),
        json!("x'; DROP TABLE keys; --"),
        json!("| cat /etc/passwd"),
        json!("$(id)"),
        json!("${jndi:ldap://127.0.0.1/a}"),
        json!("%s%n"),
        json!(format!("{kid}\u{0}")),
        json!(format!("{kid} ")),
        json!(kid.to_uppercase()),
        json!(""),
        json!([kid]),
        json!({ "kid": kid }),
        json!(0),
        json!(true),
        json!("k".repeat(5000)),
        json!("kid\r\nX-Injected: 1\r\n\r\n{\"forged\":\"line\"}\n"),
        json!("kid\u{85}\u{2028}\u{1b}[31m"),
    ] {
        court.refuses(&strange.to_string(), &with(key, json!({ "kid": strange })));
    }
    let forger = SigningKey::from_secret(Algorithm::HS256, b"").expect("an empty secret");
    court.refuses("an empty file's content", &with(&forger, json!({ "kid": "/dev/null" })));
    let raw = format!("{{\"alg\":\"RS256\",\"kid\":null,\"kid\":\"{kid}\"}}");
    court.refuses("kid twice", &court.signed(&raw, &good_claims().to_string()));
    court.accepts("no kid, one key", &with(key, json!({ "kid": null })));
    court.adjourn();
}

#[test]
fn no_extension_is_understood() {
    let court = Court::new();
    let key = &court.gateway.issuer.key;
    for header in [
        json!({ "crit": ["http://example.com/UNDEFINED"], "http://example.com/UNDEFINED": true }),
        json!({ "crit": ["absent"] }),
        json!({ "crit": [] }),
        json!({ "crit": "exp" }),
        json!({ "crit": ["alg"] }),
        json!({ "crit": {} }),
        json!({ "crit": ["b64"], "b64": false }),
        json!({ "crit": ["b64"], "b64": true }),
        json!({ "b64": false }),
        json!({ "b64": true }),
        json!({ "zip": "DEF" }),
        json!({ "zip": "GZIP" }),
        json!({ "enc": "A256GCM" }),
        json!({ "p2c": 2_147_483_647_u32, "p2s": "c2FsdA" }),
    ] {
        court.refuses(&header.to_string(), &with(key, header));
    }
    let null = r#"{"alg":"RS256","crit":null}"#;
    court.refuses(null, &court.signed(null, &good_claims().to_string()));
    court.adjourn();
}

#[test]
fn a_token_of_another_kind_is_refused_by_its_typ() {
    let court = Court::new();
    let key = &court.gateway.issuer.key;
    for typ in [
        "logout+jwt",
        "refresh+jwt",
        "dpop+jwt",
        "secevent+jwt",
        "id+jwt",
        "JWE",
        "JOSE",
        "jwt ",
        "at+jwt;v=1",
        "",
        "application/jwt/x",
        "kb+jwt",
        "token-introspection+jwt",
    ] {
        court.refuses(typ, &with(key, json!({ "typ": typ })));
    }
    for typ in [json!(["JWT"]), json!(1), json!({})] {
        court.refuses(&typ.to_string(), &with(key, json!({ "typ": typ })));
    }
    for typ in
        [json!(null), json!("JWT"), json!("jwt"), json!("at+jwt"), json!("application/at+jwt")]
    {
        court.accepts(&typ.to_string(), &with(key, json!({ "typ": typ })));
    }
    court.adjourn();
}

#[test]
fn an_encrypted_token_is_no_signed_one() {
    let court = Court::new();
    let (key, payload) = (&court.gateway.issuer.key, b64(good_claims().to_string()));
    for header in [
        json!({ "alg": "RSA-OAEP-256", "enc": "A256GCM", "kid": key.kid() }),
        json!({ "alg": "RSA1_5", "enc": "A128CBC-HS256" }),
        json!({ "alg": "dir", "enc": "A256GCM" }),
        json!({ "alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2c": 2_147_483_647_u32 }),
        json!({ "alg": "RS256", "enc": "A256GCM" }),
    ] {
        let header = b64(header.to_string());
        for middle in ["", "AAAA"] {
            court.refuses("JWE", &format!("{header}.{middle}.AAAAAAAAAAAAAAAA.{payload}.AAAA"));
        }
        let signature = key.signature(format!("{header}.{payload}").as_bytes());
        court.refuses("JWE header on a JWS", &format!("{header}.{payload}.{signature}"));
    }
    // A token within a token is a payload that is no claims set.
    let inner = court.gateway.issuer.good();
    court.refuses("nested", &court.signed(r#"{"alg":"RS256","cty":"JWT"}"#, &inner));
    let [header, payload, _] = segments(&inner);
    court.refuses(
        "unsigned nested",
        &court.signed(r#"{"alg":"RS256"}"#, &format!("{header}.{payload}")),
    );
    court.adjourn();
}
