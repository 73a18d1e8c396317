//! Between the workers and the file: shelves that lines are laid on, and the thread that clears them.
//!
//! A worker wakes the thread only when it sleeps, which it does only when there was nothing for a
//! while: under load nobody is woken for a line, and a lone line is still written at once.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

use crate::observe::sharded::{SHARDS, place};

/// What the workers and the writing thread share.
#[derive(Debug, Default)]
pub(in crate::observe) struct Shelves {
    /// Lines that found no room.
    pub(super) dropped: Counter,
    shelves: [Shelf; SHARDS],
    asleep: AtomicBool,
    reopen: AtomicBool,
    ended: AtomicBool,
    thread: OnceLock<Thread>,
}

/// Where lines go in the end.
#[derive(Debug)]
pub(in crate::observe) enum Out {
    Stdout(io::Stdout),
    Stderr(io::Stderr),
    File(PathBuf, File),
}

/// Whole lines. Its lock is one worker's own but for the moment in which the thread takes them.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shelf(Mutex<Vec<u8>>);

/// A shelf that holds so much takes no more (bytes).
const FULL: usize = 4 << 20;
/// A buffer that has grown beyond is not kept (bytes).
const KEPT: usize = 1 << 20;
/// Between two clearings under load.
const PACE: Duration = Duration::from_millis(20);

// === impl Shelves ===

impl Shelves {
    /// Empty ones; `dropped` counts the lines that find no room.
    pub(super) fn new(dropped: Counter) -> Self {
        Self { dropped, ..Self::default() }
    }

    /// Lays one line down; false when there is no room, or `write` could not make it.
    pub(in crate::observe) fn lay(&self, write: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
        self.lay_on(place(), write)
    }

    /// The same where the lines of all threads are to stay in their order.
    pub(in crate::observe) fn lay_in_order(&self, line: &[u8]) -> bool {
        self.lay_on(0, |lines| {
            lines.extend_from_slice(line);
            true
        })
    }

    fn lay_on(&self, shelf: usize, write: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
        let mut lines = self.shelves[shelf].lock();
        if lines.len() >= FULL {
            return false;
        }
        let before = lines.len();
        if !write(&mut lines) {
            lines.truncate(before);
            return false;
        }
        lines.push(b'\n');
        drop(lines);
        // Whoever lays after the thread looked sees it asleep: the lock orders the two.
        if self.asleep.load(Ordering::Relaxed) {
            self.wake();
        }
        true
    }

    /// Opens the file again before the next lines.
    pub(in crate::observe) fn reopen(&self) {
        self.reopen.store(true, Ordering::Release);
        self.wake();
    }

    /// Nothing comes any more: the thread ends when it has written what there is.
    pub(in crate::observe) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether what is laid now may be written no more.
    pub(in crate::observe) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// The thread's work, until [`Self::end`].
    pub(in crate::observe) fn clear_into(&self, mut out: Out) {
        drop(self.thread.set(std::thread::current()));
        let mut taken = Vec::new();
        let mut fails = false;
        loop {
            // Read before taking, so that what was laid before the end is taken.
            let ended = self.ended.load(Ordering::Acquire);
            let reopens = self.reopen.swap(false, Ordering::AcqRel);
            let written = self.clear(&mut out, &mut taken);
            let reopened = if reopens { out.reopen() } else { Ok(()) };
            let idle = matches!(written, Ok(0));
            if let Err(error) = written.and(reopened) {
                // Whoever can't write diagnostics can't say so in one.
                if !fails && !matches!(out, Out::Stderr(_)) {
                    tracing::error!(%error, "the access log can't be written");
                }
                fails = true;
            } else {
                fails &= idle;
            }
            match (ended, idle) {
                (true, _) => return,
                (false, true) => self.rest(),
                (false, false) => std::thread::park_timeout(PACE),
            }
        }
    }

    /// Writes all that there is; how many bytes.
    fn clear(&self, out: &mut Out, taken: &mut Vec<u8>) -> io::Result<usize> {
        let mut written = 0;
        let mut outcome = Ok(());
        for shelf in &self.shelves {
            let mut lines = shelf.lock();
            if lines.is_empty() {
                continue;
            }
            std::mem::swap(&mut *lines, taken);
            drop(lines);
            written += taken.len();
            outcome = outcome.and(out.write(taken));
            taken.clear();
            taken.shrink_to(KEPT);
        }
        outcome.map(|()| written)
    }

    fn rest(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        let told = self.ended.load(Ordering::SeqCst) || self.reopen.load(Ordering::SeqCst);
        if !told && self.shelves.iter().all(|shelf| shelf.lock().is_empty()) {
            std::thread::park();
        }
        self.asleep.store(false, Ordering::SeqCst);
    }

    fn wake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

// === impl Out ===

impl Out {
    /// A file, appended to.
    pub(in crate::observe) fn file(path: &Path) -> io::Result<Self> {
        Ok(Self::File(path.to_owned(), append_to(path)?))
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            _ if lines.is_empty() => Ok(()),
            Self::Stdout(out) => out.write_all(lines).and_then(|()| out.flush()),
            Self::Stderr(out) => out.write_all(lines),
            Self::File(_, file) => file.write_all(lines),
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let Self::File(path, file) = self {
            *file = append_to(path)?;
        }
        Ok(())
    }
}

// === impl Shelf ===

impl Shelf {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the thread that clears the shelves.
pub(in crate::observe) fn start(
    shelves: Arc<Shelves>,
    out: Out,
) -> io::Result<std::thread::JoinHandle<()>> {
    let name = if matches!(out, Out::Stderr(_)) { "diagnostics" } else { "access-log" };
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(move || shelves.clear_into(out))
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_shelf_takes_no_more_and_forgets_nothing() {
        let shelves = Shelves::default();
        let line = |lines: &mut Vec<u8>| {
            lines.extend_from_slice(&[b'x'; 1023]);
            true
        };
        let laid = (0..5000).filter(|_| shelves.lay(line)).count();
        assert_eq!(laid, FULL / 1024);
        let kept: usize = shelves.shelves.iter().map(|shelf| shelf.lock().len()).sum();
        assert_eq!(kept, FULL);
    }

    #[test]
    fn lines_of_several_threads_can_stay_in_their_order() {
        let shelves = Shelves::default();
        for line in ["one", "two", "three"] {
            std::thread::scope(|scope| {
                scope.spawn(|| assert!(shelves.lay_in_order(line.as_bytes())));
            });
        }
        assert_eq!(*shelves.shelves[0].lock(), b"one\ntwo\nthree\n");
    }

    #[test]
    fn a_line_that_breaks_off_leaves_nothing_behind() {
        let shelves = Shelves::default();
        assert!(!shelves.lay(|lines| {
            lines.extend_from_slice(b"half");
            false
        }));
        assert!(shelves.shelves.iter().all(|shelf| shelf.lock().is_empty()));
    }
}
