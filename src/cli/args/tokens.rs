//! The arguments of `portcullis tokens`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

use super::{Reach, time};
use crate::clock::UnixTime;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(in crate::cli) struct TokensArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: Option<TokensCommand>,
    #[command(flatten)]
    pub(in crate::cli) list: ListTokensArgs,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum TokensCommand {
    /// Register an issued token
    Register(RegisterArgs),
    /// Take a registered token back
    Revoke(ChangeArgs),
    /// Remove the revocation of a registered token again
    Reinstate(ChangeArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ListTokensArgs {
    /// Only this subject's
    #[arg(long, allow_hyphen_values = true)]
    pub(in crate::cli) subject: Option<String>,
    /// Only this issuer's
    #[arg(long)]
    pub(in crate::cli) issuer: Option<String>,
    /// At most so many tokens
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(in crate::cli) limit: u16,
    /// Where an earlier page ended
    #[arg(long, value_name = "NEXT", allow_hyphen_values = true)]
    pub(in crate::cli) after: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) reach: Reach,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["jti", "token", "token_file"]))]
pub(in crate::cli) struct RegisterArgs {
    /// Its id
    #[arg(long, allow_hyphen_values = true)]
    pub(in crate::cli) jti: Option<String>,
    /// Whose it is; may be left out when one issuer is configured
    #[arg(long, requires = "jti")]
    pub(in crate::cli) issuer: Option<String>,
    /// To whom it was given
    #[arg(long, requires = "jti", allow_hyphen_values = true)]
    pub(in crate::cli) sub: Option<String>,
    /// access, refresh, or another word
    #[arg(long = "type", requires = "jti")]
    pub(in crate::cli) token_type: Option<String>,
    /// Its `exp`: UNIX seconds, or like `+15m`
    #[arg(long, requires = "jti", value_name = "TIME", value_parser = time)]
    pub(in crate::cli) expires_at: Option<UnixTime>,
    /// Read the token from standard input
    #[arg(long, value_name = "-", value_parser = ["-"], hide_possible_values = true)]
    pub(in crate::cli) token: Option<String>,
    /// Read the token from a file
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) token_file: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) reach: Reach,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ChangeArgs {
    /// Its id
    #[arg(allow_hyphen_values = true)]
    pub(in crate::cli) jti: String,
    /// Whose it is; may be left out when one issuer has such a token
    #[arg(long)]
    pub(in crate::cli) issuer: Option<String>,
    /// Why, for the audit trail
    #[arg(long)]
    pub(in crate::cli) reason: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) reach: Reach,
}
