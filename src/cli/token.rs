//! `portcullis token`: a test token from a development key. The gateway itself never signs.

use std::io::Write;

use anyhow::{Context, anyhow};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::clock::{Clock, SystemClock};

use super::Failure;
use super::args::TokenArgs;
use super::output::{raw, wrote};

/// Prints the token.
pub(super) fn mint(args: &TokenArgs) -> Result<(), Failure> {
    let (algorithm, key) = key(args)?;
    let mut header = Header::new(algorithm);
    header.kid.clone_from(&args.kid);
    let signed = encode(&header, &claims(args), &key);
    let token = signed.map_err(|error| Failure::Usage(format!("{algorithm:?}: {error}")))?;
    wrote(writeln!(raw(), "{token}"))
}

fn claims(args: &TokenArgs) -> Map<String, Value> {
    let now = SystemClock.now();
    let jti = args.jti.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
    let aud = match args.aud.as_slice() {
        [] => None,
        [one] => Some(json!(one)),
        several => Some(json!(several)),
    };
    let usual = [
        ("iss", args.iss.as_ref().map(|iss| json!(iss))),
        ("sub", args.sub.as_ref().map(|sub| json!(sub))),
        ("aud", aud),
        ("iat", Some(json!(now))),
        ("exp", Some(json!(now.saturating_add(args.ttl)))),
        ("jti", Some(json!(jti))),
    ];
    let usual = usual.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    // What is said in so many words wins; `exp=null` takes the member away, for tests of its absence.
    let mut claims: Map<String, Value> = usual.chain(args.claims.iter().cloned()).collect();
    claims.retain(|_, value| !value.is_null());
    claims
}

fn key(args: &TokenArgs) -> Result<(Algorithm, EncodingKey), Failure> {
    if let Some(path) = &args.key {
        let pem = std::fs::read(path).with_context(|| path.display().to_string())?;
        return pem_key(args.alg, &pem)
            .with_context(|| path.display().to_string())
            .map_err(|error| Failure::Usage(format!("{error:#}")));
    }
    let secret = match (&args.secret_file, &args.secret_env) {
        (Some(path), _) => {
            let text = std::fs::read(path).with_context(|| path.display().to_string())?;
            text.strip_suffix(b"\n").unwrap_or(&text).to_vec()
        }
        (None, name) => {
            let name = name.as_deref().unwrap_or_default();
            let unset = |_error| Failure::Usage(format!("{name} is not set"));
            std::env::var(name).map_err(unset)?.into_bytes()
        }
    };
    let algorithm = args.alg.unwrap_or(Algorithm::HS256);
    if !matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) {
        return Err(Failure::Usage(format!("{algorithm:?} signs with a private key: --key")));
    }
    Ok((algorithm, EncodingKey::from_secret(&secret)))
}

fn pem_key(wanted: Option<Algorithm>, pem: &[u8]) -> anyhow::Result<(Algorithm, EncodingKey)> {
    use Algorithm as A;
    let wrong = |_error| anyhow!("this is not a private key in PEM for that algorithm");
    match wanted {
        Some(alg @ (A::HS256 | A::HS384 | A::HS512)) => {
            Err(anyhow!("{alg:?} signs with a secret: --secret-env or --secret-file"))
        }
        Some(alg @ (A::ES256 | A::ES384)) => {
            EncodingKey::from_ec_pem(pem).map(|key| (alg, key)).map_err(wrong)
        }
        Some(alg @ A::EdDSA) => EncodingKey::from_ed_pem(pem).map(|key| (alg, key)).map_err(wrong),
        Some(alg) => EncodingKey::from_rsa_pem(pem).map(|key| (alg, key)).map_err(wrong),
        None => EncodingKey::from_rsa_pem(pem)
            .map(|key| (A::RS256, key))
            .or_else(|_not_rsa| EncodingKey::from_ec_pem(pem).map(|key| (A::ES256, key)))
            .or_else(|_not_ec| EncodingKey::from_ed_pem(pem).map(|key| (A::EdDSA, key)))
            .map_err(|_none| anyhow!("this is no private key in PEM")),
    }
}
