//! Real brokers that the tests start, kill, pause and start again.

#[cfg(feature = "nats")]
pub mod nats;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "redis")]
pub mod switch;

use std::process::{Child, Command, Stdio};

/// A process that does not outlive the test.
#[derive(Debug)]
pub struct Server {
    child: Child,
}

// === impl Server ===

impl Server {
    /// Starts the program; a missing one fails the test and says how to install it.
    #[track_caller]
    pub fn start(command: &mut Command, package: &str) -> Self {
        let program = command.get_program().to_string_lossy().into_owned();
        let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        match started.spawn() {
            Ok(child) => Self { child },
            Err(error) => panic!(
                "{program} can't be started ({error}); install it: apt-get install -y {package}"
            ),
        }
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -{name} {pid}");
    }

    /// Kills it without warning, and waits until it is gone.
    pub fn kill(&mut self) {
        // One that has ended already is as dead.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
