//! What flask-jwt-extended 4.7 (over PyJWT 2) finds wrong with a token, in its order and its words.
//!
//! Asked only once a token is refused, by routes that answer in that library's words; nothing here
//! decides anything. A signature is checked again only where the refusal came before it was.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::clock::UnixTime;

use super::header::Header;
use super::jws::Jws;
use super::verify::with_key;
use super::{
    Audiences, BearerError, BearerToken, Found, IssuerConfig, TokenError, TrustedIssuer, Verifier,
};

/// What the library would say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `invalid_token_loader`: 422 with these words.
    Invalid(Cow<'static, str>),
    /// `expired_token_loader`: 401.
    Expired,
    /// The CSRF token is another: 401.
    CsrfMismatch,
}

type Object = Map<String, Value>;

/// A token taken apart as PyJWT does it.
struct Parts {
    header: Object,
    claims: Object,
}

// === impl Verifier ===

impl Verifier {
    /// What the library would say of a token that is refused with `error`; `None` where the rule that
    /// refuses it is ours alone.
    pub fn fault(&self, found: Found<'_>, error: TokenError, now: UnixTime) -> Option<Fault> {
        if matches!(error, TokenError::TooLong | TokenError::KeysUnavailable) {
            return None;
        }
        let token = found.credential.token().ok()?;
        self.walk((token, found), error, now).err()
    }

    fn walk(
        &self,
        (token, found): (BearerToken<'_>, Found<'_>),
        error: TokenError,
        now: UnixTime,
    ) -> Result<(), Fault> {
        let Parts { header, claims } = take_apart(token.as_str())?;
        let Some(issuer) = self.meant(&claims) else { return Ok(()) };
        check_algorithm(issuer.config(), &header)?;
        if !signature_holds(issuer, token, error) {
            return invalid("Signature verification failed");
        }
        let config = issuer.config();
        let expired = check_dates(config, &claims, now)?;
        check_issuer(config, &claims)?;
        check_audience(config, &claims)?;
        check_texts(config, &claims)?;
        check_csrf(found, &claims)?;
        if expired { Err(Fault::Expired) } else { Ok(()) }
    }

    /// The issuer whose rules count: the only one, or the one that the claims name.
    fn meant(&self, claims: &Object) -> Option<&TrustedIssuer> {
        let named = claims.get("iss").and_then(Value::as_str);
        match self.issuers() {
            [only] => Some(only),
            all => all.iter().find(|it| it.config().issuer.as_deref() == named).map(|it| &**it),
        }
    }
}

fn invalid<T>(words: impl Into<Cow<'static, str>>) -> Result<T, Fault> {
    Err(Fault::Invalid(words.into()))
}

/// PyJWT's `_load` and `_validate_headers`.
fn take_apart(token: &str) -> Result<Parts, Fault> {
    let Some((input, crypto)) = token.rsplit_once('.') else {
        return invalid("Not enough segments");
    };
    let Some((header, payload)) = input.split_once('.') else {
        return invalid("Not enough segments");
    };
    let header = object(&segment(header, "header")?, "header")?;
    let payload = segment(payload, "payload")?;
    segment(crypto, "crypto")?;
    check_headers(&header)?;
    Ok(Parts { header, claims: object(&payload, "payload")? })
}

fn segment(text: &str, name: &str) -> Result<Vec<u8>, Fault> {
    let bare = text.trim_end_matches('=');
    let padding = text.len() - bare.len();
    let padded = padding == 0 || (padding <= 2 && text.len().is_multiple_of(4));
    match URL_SAFE_NO_PAD.decode(bare) {
        Ok(bytes) if padded => Ok(bytes),
        _ => invalid(format!("Invalid {name} padding")),
    }
}

fn object(json: &[u8], name: &str) -> Result<Object, Fault> {
    match serde_json::from_slice(json) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => invalid(format!("Invalid {name} string: must be a json object")),
        // Python's parser names the place; here that is said of nothing at all.
        Err(_) if json.is_empty() => {
            invalid(format!("Invalid {name} string: Expecting value: line 1 column 1 (char 0)"))
        }
        Err(_) => invalid(format!("Invalid {name} string: not JSON")),
    }
}

fn check_headers(header: &Object) -> Result<(), Fault> {
    if header.get("kid").is_some_and(|kid| !kid.is_string()) {
        return invalid("Key ID header parameter must be a string");
    }
    let Some(critical) = header.get("crit") else { return Ok(()) };
    let Some(names) = critical.as_array().filter(|names| !names.is_empty()) else {
        return invalid("Invalid 'crit' header: must be a non-empty list");
    };
    for name in names {
        match name.as_str() {
            None => return invalid("Invalid 'crit' header: values must be strings"),
            Some("b64") if header.contains_key("b64") => {}
            Some("b64") => return invalid("Critical extension 'b64' is missing from headers"),
            Some(name) => return invalid(format!("Unsupported critical extension: {name}")),
        }
    }
    Ok(())
}

fn check_algorithm(config: &IssuerConfig, header: &Object) -> Result<(), Fault> {
    let Some(named) = header.get("alg") else { return invalid("Algorithm not specified") };
    let allowed = named.as_str().and_then(super::header::algorithm_named);
    if allowed.is_some_and(|algorithm| config.algorithms.contains(&algorithm)) {
        return Ok(());
    }
    invalid("The specified alg value is not allowed")
}

fn signature_holds(issuer: &TrustedIssuer, token: BearerToken<'_>, error: TokenError) -> bool {
    match error {
        TokenError::BadSignature | TokenError::UnknownKey => false,
        // Claims are read before the signature is checked.
        TokenError::Malformed | TokenError::UnknownIssuer => verifies(issuer, token) != Some(false),
        _ => true,
    }
}

/// `None` where our stricter reading of the header comes first.
fn verifies(issuer: &TrustedIssuer, token: BearerToken<'_>) -> Option<bool> {
    let jws = Jws::split(token).ok()?;
    let header = jws.header().ok()?;
    let header = Header::parse(&header).ok()?;
    Some(with_key(issuer, &header, |key| key.verify(&jws)).is_ok())
}

/// Whether it has expired: said after everything else, since the library then reads the token again.
fn check_dates(config: &IssuerConfig, claims: &Object, now: UnixTime) -> Result<bool, Fault> {
    let (now, leeway) = (i128::from(now.as_secs()), i128::from(config.leeway.as_secs()));
    for (name, words) in [
        ("iat", "Issued At claim (iat) must be an integer."),
        ("nbf", "Not Before claim (nbf) must be an integer."),
    ] {
        let Some(value) = claims.get(name) else { continue };
        match integer(value) {
            None => return invalid(words),
            Some(date) if date > now + leeway => {
                return invalid(format!("The token is not yet valid ({name})"));
            }
            Some(_) => {}
        }
    }
    let Some(value) = claims.get("exp") else { return Ok(false) };
    match integer(value) {
        None => invalid("Expiration Time claim (exp) must be an integer."),
        Some(date) => Ok(date <= now - leeway),
    }
}

/// Python's `int(value)`.
fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::Bool(flag) => Some(i128::from(*flag)),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Some(i128::from(whole)),
            None => number.as_f64().map(|fraction| fraction as i128),
        },
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn check_issuer(config: &IssuerConfig, claims: &Object) -> Result<(), Fault> {
    let Some(wanted) = &config.issuer else { return Ok(()) };
    match claims.get("iss") {
        None => invalid("Token is missing the \"iss\" claim"),
        Some(Value::String(text)) if **text == **wanted => Ok(()),
        Some(Value::String(_)) => invalid("Invalid issuer"),
        Some(_) => invalid("Payload Issuer (iss) must be a string"),
    }
}

fn check_audience(config: &IssuerConfig, claims: &Object) -> Result<(), Fault> {
    const FORM: &str = "Invalid claim format in token";
    let Audiences::OneOf(wanted) = &config.audiences else { return Ok(()) };
    let named: Vec<&str> = match claims.get("aud") {
        Some(Value::String(text)) if !text.is_empty() => vec![text],
        Some(Value::Array(items)) if !items.is_empty() => {
            match items.iter().map(Value::as_str).collect() {
                Some(texts) => texts,
                None => return invalid(FORM),
            }
        }
        None | Some(Value::Null | Value::String(_) | Value::Array(_) | Value::Bool(false)) => {
            return invalid("Token is missing the \"aud\" claim");
        }
        Some(_) => return invalid(FORM),
    };
    if wanted.iter().any(|one| named.contains(&&**one)) {
        return Ok(());
    }
    invalid("Audience doesn't match")
}

fn check_texts(config: &IssuerConfig, claims: &Object) -> Result<(), Fault> {
    for (name, words) in [("sub", "Subject must be a string"), ("jti", "JWT ID must be a string")] {
        if claims.get(name).is_some_and(|value| !value.is_string()) {
            return invalid(words);
        }
    }
    let own = config.own_claims.as_ref().and_then(|own| own.identity.as_deref());
    let identity = own.unwrap_or("sub");
    if config.require.iter().any(|name| **name == *identity) && !claims.contains_key(identity) {
        return invalid(format!("Missing claim: {identity}"));
    }
    Ok(())
}

fn check_csrf(found: Found<'_>, claims: &Object) -> Result<(), Fault> {
    match found.matches_text(claims.get("csrf").and_then(Value::as_str)) {
        Ok(()) => Ok(()),
        Err(BearerError::CsrfClaim) => invalid("Missing claim: csrf"),
        Err(_) => Err(Fault::CsrfMismatch),
    }
}

#[cfg(test)]
#[path = "tests/pyjwt.rs"]
mod tests;
