//! The token's kind, and sets of kinds: what a route accepts and what is checked for revocation.

use std::fmt;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenType {
    /// Presented to a resource (RFC 6749 §1.4).
    Access,
    /// Presented for a new access token (RFC 6749 §1.5).
    Refresh,
}

/// A set of token types; empty is possible and means "none".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenTypes {
    access: bool,
    refresh: bool,
}

// === impl TokenType ===

impl TokenType {
    /// `access` or `refresh`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
        }
    }
}

impl fmt::Display for TokenType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl TokenTypes ===

impl TokenTypes {
    /// Neither.
    pub const NONE: Self = Self { access: false, refresh: false };
    /// Access tokens alone.
    pub const ACCESS: Self = Self { access: true, refresh: false };
    /// Refresh tokens alone.
    pub const REFRESH: Self = Self { access: false, refresh: true };
    /// Both kinds.
    pub const BOTH: Self = Self { access: true, refresh: true };

    /// Whether the kind is in the set.
    pub const fn contains(self, kind: TokenType) -> bool {
        match kind {
            TokenType::Access => self.access,
            TokenType::Refresh => self.refresh,
        }
    }

    /// Whether the set has nothing in it.
    pub const fn is_empty(self) -> bool {
        !self.access && !self.refresh
    }
}

impl FromIterator<TokenType> for TokenTypes {
    fn from_iter<I: IntoIterator<Item = TokenType>>(kinds: I) -> Self {
        kinds.into_iter().fold(Self::NONE, |set, kind| match kind {
            TokenType::Access => Self { access: true, ..set },
            TokenType::Refresh => Self { refresh: true, ..set },
        })
    }
}
