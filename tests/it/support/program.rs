//! The real program in a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use super::client::get;
use super::eventually::eventually;

/// The real program in a process of its own.
#[derive(Debug)]
pub struct Program {
    child: Child,
    pub data: SocketAddr,
    pub control: SocketAddr,
    log: Arc<Mutex<String>>,
}

// === impl Program ===

impl Program {
    pub fn start(config: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["run", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe"));
        let (data, control) = loop {
            let mut line = String::new();
            assert_ne!(
                lines.read_line(&mut line).expect("a line"),
                0,
                "it ended before it listened"
            );
            if let (Some(data), Some(control)) =
                (address(&line, "data="), address(&line, "control="))
            {
                break (data, control);
            }
        };
        // Its log must not fill the pipe.
        let log = Arc::<Mutex<String>>::default();
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut log = kept.lock().expect("no panic before");
                *log += &line;
                *log += "\n";
            }
        });
        let ready = || (get(control, "/readyz").try_send().ok()?.status == 200).then_some(());
        eventually("ready", ready);
        Self { child, data, control, log }
    }

    /// Lines of its log, since it listened, that hold these words.
    pub fn logged(&self, words: &str) -> usize {
        let log = self.log.lock().expect("no panic before");
        log.lines().filter(|line| line.contains(words)).count()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("kill runs");
        assert!(sent.success(), "{name}");
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        eventually("the program ends", || self.child.try_wait().expect("a child"))
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn address(line: &str, name: &str) -> Option<SocketAddr> {
    let rest = &line[line.find(name)? + name.len()..];
    rest.split(|c: char| c.is_whitespace() || c == ',' || c == '"').next()?.parse().ok()
}
