//! Cuts a stream of chunks into blocks of whole lines, and those into lines, without ever holding more
//! than a block and a line.

use bytes::Bytes;
use memchr::memchr;

/// The longest line, in bytes, without its end.
pub(super) const MAX_LINE: usize = 16 * 1024;

/// The block that is being gathered.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    block: Vec<u8>,
    partial: Vec<u8>,
}

/// Bytes in a block, at least; [`PIECE`] and a line more at most.
const BLOCK: usize = 128 * 1024;
/// Bytes of a chunk that are taken at a time.
const PIECE: usize = 32 * 1024;

/// The line that is being gathered.
#[derive(Debug, Default)]
pub(super) struct Lines {
    partial: Vec<u8>,
    overlong: bool,
}

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Its bytes, without the end of line.
    Whole(&'a [u8]),
    /// It was longer than [`MAX_LINE`] and is gone.
    Overlong,
}

// === impl Blocks ===

impl Blocks {
    /// Hands over what has become a block, and keeps what is left.
    pub(super) fn feed(&mut self, chunk: &[u8], mut take: impl FnMut(Vec<u8>)) {
        for piece in chunk.chunks(PIECE) {
            self.feed_piece(piece, &mut take);
        }
    }

    fn feed_piece(&mut self, chunk: &[u8], take: &mut impl FnMut(Vec<u8>)) {
        let whole = chunk.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let (mut whole, rest) = chunk.split_at(whole);
        if !self.partial.is_empty()
            && let Some(end) = whole.iter().position(|byte| *byte == b'\n')
        {
            self.keep(&whole[..end]);
            self.block.append(&mut self.partial);
            whole = &whole[end..];
        }
        self.block.extend_from_slice(whole);
        self.keep(rest);
        if self.block.len() >= BLOCK {
            take(std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK + PIECE + MAX_LINE)));
        }
    }

    /// The last block, with a last line that has no end.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        self.block.append(&mut self.partial);
        std::mem::take(&mut self.block)
    }

    /// One byte more than a line may have is enough to refuse it.
    fn keep(&mut self, piece: &[u8]) {
        let room = (MAX_LINE + 1).saturating_sub(self.partial.len());
        self.partial.extend_from_slice(&piece[..piece.len().min(room)]);
    }
}

// === impl Lines ===

impl Lines {
    /// Hands every line that ends in `chunk` to `take`, and keeps what is left.
    pub(super) fn feed<E>(
        &mut self,
        chunk: &Bytes,
        mut take: impl FnMut(Line<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = &chunk[..];
        loop {
            let end = memchr(b'\n', rest);
            let (piece, after) = rest.split_at(end.unwrap_or(rest.len()));
            let ends = end.is_some();
            rest = after.get(1..).unwrap_or_default();
            if ends && self.partial.is_empty() && !self.overlong && piece.len() <= MAX_LINE {
                take(Line::Whole(trim_end(piece)))?;
                continue;
            }
            self.keep(piece);
            if !ends {
                return Ok(());
            }
            self.finish(&mut take)?;
        }
    }

    /// Hands over a last line that has no end.
    pub(super) fn finish<E>(
        &mut self,
        mut take: impl FnMut(Line<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if std::mem::take(&mut self.overlong) {
            take(Line::Overlong)?;
        } else if !self.partial.is_empty() {
            take(Line::Whole(trim_end(&self.partial)))?;
        } else {
            // An empty line, or the end after a whole one; both carry nothing, but a line is counted.
            take(Line::Whole(b""))?;
        }
        self.partial.clear();
        Ok(())
    }

    fn keep(&mut self, piece: &[u8]) {
        if self.overlong || self.partial.len() + piece.len() > MAX_LINE {
            self.overlong = true;
            self.partial.clear();
        } else {
            self.partial.extend_from_slice(piece);
        }
    }
}

fn trim_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    /// By way of blocks, or not.
    fn cut(chunks: &[&[u8]], blocks: bool) -> Vec<Option<Vec<u8>>> {
        let mut gathered = Vec::new();
        if blocks {
            let mut blocks = Blocks::default();
            for chunk in chunks {
                blocks.feed(chunk, |block| gathered.push(block));
            }
            gathered.push(blocks.finish());
            return cut(&gathered.iter().map(Vec::as_slice).collect::<Vec<_>>(), false);
        }
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        let mut take = |line: Line<'_>| -> Result<(), Infallible> {
            out.push(match line {
                Line::Whole(line) => Some(line.to_vec()),
                Line::Overlong => None,
            });
            Ok(())
        };
        for chunk in chunks {
            lines.feed(&Bytes::copy_from_slice(chunk), &mut take).unwrap();
        }
        lines.finish(&mut take).unwrap();
        out
    }

    #[test]
    fn an_overlong_line_is_reported_once_and_the_next_is_whole() {
        let long = vec![b'x'; MAX_LINE + 1];
        let exact = vec![b'y'; MAX_LINE];
        let chunks: [&[u8]; 8] = [b"a\n", &long, b"more", b"\nb\r\n", &exact, b"\n", &long, b"\nc"];
        let expected = [
            Some(b"a".to_vec()),
            None,
            Some(b"b".to_vec()),
            Some(exact.clone()),
            None,
            Some(b"c".to_vec()),
        ];
        assert_eq!(cut(&chunks, false), expected);
        assert_eq!(cut(&chunks, true), expected);
    }

    #[test]
    fn blocks_are_of_a_size_and_hold_whole_lines() {
        let text = "a line of some text\n".repeat(100_000);
        let (mut blocks, mut sizes) = (Blocks::default(), Vec::new());
        for chunk in text.as_bytes().chunks(500_009) {
            blocks.feed(chunk, |block| {
                assert!(block.ends_with(b"\n"));
                sizes.push(block.len());
            });
        }
        let rest = blocks.finish().len();
        assert_eq!(sizes.iter().sum::<usize>() + rest, text.len());
        assert!(
            sizes.iter().all(|size| (BLOCK..BLOCK + PIECE + MAX_LINE).contains(size)),
            "{sizes:?}"
        );
    }

    proptest! {
        #[test]
        fn where_the_chunks_end_makes_no_difference(
            text in "[ab\r\n]{0,200}", cuts in prop::collection::vec(0usize..200, 0..6)
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let bytes = text.as_bytes();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(cut(&chunks, false), cut(&[bytes], false));
            prop_assert_eq!(cut(&chunks, true), cut(&[bytes], false));
        }
    }
}
