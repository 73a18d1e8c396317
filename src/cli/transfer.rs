//! Import and export: streamed both ways, with progress where someone watches.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::Method;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::Value;
use tokio::io::AsyncReadExt;

use super::Failure;
use super::args::{ExportArgs, ImportArgs};
use super::client::{Client, Outgoing, json, no_body, query};
use super::control::{confirmed, show, waiting};
use super::output::{items, plain, raw, scalar, wrote};

/// Bytes read at a time.
const CHUNK: usize = 64 * 1024;
/// Between two words of progress.
const PACE: Duration = Duration::from_millis(500);

/// A line on standard error that is written over; silent when that is no terminal.
struct Progress {
    shown: Option<Instant>,
    watched: bool,
}

/// `portcullis import` of JSON lines.
pub(super) async fn import(args: ImportArgs) -> Result<(), Failure> {
    let Some(path) = &args.file else {
        return Err(Failure::Usage("name the file to import, or `-` for standard input".into()));
    };
    let file = open(path)?;
    let size =
        file.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
    let mut client = Client::connect(&args.reach).await?;
    let sent = Arc::new(AtomicU64::new(0));
    let body = streamed(file, Arc::clone(&sent));
    let target = query("/v1/revocations/import", &waiting(&args.wait));
    let call = client.send(Method::POST, &target, Some("application/x-ndjson"), body);
    let mut call = std::pin::pin!(call);
    let mut progress = Progress::new(true);
    let answer = loop {
        tokio::select! {
            answer = &mut call => break answer,
            () = tokio::time::sleep(PACE) => {
                progress.say(|| transferred(sent.load(Ordering::Relaxed), size));
            }
        }
    };
    progress.end();
    let (status, report) = json(answer?).await?;
    show(&args.reach, &report, summary)?;
    confirmed(status, &report)?;
    match report["rejected_total"].as_u64() {
        Some(0) | None => Ok(()),
        Some(refused) => Err(Failure::Failed(anyhow!("{refused} lines were refused"))),
    }
}

/// `portcullis export`. Its lines are JSON anyway; `--json` changes nothing.
pub(super) async fn export(args: ExportArgs) -> Result<(), Failure> {
    let mut client = Client::connect(&args.reach).await?;
    let answer = client.send(Method::GET, "/v1/revocations/export", None, no_body()).await?;
    let mut body = answer.into_body();
    let mut out = raw();
    // Lines on the same terminal say enough.
    let mut progress = Progress::new(!io::stdout().is_terminal());
    let mut entries = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.context("the export broke off; what was written is not whole")?;
        if let Ok(data) = frame.into_data() {
            wrote(out.write_all(&data))?;
            entries += data.iter().filter(|byte| **byte == b'\n').count();
            progress.say(|| format!("{entries} entries"));
        }
    }
    progress.end();
    wrote(out.flush())
}

// === impl Progress ===

impl Progress {
    fn new(wanted: bool) -> Self {
        Self { shown: None, watched: wanted && io::stderr().is_terminal() }
    }

    fn say(&mut self, word: impl FnOnce() -> String) {
        if self.watched && self.shown.is_none_or(|shown| shown.elapsed() >= PACE) {
            self.shown = Some(Instant::now());
            // Progress that can't be shown is not worth failing for.
            drop(write!(anstream::stderr(), "\r\x1b[K{}", word()));
        }
    }

    fn end(&self) {
        if self.shown.is_some() {
            drop(write!(anstream::stderr(), "\r\x1b[K"));
        }
    }
}

fn open(path: &Path) -> Result<File, Failure> {
    if path == Path::new("-") {
        let stdin = io::stdin().as_fd().try_clone_to_owned().context("standard input")?;
        return Ok(stdin.into());
    }
    Ok(File::open(path).with_context(|| path.display().to_string())?)
}

/// The file's bytes, read as fast as the port takes them.
fn streamed(file: File, sent: Arc<AtomicU64>) -> Outgoing {
    let file = tokio::fs::File::from_std(file);
    let chunks = stream::try_unfold((file, sent), |(mut file, sent)| async move {
        let mut chunk = BytesMut::with_capacity(CHUNK);
        let count = file.read_buf(&mut chunk).await?;
        sent.fetch_add(count as u64, Ordering::Relaxed);
        let frame: Frame<Bytes> = Frame::data(chunk.freeze());
        Ok::<_, io::Error>((count > 0).then_some((frame, (file, sent))))
    });
    StreamBody::new(chunks).boxed_unsync()
}

fn transferred(sent: u64, size: Option<u64>) -> String {
    const MIB: u64 = 1 << 20;
    match size.filter(|size| *size > 0) {
        Some(size) => format!("{} of {} MiB, {} %", sent / MIB, size / MIB, sent * 100 / size),
        None => format!("{} MiB", sent / MIB),
    }
}

fn summary(report: &Value) -> String {
    let mut text = String::new();
    for one in items(&report["rejected"]) {
        text += &format!(
            "line {}: {}\n",
            one["line"],
            plain(one["problem"].as_str().unwrap_or_default())
        );
    }
    let (accepted, refused) = (scalar(&report["accepted"]), scalar(&report["rejected_total"]));
    text + &format!("{accepted} accepted, {refused} refused\n")
}
