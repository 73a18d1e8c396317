//! The `portcullis` program: arguments to command to exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    portcullis::cli::main()
}
