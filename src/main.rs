//! The `portcullis` program: arguments to command to exit code.

use std::path::Path;
use std::process::ExitCode;

use anyhow::anyhow;
use portcullis::cli::{self, Doors, Failure};

fn main() -> ExitCode {
    cli::main(&Doors { run, check, demo })
}

fn run(_config: &Path) -> Result<(), Failure> {
    Err(Failure::Failed(anyhow!("the gateway is not connected to its command yet")))
}

fn check(_config: &Path) -> Result<String, Failure> {
    Err(Failure::Failed(anyhow!("the configuration is not connected to its command yet")))
}

fn demo(_once: bool) -> Result<(), Failure> {
    Err(Failure::Failed(anyhow!("the demonstration is not connected to its command yet")))
}
