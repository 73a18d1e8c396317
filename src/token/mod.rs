//! The token room: from text in a header to a [`Verified`] token.
//!
//! Pure but for `refresh`, which fetches key sets. What a token may do is `access`' business; whether
//! it was taken back is `revocation`'s.

mod bearer;
mod cache;
mod claims;
mod door;
mod error;
pub(crate) mod form;
mod header;
pub(crate) mod inside;
mod issuer;
mod jwk;
mod jws;
mod keys;
mod lenient;
pub mod mint;
mod pem;
mod places;
mod pyjwt;
mod refresh;
mod rules;
mod signature;
pub(crate) mod strict_json;
mod tape;
mod types;
mod verify;

#[cfg(test)]
mod tests;

pub use bearer::{BearerToken, Credential};
pub use cache::TokenCache;
pub use claims::{ClaimPath, Claims};
pub use error::{BearerError, TokenError};
pub use issuer::{
    Audiences, IssuerConfig, KeysConfig, MaxLifetime, OwnClaims, TokenTypeFrom, TokenTypeRule,
    TrustedIssuer, TypeHeaders,
};
pub use keys::{KeySet, KeysError, VerifyingKey};
pub use places::{Csrf, Found, Proof, Reading, TokenSource};
pub use pyjwt::Fault;
pub use refresh::KeyRefresher;
pub(crate) use tape::Claim;
pub use types::{TokenType, TokenTypes};
pub use verify::{Authentic, Verified, Verifier};
