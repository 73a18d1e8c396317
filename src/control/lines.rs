//! Cuts a stream of chunks into lines without ever holding more than one of them.

use bytes::Bytes;

/// The longest line, in bytes, without its end.
pub(super) const MAX_LINE: usize = 16 * 1024;

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

// === impl Lines ===

impl Lines {
    /// Hands every line that ends in `chunk` to `take`, and keeps what is left.
    pub(super) fn feed<E>(
        &mut self,
        chunk: &Bytes,
        mut take: impl FnMut(Line<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut pieces = chunk.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            let ends = pieces.peek().is_some();
            if ends && self.partial.is_empty() && !self.overlong && piece.len() <= MAX_LINE {
                take(Line::Whole(trim_end(piece)))?;
                continue;
            }
            self.keep(piece);
            if ends {
                self.finish(&mut take)?;
            }
        }
        Ok(())
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

    fn cut(chunks: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
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
        let got = cut(&[b"a\n", &long, b"more", b"\nb\r\n", &exact, b"\n", &long, b"\nc"]);
        let expected = [
            Some(b"a".to_vec()),
            None,
            Some(b"b".to_vec()),
            Some(exact),
            None,
            Some(b"c".to_vec()),
        ];
        assert_eq!(got, expected);
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
            prop_assert_eq!(cut(&chunks), cut(&[bytes]));
        }
    }
}
