//! A checkpoint's entries on their way into the copy: taken as they come, given in the order of their
//! names. Little memory, however many: sorted runs go to a file that has no name.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Cursor, ErrorKind, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::file::{Key, nameless};
use crate::feed::embedded::codec;
use crate::revocation::{Name, Revocation};

/// Takes entries in any order.
#[derive(Debug)]
pub(super) struct Spool {
    /// Beside this, when there is more than memory takes.
    copy: PathBuf,
    limit: usize,
    run: Run,
    file: Option<BufWriter<File>>,
    runs: Vec<Range<u64>>,
}

/// Gives them in the order of their names, each name once: as it was said last.
pub(super) struct Sorted {
    runs: Vec<Box<dyn Read + Send>>,
    heads: BinaryHeap<Reverse<Head>>,
}

/// One entry: four lengths, issuer, claim, value, and the bytes under which it is kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row(Vec<u8>);

/// Rows in memory, one after the other, and where each begins.
#[derive(Debug, Default)]
struct Run {
    bytes: Vec<u8>,
    begins: Vec<usize>,
}

/// A run's next row. Of one name, the earlier run comes first.
#[derive(PartialEq, Eq)]
struct Head {
    row: Row,
    run: usize,
}

/// A run in the file.
struct Stretch {
    file: Arc<File>,
    left: Range<u64>,
}

/// Bytes of rows in memory; half of it comes on top for where they begin, at the most.
const RUN_BYTES: usize = 16 * 1024 * 1024;
/// All runs are read through so much.
const READ_BYTES: usize = 16 * 1024 * 1024;
const LENGTHS: usize = 4 * size_of::<u32>();

// === impl Spool ===

impl Spool {
    /// An empty one; `copy` is the file of the copy.
    pub(super) fn beside(copy: PathBuf) -> Self {
        Self { copy, limit: RUN_BYTES, run: Run::default(), file: None, runs: Vec::new() }
    }

    /// The same with shorter runs.
    #[cfg(test)]
    pub(super) fn with_limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    pub(super) fn push(&mut self, entry: &Revocation) -> io::Result<()> {
        self.run.push(entry);
        if self.run.bytes.len() < self.limit {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(BufWriter::with_capacity(1 << 20, nameless(&self.copy)?)),
        };
        let begin = self.runs.last().map_or(0, |run| run.end);
        let written = self.run.write_sorted(file)?;
        self.runs.push(begin..begin + written);
        self.run.clear();
        Ok(())
    }

    /// All of them, in order.
    pub(super) fn sorted(mut self) -> io::Result<Sorted> {
        let mut last = Vec::with_capacity(self.run.bytes.len());
        self.run.write_sorted(&mut last)?;
        let mut runs: Vec<Box<dyn Read + Send>> = Vec::with_capacity(self.runs.len() + 1);
        if let Some(file) = self.file {
            let file = Arc::new(file.into_inner().map_err(io::IntoInnerError::into_error)?);
            let buffer = (READ_BYTES / self.runs.len()).clamp(4096, 256 * 1024);
            for left in self.runs {
                let file = Arc::clone(&file);
                runs.push(Box::new(BufReader::with_capacity(buffer, Stretch { file, left })));
            }
        }
        runs.push(Box::new(Cursor::new(last)));
        let mut sorted = Sorted { heads: BinaryHeap::with_capacity(runs.len()), runs };
        for run in 0..sorted.runs.len() {
            sorted.advance(run)?;
        }
        Ok(sorted)
    }
}

// === impl Sorted ===

impl Sorted {
    /// The next entries, so many at the most; none: that was all.
    pub(super) fn next(&mut self, most: usize) -> io::Result<Vec<Row>> {
        let mut rows: Vec<Row> = Vec::with_capacity(most.min(1024));
        while let Some(Reverse(head)) = self.heads.peek() {
            let again = rows.last().is_some_and(|row| row.name() == head.row.name());
            if rows.len() == most && !again {
                break;
            }
            let Some(Reverse(Head { row, run })) = self.heads.pop() else { break };
            self.advance(run)?;
            if again {
                rows.pop();
            }
            rows.push(row);
        }
        Ok(rows)
    }

    fn advance(&mut self, run: usize) -> io::Result<()> {
        if let Some(row) = Row::read(&mut self.runs[run])? {
            self.heads.push(Reverse(Head { row, run }));
        }
        Ok(())
    }
}

// === impl Row ===

impl Row {
    /// `None` at the end.
    fn read(from: &mut impl Read) -> io::Result<Option<Self>> {
        let mut lengths = [0; LENGTHS];
        match from.read_exact(&mut lengths) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let length: usize = parts(&lengths).iter().sum();
        let mut bytes = Vec::with_capacity(LENGTHS + length);
        bytes.extend_from_slice(&lengths);
        bytes.resize(LENGTHS + length, 0);
        from.read_exact(&mut bytes[LENGTHS..])?;
        Ok(Some(Self(bytes)))
    }

    /// Its name, as the copy's table has it.
    pub(super) fn key(&self) -> Result<<Key as redb::Value>::SelfType<'_>, redb::Error> {
        let text = |bytes| {
            let altered = |_| redb::Error::Corrupted("an entry is not one".to_owned());
            std::str::from_utf8(bytes).map_err(altered)
        };
        let [issuer, claim, value] = self.name();
        Ok((text(issuer)?, text(claim)?, text(value)?))
    }

    /// What is kept under the name.
    pub(super) fn body(&self) -> &[u8] {
        split(&self.0)[3]
    }

    pub(super) fn entry(&self) -> Result<Revocation, redb::Error> {
        let (issuer, claim, value) = self.key()?;
        let name = Name { issuer: issuer.into(), claim: claim.into(), value: value.into() };
        let entry = codec::decode(name, self.body());
        entry.ok_or_else(|| redb::Error::Corrupted("an entry is not one".to_owned()))
    }

    fn name(&self) -> [&[u8]; 3] {
        name(&self.0)
    }
}

// === impl Run ===

impl Run {
    fn push(&mut self, entry: &Revocation) {
        let name = entry.name.clone().canonical();
        let begin = self.bytes.len();
        self.begins.push(begin);
        self.bytes.resize(begin + LENGTHS, 0);
        for text in [&name.issuer, &name.claim, &name.value] {
            self.bytes.extend_from_slice(text.as_bytes());
        }
        let body = self.bytes.len();
        codec::write(&mut self.bytes, entry);
        let lengths =
            [name.issuer.len(), name.claim.len(), name.value.len(), self.bytes.len() - body];
        let places = self.bytes[begin..][..LENGTHS].as_chunks_mut::<4>().0;
        for (place, length) in places.iter_mut().zip(lengths) {
            // The wire format bounds them far below.
            *place = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
        }
    }

    /// By name; of one name, what came first comes first. Mostly all are of one issuer and one claim: then
    /// their values are compared as numbers, from where they begin to differ, and seldom as text.
    fn sort(&mut self) {
        let Self { bytes, begins } = self;
        let Some(first) = begins.first().map(|begin| name(&bytes[*begin..])) else { return };
        let mut alike = first[2].len();
        for begin in &*begins {
            let [issuer, claim, value] = name(&bytes[*begin..]);
            if [issuer, claim] != first[..2] {
                begins.sort_by(|one, other| name(&bytes[*one..]).cmp(&name(&bytes[*other..])));
                return;
            }
            alike = value.iter().zip(&first[2][..alike]).take_while(|(a, b)| a == b).count();
        }
        let mut order: Vec<(u64, usize)> = Vec::with_capacity(begins.len());
        order.extend(begins.iter().map(|begin| {
            let [_, _, value] = name(&bytes[*begin..]);
            let (mut head, rest) = ([0; 8], &value[alike..]);
            let length = rest.len().min(head.len());
            head[..length].copy_from_slice(&rest[..length]);
            (u64::from_be_bytes(head), *begin)
        }));
        order.sort_by(|(one, a), (other, b)| {
            one.cmp(other).then_with(|| name(&bytes[*a..])[2].cmp(name(&bytes[*b..])[2]))
        });
        begins.clear();
        begins.extend(order.into_iter().map(|(_, begin)| begin));
    }

    /// How many bytes that were.
    fn write_sorted(&mut self, to: &mut impl Write) -> io::Result<u64> {
        self.sort();
        let bytes = &self.bytes;
        for begin in &self.begins {
            let row = &bytes[*begin..];
            to.write_all(&row[..LENGTHS + parts(row).iter().sum::<usize>()])?;
        }
        Ok(bytes.len() as u64)
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.begins.clear();
    }
}

// === impl Head ===

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        self.row.name().cmp(&other.row.name()).then(self.run.cmp(&other.run))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

// === impl Stretch ===

impl Read for Stretch {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.left.end - self.left.start).unwrap_or(usize::MAX);
        let most = left.min(into.len());
        let read = self.file.read_at(&mut into[..most], self.left.start)?;
        self.left.start += read as u64;
        Ok(read)
    }
}

/// The lengths of a row's four parts.
fn parts(row: &[u8]) -> [usize; 4] {
    let mut lengths = [0; 4];
    for (length, bytes) in lengths.iter_mut().zip(row.as_chunks::<4>().0) {
        *length = u32::from_le_bytes(*bytes) as usize;
    }
    lengths
}

fn split(row: &[u8]) -> [&[u8]; 4] {
    let (mut all, mut rest) = ([&[][..]; 4], &row[LENGTHS..]);
    for (part, length) in all.iter_mut().zip(parts(row)) {
        (*part, rest) = rest.split_at(length);
    }
    all
}

fn name(row: &[u8]) -> [&[u8]; 3] {
    let [issuer, claim, value, _] = split(row);
    [issuer, claim, value]
}
