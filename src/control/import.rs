//! Import: lines in, records appended in batches; the body waits while the store writes.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use serde::Serialize;

use crate::revocation::Revocation;

use super::entry::Entry;
use super::guard::Shared;
use super::lines::{Line, Lines};
use super::query::Params;
use super::revocations::{append, status};
use super::{Caller, ControlError, Gatehouse, Nodes, Wait};

/// Records in one append.
const BATCH: usize = 5000;
/// Their text, in bytes, which bounds the memory of a batch of long lines.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
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

/// An import under way.
struct Import<G> {
    shared: Arc<Shared<G>>,
    caller: Caller,
    line: u64,
    batch: Vec<Revocation>,
    batch_bytes: usize,
    report: Report,
    /// Line and refusals at the last append, for the answer when the store fails.
    settled: (u64, u64),
}

/// `POST /v1/revocations/import`.
pub(super) async fn import<G: Gatehouse>(
    State(shared): State<Arc<Shared<G>>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, ControlError> {
    let (wait, limit) = Params::parse(request.uri(), &["wait", "timeout"])?.wait()?;
    let mut import = Import::new(shared, caller);
    let mut body = request.into_body();
    let mut lines = Lines::default();
    loop {
        let chunk = next_chunk(&mut body).await.map_err(|error| import.stopped(error))?;
        let Some(chunk) = chunk else { break };
        // A chunk is at most what the connection buffers, so one is cut before the store is asked.
        lines.feed(&chunk, |line| import.take(line))?;
        import.flush_if_full().await?;
    }
    lines.finish(|line| import.take(line))?;
    import.flush().await?;
    let Import { shared, caller: Caller { name: actor, .. }, mut report, .. } = import;
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

// === impl Import ===

impl<G: Gatehouse> Import<G> {
    fn new(shared: Arc<Shared<G>>, caller: Caller) -> Self {
        Self {
            shared,
            caller,
            line: 0,
            batch: Vec::new(),
            batch_bytes: 0,
            report: Report::default(),
            settled: (0, 0),
        }
    }

    /// Takes one line; a bad one is noted and does not stop the rest.
    fn take(&mut self, line: Line<'_>) -> Result<(), ControlError> {
        self.line += 1;
        let line = match line {
            Line::Whole(line) if line.trim_ascii().is_empty() => return Ok(()),
            Line::Whole(line) => line,
            Line::Overlong => {
                self.reject("the line is longer than 16 KiB".into());
                return Ok(());
            }
        };
        let read =
            Entry::parse(line).and_then(|entry| entry.import(&*self.shared.house, &self.caller));
        match read {
            Ok(record) => {
                self.batch_bytes += line.len();
                self.batch.push(record);
            }
            Err(error @ ControlError::NotReady(_)) => return Err(self.stopped(error)),
            Err(ControlError::NotJson { column, .. }) => {
                self.reject(format!("not one JSON object: column {column}"));
            }
            Err(error) => self.reject(error.to_string()),
        }
        Ok(())
    }

    fn reject(&mut self, problem: String) {
        self.report.rejected_total += 1;
        if self.report.rejected.len() < MAX_NAMED {
            self.report.rejected.push(Rejected { line: self.line, problem });
        }
    }

    async fn flush_if_full(&mut self) -> Result<(), ControlError> {
        if self.batch.len() >= BATCH || self.batch_bytes >= BATCH_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), ControlError> {
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        let count = batch.len() as u64;
        if count > 0 {
            append(&self.shared.house, batch).await.map_err(|error| self.stopped(error))?;
        }
        self.report.accepted += count;
        self.settled = (self.line, self.report.rejected_total);
        Ok(())
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

async fn next_chunk(body: &mut Body) -> Result<Option<Bytes>, ControlError> {
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
