//! How a command fails, and with which exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use thiserror::Error;

/// Why a command did not do what it was asked.
#[derive(Debug, Error)]
pub enum Failure {
    /// Bad usage or configuration: exit code 64. The text may have many lines.
    #[error("{0}")]
    Usage(String),
    /// Everything else: exit code 1.
    #[error("{0:#}")]
    Failed(anyhow::Error),
    /// Whoever read our output has read enough.
    #[error("the output was closed")]
    Closed,
}

// === impl Failure ===

impl Failure {
    /// The exit code of bad usage and configuration: sysexits' `EX_USAGE`.
    pub fn usage_code() -> ExitCode {
        ExitCode::from(64)
    }

    /// Says it on standard error; the exit code.
    pub fn report(&self) -> ExitCode {
        let code = match self {
            Self::Closed => return ExitCode::SUCCESS,
            Self::Usage(_) => Self::usage_code(),
            Self::Failed(_) => ExitCode::FAILURE,
        };
        // There is nowhere left to say that it could not be said.
        drop(writeln!(anstream::stderr(), "error: {self}"));
        code
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.into())
    }
}
