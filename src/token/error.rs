//! Everything that can be wrong with a credential, by whose fault it is.

use thiserror::Error;

/// Why no single credential could be read from the request (RFC 6750 §2, §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BearerError {
    /// No credential, or one of another scheme.
    #[error("no bearer token in the request")]
    Missing,
    /// The scheme is right and what follows is not one `b64token`.
    #[error("the bearer credential is malformed")]
    Malformed,
    /// More than one credential (RFC 9110 §11.6.2: `Authorization` is no list).
    #[error("more than one credential")]
    Repeated,
    /// A query parameter that does not begin with the prefix it should have.
    #[error("the query parameter lacks its prefix")]
    Prefix,
    /// A cookie alone: the field that a script of the same origin would have set is not there.
    #[error("the CSRF token is missing")]
    CsrfMissing,
    /// The token has no claim `csrf` to compare with.
    #[error("the token has no claim csrf")]
    CsrfClaim,
    /// The field and the token's claim are not the same.
    #[error("the CSRF token does not match")]
    CsrfMismatch,
}

/// Why a token was not accepted. No variant carries a byte of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// Longer than the limit.
    #[error("the token is too long")]
    TooLong,
    /// Not a JWS in compact form, or its header or claims can't be read in exactly one way.
    #[error("the token is malformed")]
    Malformed,
    /// The header's `alg` is not the key's one algorithm (RFC 8725 §3.1).
    #[error("the token's algorithm is not allowed")]
    AlgorithmNotAllowed,
    /// `crit` names something, and there is no extension we understand (RFC 7515 §4.1.11).
    #[error("the token has a critical header parameter")]
    CriticalHeader,
    /// The header's `typ` is of another kind (RFC 8725 §3.11).
    #[error("the token's typ is not accepted")]
    TypeHeader,
    /// `iss` is not an issuer trusted here.
    #[error("the token's issuer is not trusted here")]
    UnknownIssuer,
    /// No key fits the header's `kid` and `alg`.
    #[error("the token's key is unknown")]
    UnknownKey,
    /// The signature does not verify.
    #[error("the token's signature is wrong")]
    BadSignature,
    /// `aud` does not name us (RFC 8725 §3.9).
    #[error("the token is for another audience")]
    AudienceNotAccepted,
    /// A required claim is absent or of the wrong type.
    #[error("the token lacks a required claim")]
    MissingClaim,
    /// `exp` has passed, leeway included.
    #[error("the token has expired")]
    Expired,
    /// `nbf` or `iat` is in the future, leeway included.
    #[error("the token is not yet valid")]
    NotYetValid,
    /// `exp - iat` is longer than what is accepted.
    #[error("the token lives longer than is accepted")]
    LifetimeTooLong,
    /// The token's kind is told by nothing this issuer uses.
    #[error("the token's kind is unknown")]
    UnknownType,
    /// No keys are loaded for the issuer: our fault, not the client's.
    #[error("no keys are loaded for the issuer")]
    KeysUnavailable,
}
