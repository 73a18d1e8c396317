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
        let python = std::env::var("PORTCULLIS_TEST_PYTHON")
            .expect("PORTCULLIS_TEST_PYTHON names a Python with Flask: run ./scripts/test");
        let mut child = Command::new(python)
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
