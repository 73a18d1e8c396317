//! A01 to A10: the signature and its algorithm.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::RsaPublicKeyComponents;

use super::*;

/// The order of P-256's group (SEC 2 §2.4.2), big-endian.
pub(super) const P256_ORDER: &str =
    "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
/// The order of Ed25519's group (RFC 8032 §5.1), little-endian.
const ED25519_ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|it| u8::from_str_radix(std::str::from_utf8(it).unwrap(), 16).unwrap()).collect()
}

/// `a + b`, big-endian, as long as the longer one, or one byte longer when it overflows.
fn add(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut sum = Vec::new();
    let mut carry = 0;
    for index in 0..a.len().max(b.len()) {
        let digit = |n: &[u8]| n.iter().rev().nth(index).map_or(0, |it| u16::from(*it));
        let total = digit(a) + digit(b) + carry;
        sum.push((total & 0xff) as u8);
        carry = total >> 8;
    }
    sum.extend((carry > 0).then_some(1));
    sum.reverse();
    sum
}

#[test]
fn a01_alg_none_is_refused_in_every_spelling_with_and_without_a_signature() {
    let spellings = ["none", "None", "NONE", "nOnE", "NoNe", "none ", " none", "n\\u006fne", ""];
    for alg in spellings {
        for kid in ["", ",\"kid\":\"rsa\""] {
            let signed = token_under(format!("{{\"alg\":\"{alg}\"{kid}}}"));
            let (bare, _) = signed.rsplit_once('.').unwrap();
            for token in [signed.clone(), format!("{bare}."), bare.to_owned()] {
                assert_refused(&token, alg);
            }
            assert_eq!(assert_refused(&signed, alg), TokenError::AlgorithmNotAllowed);
        }
    }
}

#[test]
fn a02_an_alg_that_is_not_one_exact_name_is_refused() {
    for header in [
        r#"{"kid":"rsa"}"#,
        r#"{"kid":"rsa","alg":null}"#,
        r#"{"kid":"rsa","alg":["RS256"]}"#,
        r#"{"kid":"rsa","alg":256}"#,
        r#"{"kid":"rsa","alg":{"RS256":1}}"#,
        r#"{"kid":"rsa","alg":"rs256"}"#,
        r#"{"kid":"rsa","alg":"Rs256"}"#,
        r#"{"kid":"rsa","alg":"RS256 "}"#,
        r#"{"kid":"rsa","alg":" RS256"}"#,
        r#"{"kid":"rsa","alg":"RS256\u0000"}"#,
        r#"{"kid":"rsa","ALG":"RS256"}"#,
        r#"{"alg":"RS256","kid":"rsa","alg":"RS256"}"#,
        r#"{"alg":"none","kid":"rsa","alg":"RS256"}"#,
        r#"{"alg":"RS256","kid":"rsa","\u0061lg":"none"}"#,
    ] {
        assert_refused(&token_under(header), header);
    }
    assert!(verify(&token_under(r#"{"alg":"RS256","kid":"rsa"}"#)).is_ok());
}

/// Whatever a careless verifier could take for "the key" of a public key, as bytes.
fn encodings_of_public_keys() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for key in [&*RSA, &*EC, &*ED] {
        let jwk = key.public_jwk().unwrap();
        all.extend([jwk.to_string(), key.jwks()].map(String::into_bytes));
        for member in ["n", "x", "y", "e", "kid"] {
            let Some(text) = jwk[member].as_str() else { continue };
            all.push(text.as_bytes().to_vec());
            all.extend(URL_SAFE_NO_PAD.decode(text));
        }
        if let (Some(x), Some(y)) = (jwk["x"].as_str(), jwk["y"].as_str()) {
            all.push([vec![4], unb64(x), unb64(y)].concat());
        }
    }
    let jwk = RSA.public_jwk().unwrap();
    let part = |name: &str| unb64(jwk[name].as_str().unwrap());
    let spki: aws_lc_rs::encoding::PublicKeyX509Der<'_> =
        RsaPublicKeyComponents { n: part("n"), e: part("e") }.as_der().unwrap();
    let spki = spki.as_ref().to_vec();
    // PKCS #1 is what follows the 24 bytes of algorithm and bit string.
    let body = base64::engine::general_purpose::STANDARD.encode(&spki);
    for pem in [
        format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n"),
        format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----"),
        format!("\n-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n"),
        format!("-----BEGIN PUBLIC KEY-----\r\n{body}\r\n-----END PUBLIC KEY-----\r\n"),
        body,
    ] {
        all.push(pem.into_bytes());
    }
    all.extend([spki[24..].to_vec(), spki]);
    all
}

#[test]
fn a03_a_public_key_is_no_hmac_secret() {
    let encodings = encodings_of_public_keys();
    assert!(encodings.len() > 14);
    for secret in encodings {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let forger = SigningKey::from_secret(algorithm, &secret).unwrap();
            for kid in ["rsa", "ec", "ed"] {
                let token = forger.clone().with_kid(kid).sign(&Map::new(), &claims());
                assert_eq!(assert_refused(&token, kid), TokenError::AlgorithmNotAllowed);
            }
            assert_refused(&forger.sign(&Map::new(), &claims()), "without kid");
        }
    }
}

#[test]
fn a04_empty_and_common_secrets_open_nothing() {
    let own = key(Algorithm::HS256, "h");
    let issuer = Arc::new(TrustedIssuer::new(config()));
    let secret = own.to_secret().unwrap();
    issuer.set_keys(KeySet::from_secret(secret.expose(), &[Algorithm::HS256]).unwrap());
    let gate = Verifier::new(vec![issuer]);
    assert!(verify_at(&gate, &own.sign(&Map::new(), &claims()), NOW).is_ok());
    for secret in ["", "\0", "secret", "password", "your-256-bit-secret", "changeme", "null", "key"]
    {
        let forger = SigningKey::from_secret(Algorithm::HS256, secret.as_bytes()).unwrap();
        let token = forger.sign(&Map::new(), &claims());
        assert_eq!(verify_at(&gate, &token, NOW).unwrap_err(), TokenError::BadSignature);
        assert_refused(&token, secret);
    }
}

#[test]
fn a05_a_key_verifies_with_its_own_algorithm_and_no_other_of_its_family() {
    let pem = RSA.to_pem().unwrap();
    let pem = std::str::from_utf8(pem.expose()).unwrap();
    for algorithm in EVERY_ALGORITHM {
        if !matches!(algorithm, Algorithm::RS256) && format!("{algorithm:?}").contains(['R', 'P']) {
            let same = SigningKey::from_pem(algorithm, pem).unwrap().with_kid("rsa");
            let token = same.sign(&Map::new(), &claims());
            let error = assert_refused(&token, "another algorithm of the family");
            assert_eq!(error, TokenError::AlgorithmNotAllowed, "{algorithm:?}");
        }
    }
}

#[test]
fn a06_unknown_algorithms_are_refused() {
    for alg in ["ES256K", "ES512", "ES521", "RS1", "dir", "Ed25519", "Ed448", "https://a.example/"]
    {
        let token = token_under(format!(r#"{{"alg":"{alg}","kid":"rsa"}}"#));
        assert_eq!(assert_refused(&token, alg), TokenError::AlgorithmNotAllowed);
    }
}

#[test]
fn a07_a_signature_that_was_touched_or_belongs_to_something_else_is_refused() {
    for key in [&*RSA, &*EC, &*ED] {
        let token = key.sign(&Map::new(), &claims());
        let signature = signature_of(&token);
        for index in (0..signature.len()).step_by(7) {
            let mut flipped = signature.clone();
            flipped[index] ^= 1 << (index % 8);
            assert_refused(&with_signature(&token, flipped), "flipped bit");
        }
        assert_refused(&with_signature(&token, &signature[1..]), "cut in front");
        assert_refused(&with_signature(&token, &signature[..signature.len() - 1]), "cut behind");
        assert_refused(&with_signature(&token, [&*signature, &[0]].concat()), "extended");
        assert_refused(&with_signature(&token, [&[0], &*signature].concat()), "extended in front");
        assert_refused(&with_signature(&token, []), "empty");
    }
    let (good, other) = (token(), RSA.sign(&Map::new(), &claims_with(json!({"sub": "mallory"}))));
    let (a, b): (Vec<_>, Vec<_>) = (good.split('.').collect(), other.split('.').collect());
    assert_refused(&[a[0], b[1], a[2]].join("."), "another payload");
    let header = b64(r#"{"alg":"RS256","kid":"rsa"}"#);
    assert_refused(&[&header, a[1], a[2]].join("."), "another header");
    let token = STRANGER.sign(&Map::new(), &claims());
    assert_eq!(assert_refused(&token, "a stranger's key"), TokenError::BadSignature);
}

#[test]
fn a08_rsa_signatures_that_are_no_reduced_number_of_full_length_are_refused() {
    let token = token();
    let n = unb64(RSA.public_jwk().unwrap()["n"].as_str().unwrap());
    let signature = signature_of(&token);
    let mut one = vec![0; 256];
    one[255] = 1;
    for forged in [vec![], vec![0; 256], one, vec![1], n.clone(), add(&signature, &n)] {
        assert_refused(&with_signature(&token, &forged), "RSA edge value");
    }
    let mut unpadded = signature;
    unpadded.insert(0, 0);
    assert_refused(&with_signature(&token, unpadded), "a leading zero");
}

#[test]
fn a09_psychic_signatures_are_refused() {
    let token = EC.sign(&Map::new(), &claims());
    let n = hex(P256_ORDER);
    let (zero, mut one) = (vec![0; 32], vec![0; 32]);
    one[31] = 1;
    for r in [&zero, &one, &n] {
        for s in [&zero, &one, &n] {
            assert_refused(&with_signature(&token, [&**r, &**s].concat()), "edge values");
        }
    }
    let signature = signature_of(&token);
    let (r, s) = signature.split_at(32);
    let integer = |n: &[u8]| [&[2, 33, 0], n].concat();
    let der = [vec![0x30, 70], integer(r), integer(s)].concat();
    for forged in [der, hex("3006020100020100"), hex("30060201010201 01".replace(' ', "").as_str())]
    {
        assert_refused(&with_signature(&token, forged), "DER");
    }
    assert_refused(&with_signature(&token, [&*signature, &[0]].concat()), "65 bytes");
    assert_refused(&with_signature(&token, [&[0], r, &[0], s].concat()), "66 bytes");
    assert_refused(&with_signature(&token, add(&n, s)), "s not reduced");
}

#[test]
fn a10_ed25519_signatures_that_are_zero_or_not_reduced_are_refused() {
    let token = ED.sign(&Map::new(), &claims());
    let signature = signature_of(&token);
    let reversed = |n: &[u8]| n.iter().rev().copied().collect::<Vec<_>>();
    let sum = add(&reversed(&signature[32..]), &reversed(&hex(ED25519_ORDER)));
    let mut not_reduced = reversed(&sum);
    not_reduced.resize(32, 0);
    assert_refused(&with_signature(&token, [&signature[..32], &not_reduced].concat()), "S + L");
    assert_refused(&with_signature(&token, [0; 64]), "zero");
    let mut identity = [0; 64];
    identity[0] = 1;
    assert_refused(&with_signature(&token, identity), "the neutral element");
}
