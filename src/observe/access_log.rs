//! The access log: one JSON line a request, formatted by the worker, written by a thread of its own.
//!
//! The queue is bounded; a line that finds it full is dropped and counted, never waited for. No query
//! strings, no header fields, no token: client text is escaped by JSON and cut (security.md G).

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use prometheus_client::metrics::counter::Counter;
use serde::Serialize;

/// Lines that may wait for the writer.
const QUEUE: usize = 16 * 1024;
/// Characters of a client's text that are kept.
const KEPT: usize = 64;

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// A file, appended to.
    File(PathBuf),
}

/// One request, told once.
#[derive(Debug, Serialize)]
pub struct AccessRecord<'a> {
    /// When it began, UNIX seconds.
    pub time: u64,
    /// Its id, which the client was told too.
    pub request_id: &'a str,
    /// The route's name; empty when there is none.
    pub route: &'a str,
    /// The client's address.
    pub client: std::net::IpAddr,
    /// The method.
    pub method: &'a str,
    /// The host asked for.
    pub host: &'a str,
    /// The path, without the query.
    pub path: &'a str,
    /// The answer's status; 499 when the client left before one.
    pub status: u16,
    /// `forwarded`, `rejected`, `shadowed` or `client_gone`.
    pub outcome: &'a str,
    /// Why, when it was not simply forwarded.
    pub reason: &'a str,
    /// The issuer's configured name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<&'a str>,
    /// The verified token's `sub`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<&'a str>,
    /// The verified token's `jti`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_id: Option<&'a str>,
    /// Body bytes sent to the client.
    pub bytes: u64,
    /// Microseconds from the head to the end of the answer.
    pub duration_us: u64,
}

/// The workers' end of the log; cheap to clone.
#[derive(Clone, Debug)]
pub struct AccessLog {
    queue: Option<SyncSender<Message>>,
    dropped: Counter,
}

/// The writing thread.
#[derive(Debug)]
pub struct Writer(Option<(SyncSender<Message>, JoinHandle<()>)>);

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    Reopen,
    End,
}

// === impl AccessLog ===

impl AccessLog {
    /// Opens the destination and starts its thread.
    pub fn open(destination: Destination, dropped: Counter) -> io::Result<(Self, Writer)> {
        let out = match &destination {
            Destination::Off => return Ok((Self { queue: None, dropped }, Writer(None))),
            Destination::Stdout => Out::Stdout(io::stdout()),
            Destination::File(path) => Out::File(path.clone(), append_to(path)?),
        };
        let (queue, lines) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write_lines(BufWriter::with_capacity(64 * 1024, out), &lines))?;
        let writer = Writer(Some((queue.clone(), thread)));
        Ok((Self { queue: Some(queue), dropped }, writer))
    }

    /// Whether anything is written at all.
    pub const fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    /// Hands one line over, or drops and counts it.
    pub fn write(&self, record: &AccessRecord<'_>) {
        let Some(queue) = &self.queue else { return };
        let mut line = Vec::with_capacity(384);
        if serde_json::to_writer(&mut line, record).is_err() {
            self.dropped.inc();
            return;
        }
        line.push(b'\n');
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            queue.try_send(Message::Line(line))
        {
            self.dropped.inc();
        }
    }

    /// Opens the file again, after it was moved away (SIGHUP).
    pub fn reopen(&self) {
        if let Some(queue) = &self.queue
            && queue.send(Message::Reopen).is_err()
        {
            tracing::error!("the access log's writer has ended");
        }
    }
}

/// Cuts a client's text to what the log keeps, at a character's edge.
pub fn cut(text: &str) -> &str {
    text.char_indices().nth(KEPT).map_or(text, |(end, _)| &text[..end])
}

// === impl Writer ===

impl Writer {
    /// Writes what is queued and ends; lines that come later are dropped and counted.
    pub fn finish(self) {
        let Some((queue, thread)) = self.0 else { return };
        // A writer that is gone already has nothing left to end.
        drop(queue.send(Message::End));
        if thread.join().is_err() {
            tracing::error!("the access log's writer panicked");
        }
    }
}

#[derive(Debug)]
enum Out {
    Stdout(io::Stdout),
    File(PathBuf, File),
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::File(_, file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::File(_, file) => file.flush(),
        }
    }
}

fn append_to(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn write_lines(mut out: BufWriter<Out>, lines: &Receiver<Message>) {
    // Blocks for the first line, then takes what is there, then flushes: a lone line is seen at once,
    // a flood is written in large pieces.
    while let Ok(first) = lines.recv() {
        let mut over = false;
        for message in std::iter::once(first).chain(lines.try_iter().take(QUEUE)) {
            match take(&mut out, message) {
                Ok(more) => over |= !more,
                Err(error) => tracing::error!(%error, "the access log can't be written"),
            }
        }
        if let Err(error) = out.flush() {
            tracing::error!(%error, "the access log can't be written");
        }
        if over {
            return;
        }
    }
}

/// Whether there is more to come.
fn take(out: &mut BufWriter<Out>, message: Message) -> io::Result<bool> {
    match message {
        Message::Line(line) => out.write_all(&line)?,
        Message::Reopen => {
            out.flush()?;
            if let Out::File(path, file) = out.get_mut() {
                *file = append_to(path)?;
            }
        }
        Message::End => return Ok(false),
    }
    Ok(true)
}

/// A log that writes nowhere.
impl Default for AccessLog {
    fn default() -> Self {
        Self { queue: None, dropped: Counter::default() }
    }
}
