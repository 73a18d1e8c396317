//! A33: one token, one name. Whatever still verifies has the digest and `jti` of the original, so
//! that a revocation finds it; whatever has not, does not verify.

use super::signature_attacks::{P256_ORDER, hex};
use super::*;

/// `a - b`, big-endian, both of one length, `a` the larger.
fn subtract(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut difference = vec![0; a.len()];
    let mut borrow = 0;
    for index in (0..a.len()).rev() {
        let digit = i16::from(a[index]) - i16::from(b[index]) - borrow;
        borrow = i16::from(digit < 0);
        difference[index] = (digit + 256 * borrow) as u8;
    }
    difference
}

#[test]
fn the_twin_of_an_ecdsa_signature_has_the_same_digest() {
    let token = EC.sign(&Map::new(), &claims());
    let signature = signature_of(&token);
    let (r, s) = signature.split_at(32);
    let twin = with_signature(&token, [r, &subtract(&hex(P256_ORDER), s)].concat());
    assert_ne!(twin, token);
    let (one, other) = (verify(&token).unwrap(), verify(&twin).unwrap());
    assert_eq!(one.digest(), other.digest());
    assert_eq!(one.claims().token_id(), other.claims().token_id());
}

#[test]
fn a_revoked_token_in_disguise_is_refused_or_found_by_its_jti() {
    let token = token();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    for disguise in [
        format!("{token}="),
        format!("{token} "),
        format!(" {token}"),
        format!("{token}."),
        format!("{token},"),
        format!("{signed}.{signature}A"),
        format!("{signed}.{}", signature.replace('-', "+").replace('_', "/") + "="),
    ] {
        assert_refused(&disguise, &disguise);
    }
    let rest = claims_with(json!({ "jti": null })).to_string()[1..].to_owned();
    for (jti, accepted) in [
        (r#""jti":"\u0030a1b2c""#, true),
        (r#""\u006ati":"0a1b2c""#, true),
        (r#""j\u0074i":"0a1b2\u0063""#, true),
        (r#""jti":"0a1b2c","jti":"fresh""#, false),
        (r#""jti":"fresh","jti":"0a1b2c""#, false),
        (r#""jti":"0a1b2c","\u006ati":"fresh""#, false),
    ] {
        match verify(&token_of(format!("{{{jti},{rest}"))) {
            Ok(verified) => {
                assert!(accepted, "{jti}");
                assert_eq!(verified.claims().token_id(), Some("0a1b2c"), "{jti}");
            }
            Err(error) => assert!(!accepted && error == TokenError::Malformed, "{jti}: {error}"),
        }
    }
}

#[test]
fn long_and_foreign_token_ids_are_kept_whole() {
    for jti in ["j".repeat(256), "\u{442}\u{43e}\u{43a}\u{435}\u{43d}".into(), "j".repeat(1000)] {
        let verified = verify(&token_of(claims_with(json!({ "jti": jti })).to_string())).unwrap();
        assert_eq!(verified.claims().token_id(), Some(&*jti));
    }
}

#[test]
fn the_same_claims_signed_again_with_another_key_keep_their_jti() {
    let ids: Vec<_> = [&*RSA, &*EC, &*ED]
        .map(|key| verify(&key.sign(&Map::new(), &claims())).unwrap())
        .iter()
        .map(|verified| verified.claims().token_id().unwrap().to_owned())
        .collect();
    assert_eq!(ids, ["0a1b2c"; 3]);
}
