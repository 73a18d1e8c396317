//! Python applications of the fixtures and examples, each on a free port that it prints.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// An application, killed when dropped.
#[derive(Debug)]
pub struct PythonApp {
    pub address: SocketAddr,
    child: Child,
    stdin: ChildStdin,
}

// === impl PythonApp ===

impl PythonApp {
    /// Starts the file (its path from the repository's root) with these variables set.
    pub fn start(file: &str, variables: &[(&str, &str)]) -> Self {
        let mut child = python()
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(file))
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the application starts");
        let stdin = child.stdin.take().expect("a pipe");
        let mut line = String::new();
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
        lines.read_line(&mut line).expect("its port");
        let port: u16 = line.trim().parse().expect("a number");
        Self { address: SocketAddr::from(([127, 0, 0, 1], port)), child, stdin }
    }

    /// Writes a line to its input.
    pub fn say(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").expect("it reads");
    }
}

impl Drop for PythonApp {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs a program of the documents with these arguments and variables; what it printed.
#[track_caller]
pub fn run(program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let mut python = python();
    let python = python.args(["-c", program]).args(arguments).envs(variables.iter().copied());
    let output = python.output().expect("Python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// A Python that has what `tests/fixtures/python` asks for, and leaves no file behind.
fn python() -> Command {
    let python = std::env::var("PORTCULLIS_TEST_PYTHON")
        .expect("PORTCULLIS_TEST_PYTHON names a Python with Flask and more: run ./scripts/test");
    let mut command = Command::new(python);
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}
