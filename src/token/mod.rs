//! The token room: from text in a header to a [`Verified`] token.
//!
//! Pure but for `refresh`, which fetches key sets. What a token may do is `access`' business; whether
//! it was taken back is `revocation`'s.

mod bearer;
mod claims;
mod error;
mod issuer;
mod types;
mod verify;

pub use bearer::{BearerToken, TokenSource};
pub use claims::{ClaimPath, Claims};
pub use error::{BearerError, TokenError};
pub use issuer::{
    Audiences, IssuerConfig, KeysConfig, MaxLifetime, TokenTypeFrom, TokenTypeRule, TypeHeaders,
};
pub use types::{TokenType, TokenTypes};
pub use verify::Verified;
