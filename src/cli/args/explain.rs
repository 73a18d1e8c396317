//! The arguments of `portcullis explain`.

use std::path::PathBuf;

use clap::Args;

use super::Reach;

#[derive(Debug, Args)]
pub(in crate::cli) struct ExplainArgs {
    /// The path that is asked for, with its query if it has one
    pub(in crate::cli) path: String,
    /// The method [default: GET]
    #[arg(long)]
    pub(in crate::cli) method: Option<String>,
    /// The host that the request is for [default: localhost]
    #[arg(long)]
    pub(in crate::cli) host: Option<String>,
    /// Read the token from standard input; without a token: what becomes of a request that shows none
    #[arg(long, value_name = "-", value_parser = ["-"], hide_possible_values = true)]
    pub(in crate::cli) token: Option<String>,
    /// Read the token from a file
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    pub(in crate::cli) token_file: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) reach: Reach,
}
