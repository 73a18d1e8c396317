//! What the bearer of a token may do with his own tokens at the data listener: the calls as a request
//! says them, and what can be wrong with one. Pure; `gateway::serve` reads and answers them.

use std::sync::Arc;

use http::Method;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use crate::body::ReadError;
use crate::revocation::Registered;

/// What is below the path of a self-service route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `logout`.
    Logout,
    /// `tokens`.
    Tokens,
    /// `tokens/{jti}`.
    Token(Arc<str>),
}

/// What a bearer asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Takes the presented token back; `everywhere`: all of its subject's that were issued so far.
    Logout {
        /// Not just the presented token.
        everywhere: bool,
    },
    /// Lists his live tokens.
    List,
    /// Takes the one with this `jti` back.
    Revoke(Arc<str>),
    /// Gives the one with this `jti` back.
    Reinstate(Arc<str>),
}

/// What was done, durably and enforced on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// The presented token is taken back.
    LoggedOut,
    /// Everything of its subject is.
    LoggedOutEverywhere,
    /// His live tokens.
    Listed(Vec<Registered>),
    /// The token with this `jti` is taken back.
    Revoked(Arc<str>),
    /// It holds again.
    Reinstated(Arc<str>),
}

/// Why a call was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CallError {
    /// `all` is something else.
    #[error("'all' must be a boolean")]
    AllNotBoolean,
    /// The body broke off or was malformed.
    #[error("the request's body broke off")]
    BodyBroken,
    /// The body did not come.
    #[error("the request's body did not arrive in time")]
    BodyStalled,
    /// The body is longer than any call's.
    #[error("the request's body is too large")]
    BodyTooLarge,
    /// The body is not the JSON of an object with known members.
    #[error("the body must be a JSON object with the members of this call")]
    Malformed,
    /// The gateway keeps no register of tokens.
    #[error("there is no register of tokens")]
    NoRegister,
    /// The token names nobody whose tokens these could be.
    #[error("the token names no subject")]
    NoSubject,
    /// No live token of the bearer's has this `jti`.
    #[error("the bearer has no such token")]
    NoSuchToken,
    /// The store confirmed nothing in time: saying it again is harmless.
    #[error("the store did not confirm in time")]
    NotConfirmed,
    /// The store took nothing.
    #[error("it could not be recorded")]
    NotRecorded,
    /// `revoke` is not there.
    #[error("missing 'revoke' in body")]
    RevokeMissing,
    /// `revoke` is something else.
    #[error("'revoke' must be a boolean")]
    RevokeNotBoolean,
    /// Someone else took the token back, or it went with others: not his to give back.
    #[error("the token was not taken back by its bearer, or not by itself")]
    TakenByOthers,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogoutBody {
    all: Option<Value>,
}

#[derive(Deserialize)]
struct TokenBody {
    revoke: Option<Value>,
}

/// The longest body of a call, in bytes.
pub const MAX_BODY: usize = 4096;

// === impl Endpoint ===

impl Endpoint {
    /// The endpoint at what is left of the path behind the route's own. `token` is the word of
    /// flask-jwt-extended's example.
    pub fn at(rest: &str) -> Option<Self> {
        let mut segments = rest.strip_prefix('/')?.split('/');
        match (segments.next()?, segments.next(), segments.next()) {
            ("logout", None, None) => Some(Self::Logout),
            ("tokens" | "token", None, None) => Some(Self::Tokens),
            ("tokens" | "token", Some(id), None) if !id.is_empty() => Some(Self::Token(id.into())),
            _ => None,
        }
    }

    /// Whether there is a call with this method; else see [`Endpoint::allow`].
    pub fn takes(&self, method: &Method) -> bool {
        match self {
            // flask-jwt-extended's examples log out with DELETE.
            Self::Logout => *method == Method::POST || *method == Method::DELETE,
            Self::Tokens => *method == Method::GET || *method == Method::HEAD,
            Self::Token(_) => *method == Method::PUT,
        }
    }

    /// The methods, for `Allow`.
    pub const fn allow(&self) -> &'static str {
        match self {
            Self::Logout => "POST, DELETE",
            Self::Tokens => "GET, HEAD",
            Self::Token(_) => "PUT",
        }
    }
}

// === impl Call ===

impl Call {
    /// Reads a call whose method the endpoint takes.
    pub fn read(endpoint: Endpoint, body: &[u8]) -> Result<Self, CallError> {
        match endpoint {
            Endpoint::Logout => logout(body),
            Endpoint::Tokens => Ok(Self::List),
            Endpoint::Token(id) => token(id, body),
        }
    }
}

// === impl Done ===

impl Done {
    /// The word for it in log and metrics.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::LoggedOut => "logout",
            Self::LoggedOutEverywhere => "logout_all",
            Self::Listed(_) => "list",
            Self::Revoked(_) => "revoke",
            Self::Reinstated(_) => "reinstate",
        }
    }
}

// === impl CallError ===

impl CallError {
    /// What the client is told beyond the code: what its program has to change.
    pub const fn hint(self) -> Option<&'static str> {
        match self {
            Self::AllNotBoolean => Some("'all' must be a boolean"),
            Self::Malformed => Some("The body must be a JSON object with the members of this call"),
            Self::NoSubject => Some("The token names no subject"),
            Self::RevokeMissing => Some("Missing 'revoke' in body"),
            Self::RevokeNotBoolean => Some("'revoke' must be a boolean"),
            Self::TakenByOthers => {
                Some("The token was not taken back by its bearer, or not by itself")
            }
            Self::BodyBroken
            | Self::BodyStalled
            | Self::BodyTooLarge
            | Self::NoRegister
            | Self::NoSuchToken
            | Self::NotConfirmed
            | Self::NotRecorded => None,
        }
    }
}

impl From<ReadError> for CallError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::TooLarge => Self::BodyTooLarge,
            ReadError::Broken => Self::BodyBroken,
            ReadError::Stalled => Self::BodyStalled,
        }
    }
}

fn logout(body: &[u8]) -> Result<Call, CallError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Call::Logout { everywhere: false });
    }
    // A misspelt `all` that did less than was asked for would not be noticed.
    let body: LogoutBody = serde_json::from_slice(body).map_err(|_cause| CallError::Malformed)?;
    match body.all {
        None => Ok(Call::Logout { everywhere: false }),
        Some(Value::Bool(everywhere)) => Ok(Call::Logout { everywhere }),
        Some(_) => Err(CallError::AllNotBoolean),
    }
}

/// As flask-jwt-extended's example reads it: what is no JSON misses `revoke`, other members are let be.
fn token(id: Arc<str>, body: &[u8]) -> Result<Call, CallError> {
    let body: Result<TokenBody, _> = serde_json::from_slice(body);
    match body.ok().and_then(|body| body.revoke) {
        None => Err(CallError::RevokeMissing),
        Some(Value::Bool(true)) => Ok(Call::Revoke(id)),
        Some(Value::Bool(false)) => Ok(Call::Reinstate(id)),
        Some(_) => Err(CallError::RevokeNotBoolean),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_out_reads_its_body_strictly() {
        let one = Ok(Call::Logout { everywhere: false });
        let all = Ok(Call::Logout { everywhere: true });
        for (body, want) in [
            ("", one.clone()),
            (" \r\n", one.clone()),
            ("{}", one.clone()),
            (r#"{"all": false}"#, one),
            (r#"{"all": true}"#, all),
            (r#"{"all": "true"}"#, Err(CallError::AllNotBoolean)),
            (r#"{"all": 1}"#, Err(CallError::AllNotBoolean)),
            (r#"{"al": true}"#, Err(CallError::Malformed)),
            (r#"{"all": true, "all": false}"#, Err(CallError::Malformed)),
            (r#"{"all": true} x"#, Err(CallError::Malformed)),
            ("[]", Err(CallError::Malformed)),
            ("all=true", Err(CallError::Malformed)),
        ] {
            assert_eq!(Call::read(Endpoint::Logout, body.as_bytes()), want, "{body}");
        }
    }

    #[test]
    fn a_token_is_revoked_and_reinstated_by_a_boolean_and_nothing_else() {
        for (body, want) in [
            (r#"{"revoke": true}"#, Ok(Call::Revoke("a".into()))),
            (r#"{"revoke": false, "x": 1}"#, Ok(Call::Reinstate("a".into()))),
            (r#"{"revoke": "true"}"#, Err(CallError::RevokeNotBoolean)),
            (r#"{"revoke": 1}"#, Err(CallError::RevokeNotBoolean)),
            (r#"{"revoke": null}"#, Err(CallError::RevokeMissing)),
            (r#"{"revoke": true, "revoke": false}"#, Err(CallError::RevokeMissing)),
            ("{}", Err(CallError::RevokeMissing)),
            ("true", Err(CallError::RevokeMissing)),
            ("", Err(CallError::RevokeMissing)),
        ] {
            let endpoint = Endpoint::Token("a".into());
            assert_eq!(Call::read(endpoint, body.as_bytes()), want, "{body}");
        }
    }

    #[test]
    fn an_endpoint_is_the_whole_rest_of_the_path() {
        for (rest, want) in [
            ("/logout", Some(Endpoint::Logout)),
            ("/tokens", Some(Endpoint::Tokens)),
            ("/token", Some(Endpoint::Tokens)),
            ("/tokens/a b", Some(Endpoint::Token("a b".into()))),
            ("/token/a", Some(Endpoint::Token("a".into()))),
            ("", None),
            ("/", None),
            ("logout", None),
            ("/Logout", None),
            ("/logout/", None),
            ("/tokens/", None),
            ("/tokens/a/", None),
            ("/tokens/a/b", None),
        ] {
            assert_eq!(Endpoint::at(rest), want, "{rest}");
        }
    }
}
