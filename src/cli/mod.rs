//! The command line: arguments in, exit code out.
//!
//! 0 done, 1 failed, 64 bad usage or configuration. What the commands print goes to standard output
//! and nothing else does.

mod args;
mod client;
mod control;
mod explain;
mod failure;
mod moving;
mod output;
mod place;
mod serve;
mod token;
mod tokens;
mod transfer;

use std::future::Future;
use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser};

use args::{Cli, Command};
use output::wrote;

pub use failure::Failure;

/// Does what the process was called for.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help that nobody reads is no failure.
            drop(error.print());
            return if error.use_stderr() { Failure::usage_code() } else { ExitCode::SUCCESS };
        }
    };
    match dispatch(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Run(args) => serve::run(&args.config),
        Command::Check(args) => {
            let word = serve::check(&args.config)?;
            wrote(writeln!(output::out(), "{word}"))
        }
        Command::Demo { once } => serve::demo(once),
        Command::ClusterDemo { feed } => serve::cluster_demo(feed),
        Command::Revoke(args) => wait(control::revoke(args)),
        Command::Reinstate(args) => wait(control::reinstate(args)),
        Command::List(args) => wait(control::list(args)),
        Command::Tokens(args) => wait(tokens::tokens(args)),
        Command::Import(args) => wait(moving::import(args)),
        Command::Follow(args) => wait(moving::follow(args)),
        Command::Export(args) => wait(transfer::export(args)),
        Command::Explain(args) => wait(explain::explain(args)),
        Command::Status(reach) => wait(control::status(reach)),
        Command::Nodes(reach) => wait(control::nodes(reach)),
        Command::Reload(reach) => wait(control::reload(reach)),
        Command::Token(args) => token::mint(&args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "portcullis", &mut script);
            wrote(output::raw().write_all(&script))
        }
        Command::Man => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            wrote(output::raw().write_all(&page))
        }
    }
}

/// A command's own runtime: it makes one connection, one thread is plenty.
fn wait(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("no runtime")?.block_on(command)
}
