//! What a token whose signature is right must still say: the issuer's rules, against one reading of time.

use std::time::Duration;

use crate::clock::UnixTime;

use super::header::Header;
use super::{
    Audiences, Claim, Claims, IssuerConfig, TokenError, TokenType, TokenTypeFrom, TokenTypeRule,
    TypeHeaders,
};

/// The word that tells a token's kind, where it was looked for.
enum Word<'t> {
    Absent,
    Text(&'t str),
    /// There, and not text.
    Other,
}

/// Checks every rule but one; gives the token's kind and the second from which on it is refused, for
/// that one is asked again each time the token is shown.
pub(super) fn check(
    config: &IssuerConfig,
    header: &Header<'_>,
    claims: &Claims,
    now: UnixTime,
) -> Result<(TokenType, UnixTime), TokenError> {
    check_typ(&config.typ, header)?;
    check_required(config, claims)?;
    let kind = kind_of(&config.token_type, header, claims)?;
    check_audience(&config.audiences, claims)?;
    let expires_at = check_lifetime(config, claims, kind, now)?;
    check_not_future(claims, now.saturating_add(config.leeway))?;
    Ok((kind, expires_at.saturating_add(config.leeway)))
}

/// RFC 8725 §3.11; an absent `typ` is accepted (RFC 7519 §5.1).
fn check_typ(accepted: &TypeHeaders, header: &Header<'_>) -> Result<(), TokenError> {
    let (TypeHeaders::OneOf(accepted), Some(typ)) = (accepted, header.typ()) else { return Ok(()) };
    let typ = without_application(typ);
    let fits = |one: &str| without_application(one).eq_ignore_ascii_case(typ);
    if accepted.iter().any(|one| fits(one)) { Ok(()) } else { Err(TokenError::TypeHeader) }
}

/// RFC 7515 §4.1.9: the prefix may be left out.
fn without_application(typ: &str) -> &str {
    const PREFIX: &str = "application/";
    match typ.split_at_checked(PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) && !rest.contains('/') => rest,
        _ => typ,
    }
}

/// Empty text names nobody and nothing, so it is as good as absent.
fn check_required(config: &IssuerConfig, claims: &Claims) -> Result<(), TokenError> {
    let has = |name: &str| {
        claims.look(name).is_some_and(|claim| !claim.is_null() && claim.as_str() != Some(""))
    };
    if config.require.iter().all(|name| has(name)) { Ok(()) } else { Err(TokenError::MissingClaim) }
}

/// The kind by the issuer's words; a word that is in neither list is another kind (RFC 8725 §3.12)
/// unless the issuer is said to mean one of ours by it.
pub(super) fn kind_of(
    rule: &TokenTypeRule,
    header: &Header<'_>,
    claims: &Claims,
) -> Result<TokenType, TokenError> {
    // A logout token or another security event (RFC 8417 §2.2) is no leave to do anything.
    if claims.look("events").is_some() {
        return Err(TokenError::UnknownType);
    }
    match word(&rule.from, header, claims) {
        Word::Absent => rule.missing,
        Word::Text(word) if rule.access.iter().any(|it| **it == *word) => Some(TokenType::Access),
        Word::Text(word) if rule.refresh.iter().any(|it| **it == *word) => Some(TokenType::Refresh),
        Word::Text(_) | Word::Other => rule.other,
    }
    .ok_or(TokenError::UnknownType)
}

fn word<'t>(from: &TokenTypeFrom, header: &'t Header<'_>, claims: &'t Claims) -> Word<'t> {
    let (present, text) = match from {
        TokenTypeFrom::Claim(path) => {
            let claim = claims.look_at(path);
            (claim.is_some(), claim.and_then(Claim::as_str))
        }
        TokenTypeFrom::Header(name) => (header.has(name), header.text(name)),
    };
    match text {
        Some(text) => Word::Text(text),
        None if present => Word::Other,
        None => Word::Absent,
    }
}

fn check_audience(accepted: &Audiences, claims: &Claims) -> Result<(), TokenError> {
    let Audiences::OneOf(accepted) = accepted else { return Ok(()) };
    if claims.audiences().any(|audience| accepted.iter().any(|one| **one == *audience)) {
        return Ok(());
    }
    Err(TokenError::AudienceNotAccepted)
}

/// When the token ends, leeway apart, once its life is known to be short enough. A token without
/// `exp`, where that is not required, ends when the longest life from its `iat` does.
fn check_lifetime(
    config: &IssuerConfig,
    claims: &Claims,
    kind: TokenType,
    now: UnixTime,
) -> Result<UnixTime, TokenError> {
    let longest = config.max_lifetime.of(kind);
    let (expires_at, born, tolerance) = match (claims.expires_at(), claims.issued_at()) {
        (Some(expires_at), Some(issued_at)) => (expires_at, issued_at, Duration::ZERO),
        (Some(expires_at), None) => (expires_at, now, config.leeway),
        (None, Some(issued_at)) => return Ok(issued_at.saturating_add(longest)),
        (None, None) => return Err(TokenError::MissingClaim),
    };
    if expires_at.since(born) > longest.saturating_add(tolerance) {
        return Err(TokenError::LifetimeTooLong);
    }
    Ok(expires_at)
}

fn check_not_future(claims: &Claims, latest: UnixTime) -> Result<(), TokenError> {
    let dates = [claims.not_before(), claims.issued_at()];
    if dates.into_iter().flatten().all(|date| date <= latest) {
        return Ok(());
    }
    Err(TokenError::NotYetValid)
}
