//! Import: lines in, records appended in batches. Threads read the lines, a block at a time and in turn;
//! the body waits while they, or the store, have enough to do.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Serialize;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use crate::revocation::{Cursor, Making, Revocation};

use super::entry::{Entry, read};
use super::guard::Shared;
use super::lines::{Blocks, Line, Lines};
use super::query::Params;
use super::revocations::{append, record, status};
use super::{Caller, ControlError, Gatehouse, Nodes, Wait};

/// Records in one append, at least; two blocks of lines more at most.
const BATCH: usize = 5000;
/// Room for them, short as most lines are.
const ROOM: usize = 2 * BATCH + BATCH / 2;
/// After each so many appends this node is waited for until it enforces them, while the next so many are
/// recorded: it never falls further behind.
const WAITS: u64 = 4;
/// A short line, in bytes.
const LINE: usize = 72;
/// Blocks that are being read at one time.
const BLOCKS: usize = 8;
/// Refused lines that are named; the others are only counted.
const MAX_NAMED: usize = 1000;
/// The time a body may pause.
const IDLE: Duration = Duration::from_secs(30);

/// What became of the lines.
#[derive(Debug, Default, Serialize)]
struct Report {
    accepted: u64,
    rejected: Vec<Rejected>,
    rejected_total: u64,
    /// Only for a caller who waited for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<Nodes>,
}

/// A line that was refused.
#[derive(Debug, Serialize)]
struct Rejected {
    line: u64,
    problem: String,
}

/// What one block of lines comes to; lines are counted from its start.
#[derive(Debug, Default)]
struct Parsed {
    lines: u64,
    records: Vec<Revocation>,
    rejected: Vec<Rejected>,
    rejected_total: u64,
    /// No line after this can be read now.
    stopped: Option<ControlError>,
}

/// An import under way.
struct Import<G> {
    shared: Arc<Shared<G>>,
    caller: Caller,
    parsing: VecDeque<JoinHandle<Parsed>>,
    line: u64,
    batch: Vec<Revocation>,
    /// Where the last block with records begins in the batch, and the line and the refusals before it.
    last_block: (usize, (u64, u64)),
    /// How many were sent on their way.
    batches: u64,
    report: Report,
    /// One append at a time: what follows one that failed is not recorded.
    appending: Option<Appending>,
    /// Ends when this node enforces what was recorded some batches ago.
    enforcing: Option<Outcome<()>>,
    /// Line and refusals at the last append, for the answer when the store fails.
    settled: (u64, u64),
}

/// A batch on its way, with the line and the refusals up to it.
struct Appending {
    count: u64,
    reached: (u64, u64),
    outcome: Outcome<Cursor>,
}

type Outcome<T> = Pin<Box<dyn Future<Output = Result<T, ControlError>> + Send>>;

/// What is done.
enum News {
    Parsed(Result<Parsed, JoinError>),
    Appended(Result<Cursor, ControlError>),
    Enforced(Result<(), ControlError>),
}

/// `POST /v1/revocations/import`.
pub(super) async fn import<G: Gatehouse>(
    shared: &Arc<Shared<G>>,
    caller: Caller,
    uri: &Uri,
    body: Incoming,
) -> Result<Response, ControlError> {
    let (wait, limit) = Params::parse(uri, &["wait", "timeout"])?.wait()?;
    let mut import = Import::new(Arc::clone(shared), caller);
    let mut body = Some(body);
    let mut blocks = Blocks::default();
    while body.is_some() || import.is_busy() {
        tokio::select! {
            biased;
            news = import.news() => import.take(news)?,
            chunk = next_chunk(&mut body), if body.is_some() && import.has_room() => {
                match chunk.map_err(|error| import.stopped(error))? {
                    Some(chunk) => blocks.feed(&chunk, |block| import.parse(block, false)),
                    None => {
                        import.parse(blocks.finish(), true);
                        body = None;
                    }
                }
            }
        }
        import.append_if_full(body.is_none());
    }
    let (shared, actor, mut report) = (import.shared, import.caller.name, import.report);
    let (accepted, rejected) = (report.accepted, report.rejected_total);
    tracing::info!(%actor, accepted, rejected, "revocations imported");
    let mut done = StatusCode::OK;
    if wait != Wait::Own {
        let nodes = shared.house.confirm(None, wait, limit).await;
        done = status(done, &nodes);
        report.nodes = Some(nodes);
    }
    Ok((done, Json(report)).into_response())
}

// === impl Parsed ===

impl Parsed {
    fn of<G: Gatehouse>(house: &G, caller: &Caller, block: &Bytes, last: bool) -> Self {
        let records = Vec::with_capacity(block.len() / LINE);
        let mut parsed = Self { records, ..Self::default() };
        let mut lines = Lines::default();
        let mut making = house.making(&caller.name);
        let mut take = |line: Line<'_>| parsed.take(house, caller, line, &mut making);
        let mut read = lines.feed(block, &mut take);
        if last {
            read = read.and_then(|()| lines.finish(&mut take));
        }
        parsed.stopped = read.err();
        parsed
    }

    /// Takes one line; a bad one is noted and does not stop the rest.
    fn take<G: Gatehouse>(
        &mut self,
        house: &G,
        caller: &Caller,
        line: Line<'_>,
        making: &mut Making,
    ) -> Result<(), ControlError> {
        self.lines += 1;
        let line = match line {
            Line::Whole(line) if line.trim_ascii().is_empty() => return Ok(()),
            Line::Whole(line) => line,
            Line::Overlong => {
                self.reject("the line is longer than 16 KiB".into());
                return Ok(());
            }
        };
        match read::<Entry<'_>>(line).and_then(|entry| entry.import(house, caller, making)) {
            Ok(record) => self.records.push(record),
            Err(error @ ControlError::NotReady(_)) => return Err(error),
            Err(ControlError::NotJson { column, .. }) => {
                self.reject(format!("not one JSON object: column {column}"));
            }
            Err(error) => self.reject(error.to_string()),
        }
        Ok(())
    }

    fn reject(&mut self, problem: String) {
        self.rejected_total += 1;
        if self.rejected.len() < MAX_NAMED {
            self.rejected.push(Rejected { line: self.lines, problem });
        }
    }
}

// === impl Import ===

impl<G: Gatehouse> Import<G> {
    fn new(shared: Arc<Shared<G>>, caller: Caller) -> Self {
        Self {
            shared,
            caller,
            parsing: VecDeque::new(),
            line: 0,
            batch: Vec::new(),
            last_block: (0, (0, 0)),
            batches: 0,
            report: Report::default(),
            appending: None,
            enforcing: None,
            settled: (0, 0),
        }
    }

    fn is_busy(&self) -> bool {
        !self.parsing.is_empty() || !self.batch.is_empty() || self.appending.is_some()
    }

    /// Enough for an append, without the last block.
    fn is_full(&self) -> bool {
        self.last_block.0 >= BATCH || self.batch.len() >= 2 * BATCH
    }

    fn has_room(&self) -> bool {
        self.parsing.len() < BLOCKS
    }

    /// Reads a block on a thread of its own: the port goes on answering.
    fn parse(&mut self, block: Vec<u8>, last: bool) {
        let (shared, caller) = (Arc::clone(&self.shared), self.caller.clone());
        let parse = move || Parsed::of(&*shared.house, &caller, &block.into(), last);
        self.parsing.push_back(spawn_blocking(parse));
    }

    /// The next block or append that is done. A future dropped in here loses nothing.
    async fn news(&mut self) -> News {
        let full = self.is_full();
        let parsed = async {
            match self.parsing.front_mut() {
                Some(parsing) if !full => parsing.await,
                _ => std::future::pending().await,
            }
        };
        let appending = self.appending.as_mut().map(|appending| &mut appending.outcome);
        tokio::select! {
            biased;
            outcome = end_of(appending) => News::Appended(outcome),
            outcome = end_of(self.enforcing.as_mut()) => News::Enforced(outcome),
            parsed = parsed => News::Parsed(parsed),
        }
    }

    fn take(&mut self, news: News) -> Result<(), ControlError> {
        match news {
            News::Appended(outcome) => {
                let appending = self.appending.take();
                let upto = outcome.map_err(|error| self.stopped(error))?;
                if let Some(appending) = appending {
                    self.report.accepted += appending.count;
                    self.settled = appending.reached;
                }
                if self.batches.is_multiple_of(WAITS) {
                    let house = Arc::clone(&self.shared.house);
                    let enforced = async move { Ok(house.enforced(upto).await?) };
                    self.enforcing = Some(Box::pin(enforced));
                }
                Ok(())
            }
            News::Enforced(outcome) => {
                self.enforcing = None;
                outcome.map_err(|error| self.stopped(error))
            }
            News::Parsed(parsed) => {
                self.parsing.pop_front();
                let parsed = parsed.map_err(|_panicked| self.stopped(ControlError::Internal))?;
                self.join(parsed)
            }
        }
    }

    fn join(&mut self, mut parsed: Parsed) -> Result<(), ControlError> {
        if let Some(error) = parsed.stopped {
            return Err(self.stopped(error));
        }
        if !parsed.records.is_empty() {
            self.last_block = (self.batch.len(), (self.line, self.report.rejected_total));
        }
        let room = MAX_NAMED.saturating_sub(self.report.rejected.len());
        for one in parsed.rejected.drain(..).take(room) {
            self.report.rejected.push(Rejected { line: self.line + one.line, ..one });
        }
        self.report.rejected_total += parsed.rejected_total;
        self.line += parsed.lines;
        self.batch.append(&mut parsed.records);
        Ok(())
    }

    /// Sends what is enough for one append on its way, and at the end whatever there is.
    fn append_if_full(&mut self, ended: bool) {
        let last = ended && self.parsing.is_empty();
        if self.appending.is_some() || self.batch.is_empty() || !(last || self.is_full()) {
            return;
        }
        if self.enforcing.is_some() && (self.batches + 1).is_multiple_of(WAITS) {
            return;
        }
        self.batches += 1;
        let (start, before) = self.last_block;
        // Not waiting for this node each time keeps the store busy. The last block stays behind, so that
        // something is left to wait with at the end.
        let wait = last || start == 0;
        let (held, reached) = if wait {
            (Vec::with_capacity(ROOM), (self.line, self.report.rejected_total))
        } else {
            let mut held = Vec::with_capacity(ROOM);
            held.extend(self.batch.drain(start..));
            (held, before)
        };
        let batch = std::mem::replace(&mut self.batch, held);
        self.last_block.0 = 0;
        let (house, count) = (Arc::clone(&self.shared.house), batch.len() as u64);
        let outcome: Outcome<Cursor> = if wait {
            Box::pin(async move { append(&house, batch).await })
        } else {
            Box::pin(async move { record(&house, batch).await })
        };
        self.appending = Some(Appending { count, reached, outcome });
    }

    /// What is recorded stays so, and the answer says where to go on.
    fn stopped(&self, cause: ControlError) -> ControlError {
        // The caller's own body broke: that is his to hear, with his own status.
        if matches!(cause, ControlError::BodyBroken | ControlError::TooSlow) {
            return cause;
        }
        let (line, rejected_total) = self.settled;
        let accepted = self.report.accepted;
        ControlError::ImportStopped { accepted, rejected_total, line, cause: Box::new(cause) }
    }
}

/// Waits for ever for what is not under way.
async fn end_of<T>(outcome: Option<&mut Outcome<T>>) -> Result<T, ControlError> {
    match outcome {
        Some(outcome) => outcome.as_mut().await,
        None => std::future::pending().await,
    }
}

async fn next_chunk(body: &mut Option<Incoming>) -> Result<Option<Bytes>, ControlError> {
    let Some(body) = body else { return Ok(None) };
    loop {
        match tokio::time::timeout(IDLE, body.frame()).await {
            Err(_elapsed) => return Err(ControlError::TooSlow),
            Ok(None) => return Ok(None),
            Ok(Some(Err(_broken))) => return Err(ControlError::BodyBroken),
            Ok(Some(Ok(frame))) => {
                // Trailers carry no lines.
                if let Ok(chunk) = frame.into_data() {
                    return Ok(Some(chunk));
                }
            }
        }
    }
}
