//! ROCA moduli, and what a key without or with odd leading bytes is worth.

use serde_json::json;

use super::*;
use crate::token::tests::{EVERY_ALGORITHM, RSA, unb64};

/// 65537 to that power, big-endian: a modulus of the weak form.
fn power_of_65537(exponent: u32) -> Vec<u8> {
    let mut digits = vec![1_u8];
    for _ in 0..exponent {
        let mut carry = 0;
        for digit in &mut digits {
            let product = u32::from(*digit) * 65_537 + carry;
            *digit = (product & 0xff) as u8;
            carry = product >> 8;
        }
        while carry > 0 {
            digits.push((carry & 0xff) as u8);
            carry >>= 8;
        }
    }
    digits.into_iter().rev().collect()
}

#[test]
fn a_modulus_with_the_roca_fingerprint_is_refused() {
    let weak = power_of_65537(129);
    assert!(RSA_BITS.contains(&(weak.len() * 8 - 7)));
    assert!(has_roca_fingerprint(&weak));
    let mut jwk = RSA.public_jwk().unwrap();
    assert!(!has_roca_fingerprint(&unb64(jwk["n"].as_str().unwrap())));
    jwk["n"] = URL_SAFE_NO_PAD.encode(&weak).into();
    assert!(parse(&jwk.to_string(), &EVERY_ALGORITHM).is_none());
}

#[test]
fn leading_zeros_of_a_modulus_change_nothing() {
    let mut jwk = RSA.public_jwk().unwrap();
    let n = [vec![0], unb64(jwk["n"].as_str().unwrap())].concat();
    jwk["n"] = URL_SAFE_NO_PAD.encode(&n).into();
    assert_eq!(parse(&jwk.to_string(), &EVERY_ALGORITHM).unwrap().len(), 1);
    // They don't make a short one long either.
    jwk["n"] = URL_SAFE_NO_PAD.encode([vec![0; 200], vec![0xff; 128]].concat()).into();
    assert!(parse(&jwk.to_string(), &EVERY_ALGORITHM).is_none());
}

#[test]
fn members_that_mean_nothing_here_do_no_harm_and_doubles_do() {
    let mut jwk = RSA.public_jwk().unwrap();
    for (name, value) in [
        ("x5c", json!(["MIIB"])),
        ("x5t", json!("abc")),
        ("key_ops", json!(["verify"])),
        ("unknown", json!({"a": [1]})),
    ] {
        jwk[name] = value;
    }
    let text = jwk.to_string();
    assert!(parse(&text, &EVERY_ALGORITHM).is_some());
    let doubled = text.replacen('{', "{\"use\":\"enc\",", 1);
    assert!(parse(&doubled, &EVERY_ALGORITHM).is_none());
}
