//! Forged signatures and headers over the wire (security.md A01–A12): whatever is tried, the answer is
//! the same refusal, the upstream hears nothing, and the token is in no answer and no log.

use jsonwebtoken::Algorithm;
use portcullis::token::mint::SigningKey;
use serde_json::{Map, Value, json};

use crate::support::forge::{
    Court, add, assembled, b64, der, members, pem, segments, subtract, unb64,
};
use crate::support::gateway::{ORDERS, TestGateway};
use crate::support::issuer::good_claims;

/// A court that knows an RSA, a P-256 and an Ed25519 key.
struct ManyKeys {
    court: Court,
    ec: SigningKey,
    ed: SigningKey,
}

/// The order of P-256.
const N: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
    0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The order of Ed25519's group, big-endian.
const L: [u8; 32] = [
    0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0xde, 0xf9, 0xde, 0xa2, 0xf7, 0x9c,
    0xd6, 0x58, 0x12, 0x63, 0x1a, 0x5c, 0xf5, 0xd3, 0xed,
];

fn many_keys() -> ManyKeys {
    let gateway = TestGateway::start_edited(
        ORDERS,
        &[(r#"algorithms = ["RS256"]"#, r#"algorithms = ["RS256", "ES256", "EdDSA"]"#)],
    );
    let ec = SigningKey::generate(Algorithm::ES256).expect("a key");
    let ed = SigningKey::generate(Algorithm::EdDSA).expect("a key");
    let keys: Vec<Value> =
        [&gateway.issuer.key, &ec, &ed].iter().filter_map(|key| key.public_jwk()).collect();
    let jwks = json!({ "keys": keys }).to_string();
    std::fs::write(gateway.folder.path().join("jwks.json"), jwks).expect("written");
    assert_eq!(gateway.reload().status, 200);
    ManyKeys { court: Court::of(gateway), ec, ed }
}

fn payload() -> String {
    good_claims().to_string()
}

/// The issuer's modulus and public exponent.
fn public_key(court: &Court) -> (Vec<u8>, Vec<u8>) {
    let jwk = court.gateway.issuer.key.public_jwk().expect("a public key");
    let number = |name: &str| unb64(jwk[name].as_str().expect("text"));
    (number("n"), number("e"))
}

#[test]
fn a_token_without_algorithm_is_refused_in_every_spelling() {
    let court = Court::new();
    let signature = segments(&court.gateway.issuer.good())[2].to_owned();
    for alg in ["none", "None", "NONE", "nOnE", "nonE", "none ", " none", "", "none\u{0}"] {
        for kid in [json!(null), json!(court.gateway.issuer.key.kid())] {
            let mut header = json!({ "alg": alg, "typ": "JWT" });
            if !kid.is_null() {
                header["kid"] = kid;
            }
            for signature in ["", &*signature, "AA"] {
                let token = assembled(&header.to_string(), &payload(), signature);
                court.refuses(&format!("{header} {signature:.8}"), &token);
            }
            let bare = format!("{}.{}", b64(header.to_string()), b64(payload()));
            court.refuses("two segments", &bare);
        }
    }
    court.adjourn();
}

#[test]
fn an_algorithm_of_another_form_is_refused() {
    let court = Court::new();
    let alg = [
        "null",
        "[\"RS256\"]",
        "256",
        "true",
        "{}",
        "\"rs256\"",
        "\"Rs256\"",
        "\"RS256 \"",
        "\" RS256\"",
        "\"RS256,none\"",
        "\"ES256K\"",
        "\"RS1\"",
        "\"dir\"",
        "\"RSA1_5\"",
        "\"HS1\"",
        "\"https://evil.example/alg\"",
        "\"RS256\\u0000\"",
        "\"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256\"",
    ];
    for alg in alg {
        court.refuses(alg, &court.signed(&format!("{{\"alg\":{alg}}}"), &payload()));
    }
    for header in [
        r#"{"typ":"JWT"}"#,
        r#"{"alg":"none","alg":"RS256"}"#,
        r#"{"alg":"RS256","alg":"none"}"#,
        r#"{"alg":"RS256","alg":"RS256"}"#,
        r#"{"ALG":"RS256"}"#,
        r#"{"alg":"RS256","\u0061lg":"none"}"#,
    ] {
        court.refuses(header, &court.signed(header, &payload()));
    }
    court.accepts("the same key, named properly", &court.signed(r#"{"alg":"RS256"}"#, &payload()));
    court.adjourn();
}

#[test]
fn the_public_key_is_no_hmac_secret_in_any_encoding() {
    let court = Court::new();
    let (n, e) = public_key(&court);
    let positive = |number: &[u8]| match number[0] {
        0x80.. => der(2, &[&[0], number].concat()),
        _ => der(2, number),
    };
    let pkcs1 = der(0x30, &[positive(&n), positive(&e)].concat());
    let oid = der(6, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1]);
    let algorithm = der(0x30, &[oid, der(5, &[])].concat());
    let bits = der(3, &[&[0], &*pkcs1].concat());
    let spki = der(0x30, &[algorithm, bits].concat());
    let text = pem("PUBLIC KEY", &spki);
    let key = &court.gateway.issuer.key;
    let jwk = key.public_jwk().expect("public").to_string();
    let secrets: [(&str, Vec<u8>); 14] = [
        ("PEM", text.clone().into()),
        ("PEM trimmed", text.trim().into()),
        ("PEM after a line feed", format!("\n{text}").into()),
        ("PEM with CR LF", text.replace('\n', "\r\n").into()),
        ("PEM in one line", text.replace('\n', "").into()),
        ("PKCS #1 PEM", pem("RSA PUBLIC KEY", &pkcs1).into()),
        ("SPKI DER", spki.clone()),
        ("PKCS #1 DER", pkcs1.clone()),
        ("SPKI in base64url", b64(&spki).into()),
        ("JWK", jwk.into()),
        ("JWK set", key.jwks().into()),
        ("modulus", n.clone()),
        ("modulus in base64url", b64(&n).into()),
        ("kid", key.kid().expect("a kid").into()),
    ];
    for (what, secret) in secrets {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let forger = SigningKey::from_secret(algorithm, &secret).expect("a secret");
            let named = forger.clone().with_kid(key.kid().expect("a kid"));
            for forger in [forger, named] {
                court.refuses(what, &forger.sign(&Map::new(), &good_claims()));
            }
        }
    }
    court.adjourn();
}

#[test]
fn common_and_empty_secrets_open_nothing() {
    let court = Court::new();
    for secret in ["", " ", "\0", "secret", "password", "changeme", "your-256-bit-secret", "null"] {
        let forger = SigningKey::from_secret(Algorithm::HS256, secret.as_bytes()).expect("a key");
        court.refuses(secret, &forger.sign(&Map::new(), &good_claims()));
    }
    court.adjourn();
}

#[test]
fn a_key_signs_with_its_own_algorithm_only() {
    let many = many_keys();
    let pem = many.court.gateway.issuer.key.to_pem().expect("a private key");
    let pem = std::str::from_utf8(pem.expose()).expect("PEM");
    use Algorithm::{PS256, PS384, PS512, RS384, RS512};
    for algorithm in [RS384, RS512, PS256, PS384, PS512] {
        let other = SigningKey::from_pem(algorithm, pem).expect("the same key");
        let what = format!("{algorithm:?}");
        many.court.refuses(&what, &other.sign(&Map::new(), &good_claims()));
        let unnamed = other.without_kid();
        many.court.refuses(&what, &unnamed.sign(&Map::new(), &good_claims()));
    }
    // One key's signature under another key's name and algorithm.
    for (signer, named) in [(&many.ec, &many.ed), (&many.ed, &many.ec)] {
        let kid = members(json!({ "kid": named.kid() }));
        many.court.refuses("another's kid", &signer.sign(&kid, &good_claims()));
        let alg = members(json!({ "alg": format!("{:?}", named.algorithm()) }));
        many.court.refuses("another's alg", &signer.sign(&alg, &good_claims()));
    }
    for key in [&many.ec, &many.ed] {
        many.court.accepts("its own", &key.sign(&Map::new(), &good_claims()));
    }
    many.court.adjourn();
}

#[test]
fn a_signature_that_was_touched_is_refused() {
    let court = Court::new();
    let token = court.gateway.issuer.good();
    let other = court.gateway.issuer.of("root");
    let [header, payload, signature] = segments(&token);
    let bytes = unb64(signature);
    court.refuses("no signature", &format!("{header}.{payload}."));
    for (what, bytes) in [
        ("cut", bytes[..255].to_vec()),
        ("cut in front", bytes[1..].to_vec()),
        ("extended", [&*bytes, &[0]].concat()),
        ("extended in front", [&[0], &*bytes].concat()),
        ("doubled", [&*bytes, &*bytes].concat()),
        ("reversed", bytes.iter().rev().copied().collect()),
        ("first bit", [&[bytes[0] ^ 0x80], &bytes[1..]].concat()),
        ("last bit", [&bytes[..255], &[bytes[255] ^ 1]].concat()),
    ] {
        court.refuses(what, &format!("{header}.{payload}.{}", b64(bytes)));
    }
    let [_, others, others_signature] = segments(&other);
    court.refuses("payload swapped", &format!("{header}.{others}.{signature}"));
    court.refuses("signature swapped", &format!("{header}.{payload}.{others_signature}"));
    let wider = b64(format!("{{\"alg\":\"RS256\",\"kid\":{:?} }}", court.gateway.issuer.key.kid()));
    court.refuses("header swapped", &format!("{wider}.{payload}.{signature}"));
    let stranger = SigningKey::generate(Algorithm::RS256).expect("a key");
    let kid = court.gateway.issuer.key.kid().expect("a kid").to_owned();
    court.refuses("a stranger's key", &stranger.sign(&Map::new(), &good_claims()));
    let without = stranger.clone().without_kid().sign(&Map::new(), &good_claims());
    court.refuses("a stranger's key without kid", &without);
    let named = stranger.with_kid(kid).sign(&Map::new(), &good_claims());
    court.refuses("a stranger's key under our kid", &named);
    court.accepts("untouched", &token);
    court.adjourn();
}

#[test]
fn an_rsa_signature_is_a_reduced_number_of_full_length() {
    let court = Court::new();
    let token = court.gateway.issuer.good();
    let [header, payload, signature] = segments(&token);
    let (n, _) = public_key(&court);
    let s = unb64(signature);
    let mut one = vec![0; 256];
    one[255] = 1;
    for (what, number) in [
        ("0", vec![0; 256]),
        ("1", one),
        ("n", n.clone()),
        ("n - s", subtract(&n, &s)),
        ("s + n", add(&s, &n)),
        ("empty", Vec::new()),
        ("one byte", vec![1]),
        ("all ones", vec![0xff; 256]),
    ] {
        court.refuses(what, &format!("{header}.{payload}.{}", b64(number)));
    }
    court.adjourn();
}

#[test]
fn psychic_and_unreduced_signatures_are_refused() {
    let many = many_keys();
    let token = many.ec.sign(&Map::new(), &good_claims());
    let [header, payload, signature] = segments(&token);
    let mut one = [0; 32];
    one[31] = 1;
    for (r, s) in [[0; 32], one, N]
        .iter()
        .flat_map(|r| [([*r, [0; 32]]), ([*r, one]), ([*r, N])])
        .map(|[r, s]| (r, s))
    {
        let forged = b64([r, s].concat());
        many.court.refuses(&format!("r {r:?} s {s:?}"), &format!("{header}.{payload}.{forged}"));
    }
    let good = unb64(signature);
    let minimal = |number: &[u8]| {
        let padded = [&[0], number].concat();
        let zeros = padded.windows(2).take_while(|two| two[0] == 0 && two[1] < 0x80).count();
        der(2, &padded[zeros..])
    };
    let in_der = der(0x30, &[minimal(&good[..32]), minimal(&good[32..])].concat());
    let zeros = der(0x30, &[der(2, &[0]), der(2, &[0])].concat());
    let long = [&*good, &[0]].concat();
    for (what, bytes) in [("DER", in_der), ("DER of zeros", zeros), ("65 bytes", long)] {
        many.court.refuses(what, &format!("{header}.{payload}.{}", b64(bytes)));
    }
    let token = many.ed.sign(&Map::new(), &good_claims());
    let [header, payload, signature] = segments(&token);
    let good = unb64(signature);
    let s: Vec<u8> = good[32..].iter().rev().copied().collect();
    let unreduced: Vec<u8> = add(&s, &L).into_iter().rev().collect();
    for (what, bytes) in [
        ("Ed25519 S + L", [&good[..32], &*unreduced].concat()),
        ("Ed25519 zeros", vec![0; 64]),
        ("Ed25519 identity", [&[1], &[0; 63][..]].concat()),
    ] {
        many.court.refuses(what, &format!("{header}.{payload}.{}", b64(bytes)));
    }
    many.court.adjourn();
}

#[test]
fn a_token_has_one_spelling() {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let court = Court::new();
    let token = court.gateway.issuer.good();
    court.accepts("the one", &token);
    let last = token.as_bytes()[token.len() - 1];
    let place = ALPHABET.iter().position(|letter| *letter == last).expect("base64url");
    for spare in 1..16 {
        let letter = char::from(ALPHABET[place ^ spare]);
        court.refuses("spare bits", &format!("{}{letter}", &token[..token.len() - 1]));
    }
    let [header, payload, signature] = segments(&token);
    court.refuses("=", &format!("{token}="));
    court.refuses("==", &format!("{token}=="));
    court.refuses("standard alphabet", &token.replace('-', "+").replace('_', "/"));
    let inside =
        |what: &str| format!("{header}.{payload}.{}{what}{}", &signature[..9], &signature[9..]);
    court.refuses("skipped letter", &inside("~"));
    for letter in ["=", " ", "\t", "%2e", "!", "*", "\u{a0}", ",", ";"] {
        court.refuses_as(letter, &inside(letter), 400, "bad-credentials");
    }
    court.adjourn();
}

#[test]
fn a_token_has_three_segments() {
    let court = Court::new();
    let token = court.gateway.issuer.good();
    let [header, payload, signature] = segments(&token);
    for (what, forged) in [
        ("two", format!("{header}.{payload}")),
        ("four", format!("{token}.{signature}")),
        ("five", format!("{token}.AA.AA")),
        ("leading dot", format!(".{token}")),
        ("trailing dot", format!("{token}.")),
        ("detached payload", format!("{header}..{signature}")),
        ("doubled", format!("{token}.{token}")),
        ("dots alone", "..".to_owned()),
        ("2000 dots", ".".repeat(2000)),
        ("one letter", "x".to_owned()),
        ("an uncut number", "1".repeat(400)),
    ] {
        court.refuses(what, &forged);
    }
    for (what, forged) in [
        ("quotes", format!("\"{token}\"")),
        ("fragment", format!("{token}#x")),
        ("two in one", format!("{token} {token}")),
        ("joined", format!("{token},{token}")),
        ("JSON serialisation", r#"{"payload":"e30","signatures":[]}"#.to_owned()),
    ] {
        court.refuses_as(what, &forged, 400, "bad-credentials");
    }
    court.adjourn();
}
