//! What the log tells while a checkpoint is being written: put aside, in a file that has no name, and
//! written after it in the same order. However much it is, it takes no memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use super::file::nameless;
use crate::revocation::{Cursor, FeedEvent, Revocation};

/// Events in the order in which they were told.
#[derive(Debug)]
pub(super) struct Backlog(BufWriter<File>);

/// The same, read once.
#[derive(Debug)]
pub(super) struct Told(BufReader<File>);

// === impl Backlog ===

impl Backlog {
    /// An empty one; `copy` is the file of the copy.
    pub(super) fn beside(copy: &Path) -> io::Result<Self> {
        nameless(copy).map(BufWriter::new).map(Self)
    }

    pub(super) fn push(&mut self, event: &FeedEvent) -> io::Result<()> {
        let line: (Option<&Revocation>, &Cursor) = match event {
            FeedEvent::Record { record, at } => (Some(record), at),
            FeedEvent::Undecodable { at } | FeedEvent::Heartbeat { at } => (None, at),
        };
        serde_json::to_writer(&mut self.0, &line)?;
        self.0.write_all(b"\n")
    }

    pub(super) fn read(self) -> io::Result<Told> {
        let mut file = self.0.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Told(BufReader::new(file)))
    }
}

// === impl Told ===

impl Told {
    /// The next events, so many at the most; none: that was all.
    pub(super) fn next(&mut self, most: usize) -> io::Result<Vec<FeedEvent>> {
        let (mut events, mut line) = (Vec::new(), Vec::new());
        while events.len() < most && self.0.read_until(b'\n', &mut line)? > 0 {
            let (record, at) = serde_json::from_slice::<(Option<Revocation>, Cursor)>(&line)?;
            events.push(match record {
                Some(record) => FeedEvent::Record { record, at },
                None => FeedEvent::Undecodable { at },
            });
            line.clear();
        }
        Ok(events)
    }
}
