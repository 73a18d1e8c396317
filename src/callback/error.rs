//! Why a callback has no verdict that counts.

use std::io;

use thiserror::Error;

use crate::outbound::TrustError;

/// Why a question brought no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CallbackError {
    /// An answer that can't be read in exactly one way: type, size, JSON, members.
    #[error("the callback's answer is not what it must be")]
    Answer,
    /// Too many questions are out already, or no turn came in time.
    #[error("too many questions are being asked at once")]
    Busy,
    /// No connection, or it broke off.
    #[error("the callback could not be reached")]
    Connect,
    /// The answer is about another token than the one that was verified here.
    #[error("the callback's answer contradicts the token")]
    Contradiction,
    /// It failed several times in a row and is left alone for a moment.
    #[error("the callback is down")]
    Down,
    /// The closure panicked, or this program is ending.
    #[error("the callback ended without an answer")]
    Failed,
    /// Another status than 200; redirects are not followed.
    #[error("the callback answered with another status than 200")]
    Status,
    /// No whole answer in time.
    #[error("the callback did not answer in time")]
    TimedOut,
    /// It says that it can't answer now: 429 or 5xx, or a closure's error.
    #[error("the callback can't answer now")]
    Unavailable,
}

/// Why a configured callback can't be built.
#[derive(Debug, Error)]
pub enum CallbackSetupError {
    /// `kind = "closure"`, and nobody registered one.
    #[error(
        "no closure is registered under this name: only a program that embeds the library has any"
    )]
    NoClosure,
    /// No TLS, or `tls.ca` can't be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// A credential that no header field can carry.
    #[error("`bearer_secret` holds what a header field can't")]
    Credential,
    /// The runtime of the questions.
    #[error("a thread can't be started: {0}")]
    Thread(#[from] io::Error),
}

// === impl CallbackError ===

impl CallbackError {
    /// What the operator is told, in log and metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Answer => "callback_answer",
            Self::Busy => "callback_busy",
            Self::Connect => "callback_connect",
            Self::Contradiction => "callback_contradiction",
            Self::Down => "callback_down",
            Self::Failed => "callback_failed",
            Self::Status => "callback_status",
            Self::TimedOut => "callback_timeout",
            Self::Unavailable => "callback_unavailable",
        }
    }

    /// Whether no answer came, so that `when_down` decides. What lies, breaks the rules, or is only too
    /// much for us never lets anybody through.
    pub const fn is_down(self) -> bool {
        match self {
            Self::Connect | Self::Down | Self::TimedOut | Self::Unavailable => true,
            Self::Answer | Self::Busy | Self::Contradiction | Self::Failed | Self::Status => false,
        }
    }
}
