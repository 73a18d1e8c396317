//! Good tokens that are good no longer, or not here (security.md A33–A37, A41–A43): revoked ones in
//! disguise, near misses, what the cache of verified tokens may and may not say, and what refusals tell.

use jsonwebtoken::Algorithm;
use portcullis::token::mint::SigningKey;
use serde_json::{Map, Value, json};

use crate::support::eventually::eventually;
use crate::support::forge::{Court, assembled, b64, members, segments, subtract, unb64};
use crate::support::gateway::{ORDERS, RENEW, TestGateway};
use crate::support::issuer::{good_claims, now};
use crate::support::raw::Raw;

/// The order of P-256.
const N: &str = "_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE";

fn revoked(court: &Court, id: &str) {
    court.gateway.revoke(&json!({ "claim": "jti", "value": id }));
}

#[test]
fn a_revoked_token_is_refused_in_every_disguise() {
    let court = Court::new();
    let key = &court.gateway.issuer.key;
    let token = court.gateway.issuer.token(json!({ "jti": "stolen" }));
    court.accepts("before", &token);
    revoked(&court, "stolen");
    let as_revoked = |what: &str, token: &str| court.refuses_as(what, token, 401, "token-revoked");
    as_revoked("as it was", &token);
    let [header, payload, signature] = segments(&token);
    // Issued anew under the same id, whatever else it says.
    for changes in [
        json!({ "jti": "stolen" }),
        json!({ "jti": "stolen", "sub": "bob" }),
        json!({ "jti": "stolen", "exp": now() + 7200, "iat": now() - 5 }),
        json!({ "jti": "stolen", "x": "y" }),
    ] {
        as_revoked(&changes.to_string(), &court.gateway.issuer.token(changes));
    }
    let claims = String::from_utf8(unb64(payload)).expect("JSON");
    for (what, claims) in [
        ("escaped value", claims.replace("\"stolen\"", "\"\\u0073tolen\"")),
        ("escaped name", claims.replace("\"jti\"", "\"\\u006a\\u0074i\"")),
        ("spaced", claims.replace("\"stolen\"", " \"stolen\" ")),
    ] {
        as_revoked(what, &court.signed(r#"{"alg":"RS256"}"#, &claims));
    }
    for header in [json!({ "typ": "at+jwt" }), json!({ "kid": null }), json!({ "x": 1 })] {
        let claims: Value = serde_json::from_str(&claims).expect("JSON");
        as_revoked("another header", &key.sign(&members(header), &claims));
    }
    // These are not even looked up.
    for twice in ["\"jti\":\"fresh\",\"jti\":\"stolen\"", "\"jti\":\"stolen\",\"jti\":\"fresh\""] {
        let claims = claims.replace("\"jti\":\"stolen\"", twice);
        court.refuses("jti twice", &court.signed(r#"{"alg":"RS256"}"#, &claims));
    }
    for (what, token) in [
        ("padded", format!("{token}=")),
        ("dotted", format!("{token}.")),
        ("other alphabet", token.replace('-', "+").replace('_', "/")),
        ("unsigned", assembled(r#"{"alg":"none"}"#, &claims, "")),
        ("resigned", format!("{header}.{payload}.{}", key.signature(b"something else"))),
    ] {
        court.refuses(what, &token);
    }
    for token in
        [format!("{token} "), format!("{token},"), format!(" {token}"), format!("{token},x")]
    {
        let answer = court.gateway.get("/orders/1").bearer(&token).send();
        assert!(matches!(answer.status, 400 | 401), "{} {:?}", answer.status, &signature[..4]);
    }
    assert_eq!(court.gateway.upstream.count(), 1, "only the one before");
}

#[test]
fn the_twin_of_an_ecdsa_signature_is_the_same_token() {
    let ec = SigningKey::generate(Algorithm::ES256).expect("a key");
    let edits = [(r#"algorithms = ["RS256"]"#, r#"algorithms = ["RS256", "ES256"]"#)];
    let court = Court::of(TestGateway::start_edited(ORDERS, &edits));
    let jwks = court.gateway.folder.path().join("jwks.json");
    std::fs::write(jwks, ec.jwks()).expect("written");
    assert_eq!(court.gateway.reload().status, 200);
    let mut claims = good_claims();
    claims["jti"] = json!("stolen");
    let token = ec.sign(&Map::new(), &claims);
    let [header, payload, signature] = segments(&token);
    let signature = unb64(signature);
    let twin = [&signature[..32], &*subtract(&unb64(N), &signature[32..])].concat();
    let twin = format!("{header}.{payload}.{}", b64(twin));
    court.accepts("the twin is a good signature, too", &twin);
    revoked(&court, "stolen");
    court.refuses_as("the token", &token, 401, "token-revoked");
    court.refuses_as("its twin", &twin, 401, "token-revoked");
    court.adjourn();
}

#[test]
fn the_twin_of_a_token_revoked_by_its_digest_is_refused() {
    let ec = SigningKey::generate(Algorithm::ES256).expect("a key");
    let edits = [(
        r#"algorithms = ["RS256"]"#,
        r#"algorithms = ["RS256", "ES256"]
require = ["exp", "sub"]"#,
    )];
    let court = Court::of(TestGateway::start_edited(ORDERS, &edits));
    let jwks = court.gateway.folder.path().join("jwks.json");
    std::fs::write(jwks, ec.jwks()).expect("written");
    assert_eq!(court.gateway.reload().status, 200);
    let mut claims = good_claims();
    claims.as_object_mut().expect("an object").remove("jti");
    let token = ec.sign(&Map::new(), &claims);
    let [header, payload, signature] = segments(&token);
    let signature = unb64(signature);
    let twin = [&signature[..32], &*subtract(&unb64(N), &signature[32..])].concat();
    let twin = format!("{header}.{payload}.{}", b64(twin));
    court.accepts("the token", &token);
    court.accepts("its twin", &twin);
    court.gateway.revoke(&json!({ "token": token }));
    court.refuses_as("the token", &token, 401, "token-revoked");
    court.refuses_as("its twin", &twin, 401, "token-revoked");
    court.adjourn();
}

#[test]
fn near_misses_of_a_revoked_id_pass() {
    let court = Court::new();
    let token = |id: &str| court.gateway.issuer.token(json!({ "jti": id }));
    let long = "i".repeat(256);
    for id in ["stolen", "š", &*long] {
        revoked(&court, id);
        court.refuses_as(id, &token(id), 401, "token-revoked");
    }
    let longer = format!("{long}i");
    for id in [
        "Stolen",
        "stole",
        "stolen2",
        " stolen",
        "stolen ",
        "stolen\u{0}",
        "s",
        &long[1..],
        &longer,
    ] {
        court.accepts(id, &token(id));
    }
    // The same text as another claim, and another issuer's id, are other names.
    court.accepts("as sub", &court.gateway.issuer.token(json!({ "sub": "stolen" })));
    court.adjourn();
}

#[test]
fn a_revoked_token_is_refused_with_every_method_and_alone() {
    let gateway = TestGateway::start(ORDERS);
    let stolen = gateway.issuer.token(json!({ "jti": "stolen" }));
    let good = gateway.issuer.good();
    gateway.revoke(&json!({ "claim": "jti", "value": "stolen" }));
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "PURGE"] {
        let answer = gateway.ask(method, "/orders/1").bearer(&stolen).send();
        answer.expect_rejected(401, "token-revoked");
    }
    assert_eq!(gateway.ask("HEAD", "/orders/1").bearer(&stolen).send().status, 401);
    let mut pipeline = String::new();
    for token in [&good, &stolen, &good, &stolen, &good] {
        pipeline +=
            &format!("GET /orders/1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n");
    }
    let mut raw = Raw::connect(gateway.data);
    raw.send(&pipeline);
    let statuses = [(); 5].map(|()| raw.answer().expect("an answer").status);
    assert_eq!(statuses, [200, 401, 200, 401, 200]);
    assert_eq!(gateway.upstream.count(), 3);
}

#[test]
fn what_the_cache_knows_helps_no_other_token() {
    let court = Court::new();
    let token = court.gateway.issuer.good();
    court.accepts("first", &token);
    court.accepts("from the cache", &token);
    assert!(court.gateway.metric("portcullis_token_cache_hits_total") >= 1.0);
    let [header, payload, signature] = segments(&token);
    let mut flipped = unb64(signature);
    flipped[100] ^= 1;
    court.refuses("bad signature", &format!("{header}.{payload}.{}", b64(flipped)));
    court.refuses("no signature", &format!("{header}.{payload}."));
    let case: String = token
        .chars()
        .map(|letter| match letter {
            'a'..='z' => letter.to_ascii_uppercase(),
            other => other.to_ascii_lowercase(),
        })
        .collect();
    court.refuses("other case", &case);
    for _ in 0..3 {
        court.refuses("a refusal is not remembered as a pass", &format!("{header}.{payload}.AAAA"));
    }
    court.accepts("still", &token);
    court.adjourn();
}

#[test]
fn one_id_with_two_subjects_keeps_each_its_own() {
    let gateway = TestGateway::start(ORDERS);
    for _ in 0..3 {
        for subject in ["alice", "bob"] {
            let token = gateway.issuer.token(json!({ "jti": "same", "sub": subject }));
            gateway.get("/orders/1").bearer(&token).send().expect_forwarded();
            assert_eq!(gateway.upstream.last().all("x-auth-subject"), [subject]);
        }
    }
}

#[test]
fn a_token_that_expires_while_it_is_cached_is_refused() {
    let gateway = TestGateway::start(ORDERS);
    let exp = now() + 2;
    let token = gateway.issuer.token(json!({ "exp": exp }));
    gateway.get("/orders/1").bearer(&token).send().expect_forwarded();
    let answer = eventually("expired", || {
        let asked = now();
        let answer = gateway.get("/orders/1").bearer(&token).send();
        assert!(answer.status == 401 || asked < exp, "let through after its end");
        (answer.status == 401).then_some(answer)
    });
    answer.expect_rejected(401, "token-expired");
    assert!(now() >= exp, "not before its end");
}

#[test]
fn a_cached_token_is_no_pass_for_a_route_of_another_kind() {
    let gateway = TestGateway::start(&(ORDERS.to_owned() + RENEW));
    let (access, refresh) = (gateway.issuer.good(), gateway.issuer.refresh());
    for _ in 0..3 {
        gateway.get("/orders/1").bearer(&access).send().expect_forwarded();
        gateway.get("/renew").bearer(&refresh).send().expect_forwarded();
        gateway.get("/renew").bearer(&access).send().expect_rejected(401, "token-invalid");
        gateway.get("/orders/1").bearer(&refresh).send().expect_rejected(401, "token-invalid");
    }
}

#[test]
fn a_cached_token_is_refused_from_the_acknowledgement_on() {
    let gateway = TestGateway::start(ORDERS);
    for (n, claim) in ["jti", "sub", "sid", "client_id", "iss", "kid"].into_iter().enumerate() {
        let id = format!("id-{n}");
        let token = gateway.issuer.token(json!({
            "jti": id, "sub": id, "sid": id, "client_id": id, "iat": now() - 1,
        }));
        gateway.get("/orders/1").bearer(&token).send().expect_forwarded();
        let value = match claim {
            "iss" => "https://login.example.com/",
            "kid" => gateway.issuer.key.kid().expect("a kid"),
            _ => &*id,
        };
        gateway.revoke(&json!({ "claim": claim, "value": value }));
        let answer = gateway.get("/orders/1").bearer(&token).send();
        answer.expect_rejected(401, "token-revoked");
        if claim == "iss" {
            let undo = "/v1/revocations?claim=iss&value=https://login.example.com/";
            assert_eq!(gateway.control("DELETE", undo).send().status, 200);
        }
    }
}

#[test]
fn a_huge_token_is_refused_and_the_gateway_lives() {
    let gateway = TestGateway::start(ORDERS);
    let token = gateway.issuer.good();
    for length in [8 * 1024 + 1, 16 * 1024, 30 * 1024] {
        for letter in ["A", "."] {
            let answer = gateway.get("/orders/1").bearer(&letter.repeat(length)).send();
            answer.expect_rejected(401, "token-invalid");
        }
    }
    let padded = gateway.issuer.token(json!({ "x": "y".repeat(8 * 1024) }));
    gateway.get("/orders/1").bearer(&padded).send().expect_rejected(401, "token-invalid");
    for length in [64 * 1024, 1024 * 1024] {
        // The head has no room for it: whether the answer is read depends on when the server closes.
        if let Ok(answer) = gateway.get("/orders/1").bearer(&"A".repeat(length)).try_send() {
            assert_eq!(answer.status, 431);
        }
    }
    gateway.get("/orders/1").bearer(&token).send().expect_forwarded();
    assert_eq!(gateway.upstream.count(), 1);
}

#[test]
fn a_challenge_says_what_rfc_6750_says_and_no_more() {
    let gateway = TestGateway::start(ORDERS);
    let stolen = gateway.issuer.token(json!({ "jti": "stolen" }));
    gateway.revoke(&json!({ "claim": "jti", "value": "stolen" }));
    let challenge = |token: Option<&str>| {
        let ask = gateway.get("/orders/1");
        let answer = match token {
            Some(token) => ask.bearer(token),
            None => ask,
        }
        .send();
        assert_eq!(answer.field("cache-control"), Some("no-store"));
        answer.field("www-authenticate").expect("a challenge").to_owned()
    };
    assert_eq!(challenge(None), "Bearer realm=\"orders\"");
    for token in ["a.b.c", &gateway.issuer.expired(), &stolen, &gateway.issuer.refresh()] {
        let challenge = challenge(Some(token));
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        assert!(!challenge.contains("scope="), "{challenge}");
    }
    assert!(challenge(Some("a b")).contains("error=\"invalid_request\""));
}

#[test]
fn every_invalid_token_gets_the_same_text() {
    let court = Court::new();
    let issuer = &court.gateway.issuer;
    let stranger = SigningKey::generate(Algorithm::RS256).expect("a key");
    let tokens = [
        "x".to_owned(),
        stranger.sign(&Map::new(), &good_claims()),
        stranger.with_kid(issuer.key.kid().expect("a kid")).sign(&Map::new(), &good_claims()),
        issuer.token(json!({ "iss": "https://evil.example/" })),
        issuer.token(json!({ "aud": "other" })),
        issuer.token(json!({ "jti": null })),
        issuer.token(json!({ "nbf": now() + 600 })),
        issuer.refresh(),
        issuer.key.sign(&members(json!({ "typ": "logout+jwt" })), &good_claims()),
        issuer.key.sign(&members(json!({ "crit": ["x"] })), &good_claims()),
        assembled(r#"{"alg":"none"}"#, &good_claims().to_string(), ""),
    ];
    let told = tokens.map(|token| {
        let answer = court.gateway.get("/orders/1").bearer(&token).send();
        let mut problem = answer.json();
        problem["instance"] = json!(null);
        (answer.status, answer.field("www-authenticate").map(str::to_owned), problem.to_string())
    });
    assert!(told.iter().all(|one| *one == told[0]), "{told:#?}");
    assert_eq!(court.gateway.upstream.count(), 0);
}
