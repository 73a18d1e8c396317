//! The access log: one JSON line a request, formatted by the worker, written by a thread of its own.
//!
//! What may wait is bounded; a line that finds no room is dropped and counted, never waited for. No query
//! strings, no header fields, no token: client text is escaped by JSON and cut (security.md G).

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use prometheus_client::metrics::counter::Counter;

mod line;
pub(in crate::observe) mod writer;

use writer::{Out, Shelves};

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
#[derive(Debug)]
#[cfg_attr(test, derive(serde::Serialize))]
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
    /// `forwarded`, `served`, `rejected`, `shadowed` or `client_gone`.
    pub outcome: &'a str,
    /// Why, when it was not simply forwarded.
    pub reason: &'a str,
    /// The issuer's configured name.
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    pub issuer: Option<&'a str>,
    /// The verified token's `sub`.
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    pub subject: Option<&'a str>,
    /// The verified token's `jti`.
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    pub token_id: Option<&'a str>,
    /// Body bytes sent to the client.
    pub bytes: u64,
    /// Microseconds from the head to the end of the answer.
    pub duration_us: u64,
}

/// The workers' end of the log; cheap to clone. The default writes nowhere.
#[derive(Clone, Debug, Default)]
pub struct AccessLog(Option<Arc<Shelves>>);

/// The writing thread.
#[derive(Debug)]
pub struct Writer(Option<(Arc<Shelves>, JoinHandle<()>)>);

// === impl AccessLog ===

impl AccessLog {
    /// Opens the destination and starts its thread.
    pub fn open(destination: Destination, dropped: Counter) -> io::Result<(Self, Writer)> {
        let out = match &destination {
            Destination::Off => return Ok((Self(None), Writer(None))),
            Destination::Stdout => Out::Stdout(io::stdout()),
            Destination::File(path) => Out::file(path)?,
        };
        let shelves = Arc::new(Shelves::new(dropped));
        let thread = writer::start(Arc::clone(&shelves), out)?;
        let writer = Writer(Some((Arc::clone(&shelves), thread)));
        Ok((Self(Some(shelves)), writer))
    }

    /// Whether anything is written at all.
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Hands one line over, or drops and counts it.
    pub fn write(&self, record: &AccessRecord<'_>) {
        let Some(shelves) = &self.0 else { return };
        if !shelves.lay(|lines| line::append(lines, record).is_ok()) {
            shelves.dropped.inc();
        }
    }

    /// Opens the file again, after it was moved away (SIGHUP).
    pub fn reopen(&self) {
        if let Some(shelves) = &self.0 {
            shelves.reopen();
        }
    }
}

/// Cuts a client's text to what the log keeps, at a character's edge.
pub fn cut(text: &str) -> &str {
    if text.len() <= KEPT {
        return text;
    }
    text.char_indices().nth(KEPT).map_or(text, |(end, _)| &text[..end])
}

// === impl Writer ===

impl Writer {
    /// Writes what is there and ends, whoever still holds the log.
    pub fn finish(self) {
        let Some((shelves, thread)) = self.0 else { return };
        shelves.end();
        if thread.join().is_err() {
            tracing::error!("the access log's writer panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;

    fn record(path: &str) -> AccessRecord<'_> {
        AccessRecord {
            time: 1,
            request_id: "r",
            route: "orders",
            client: std::net::IpAddr::from([192, 0, 2, 1]),
            method: "GET",
            host: "api.example.com",
            path,
            status: 200,
            outcome: "forwarded",
            reason: "",
            issuer: None,
            subject: None,
            token_id: None,
            bytes: 2,
            duration_us: 3,
        }
    }

    fn paths(file: &std::path::Path) -> Vec<String> {
        let text = fs::read_to_string(file).unwrap();
        let path = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["path"].as_str().unwrap().to_owned()
        };
        text.lines().map(path).collect()
    }

    #[test]
    fn every_line_of_every_thread_is_written_whole_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("access.jsonl");
        let dropped = Counter::default();
        let (log, writer) =
            AccessLog::open(Destination::File(file.clone()), dropped.clone()).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..20 {
                let log = log.clone();
                scope.spawn(move || {
                    for number in 0..500 {
                        log.write(&record(&format!("/{thread}/{number}")));
                    }
                });
            }
        });
        writer.finish();
        let told = paths(&file);
        assert_eq!((told.len(), dropped.get()), (20 * 500, 0));
        assert_eq!(told.iter().collect::<BTreeSet<_>>().len(), 20 * 500);
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_again_and_earlier_lines_went_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let (file, old) = (folder.path().join("access.jsonl"), folder.path().join("old.jsonl"));
        let (log, writer) =
            AccessLog::open(Destination::File(file.clone()), Counter::default()).unwrap();
        log.write(&record("/before"));
        fs::rename(&file, &old).unwrap();
        log.reopen();
        while !file.exists() {
            std::thread::yield_now();
        }
        log.write(&record("/after"));
        writer.finish();
        assert_eq!((paths(&old), paths(&file)), (vec!["/before".into()], vec!["/after".into()]));
    }
}
