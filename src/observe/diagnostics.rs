//! Diagnostic lines, written to standard error by a thread of their own: whoever has something to say does
//! not wait for whoever reads it.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread::JoinHandle;

use tracing_subscriber::fmt::MakeWriter;

use super::access_log::writer::{self, Out, Shelves};

/// Where lines are laid. A line that finds no room is written at once, by whoever says it.
#[derive(Clone, Debug)]
pub struct Diagnostics(Arc<Shelves>);

/// The writing thread. Dropped, it writes what is there and ends; later lines are written at once.
#[derive(Debug)]
pub struct DiagnosticsWriter(Arc<Shelves>, Option<JoinHandle<()>>);

// === impl Diagnostics ===

impl Diagnostics {
    /// Starts the thread.
    pub fn start() -> io::Result<(Self, DiagnosticsWriter)> {
        let shelves = Arc::new(Shelves::default());
        let thread = writer::start(Arc::clone(&shelves), Out::Stderr(io::stderr()))?;
        Ok((Self(Arc::clone(&shelves)), DiagnosticsWriter(shelves, Some(thread))))
    }
}

impl<'a> MakeWriter<'a> for Diagnostics {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// Each write is a whole line.
impl Write for &Diagnostics {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        if !self.0.has_ended() && self.0.lay_in_order(text) {
            return Ok(line.len());
        }
        io::stderr().write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// === impl DiagnosticsWriter ===

impl Drop for DiagnosticsWriter {
    fn drop(&mut self) {
        self.0.end();
        if let Some(thread) = self.1.take() {
            // One that panicked has nothing more to write.
            drop(thread.join());
        }
    }
}
