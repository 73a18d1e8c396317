//! A connection that sends bytes as they are given and reads one answer at a time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::client::Answer;

/// One connection.
#[derive(Debug)]
pub struct Raw(BufReader<TcpStream>);

// === impl Raw ===

impl Raw {
    #[track_caller]
    pub fn connect(to: SocketAddr) -> Self {
        Self::try_connect(to).expect("connected")
    }

    pub fn try_connect(to: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.set_write_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Waits no longer than this for an answer.
    pub fn patience(self, patience: Duration) -> Self {
        self.0.get_ref().set_read_timeout(Some(patience)).expect("set");
        self
    }

    /// Sends; that the other side has closed is seen when reading.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        drop(self.0.get_mut().write_all(bytes.as_ref()));
        self
    }

    /// Bytes as they come; 0 at the end.
    pub fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(into)
    }

    /// Exactly as many bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) -> std::io::Result<()> {
        self.0.read_exact(bytes)
    }

    /// The next answer, an interim one too; `None` when the connection ended before it.
    pub fn answer(&mut self) -> Option<Answer> {
        self.answer_to("GET")
    }

    /// The next answer to that method.
    pub fn answer_to(&mut self, method: &str) -> Option<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if self.0.read_until(b'\n', &mut head).ok()? == 0 {
                return None;
            }
        }
        let text = String::from_utf8_lossy(&head).into_owned();
        let mut lines = text.trim_end().split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let fields: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut answer = Answer { status, fields, body: Vec::new() };
        let empty = method == "HEAD" || status < 200 || status == 204 || status == 304;
        if !empty {
            answer.body = self.body(&answer)?;
        }
        Some(answer)
    }

    fn body(&mut self, answer: &Answer) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        if let Some(length) = answer.field("content-length") {
            body.resize(length.parse().ok()?, 0);
            self.0.read_exact(&mut body).ok()?;
        } else if answer.field("transfer-encoding").is_some() {
            loop {
                let mut line = String::new();
                self.0.read_line(&mut line).ok()?;
                let size = usize::from_str_radix(line.trim(), 16).ok()?;
                let start = body.len();
                body.resize(start + size + 2, 0);
                self.0.read_exact(&mut body[start..]).ok()?;
                body.truncate(start + size);
                if size == 0 {
                    break;
                }
            }
        } else {
            self.0.read_to_end(&mut body).ok()?;
        }
        Some(body)
    }

    /// Every final answer until the connection ends.
    pub fn answers(&mut self) -> Vec<Answer> {
        let mut answers = Vec::new();
        while let Some(answer) = self.answer() {
            answers.push(answer);
        }
        answers
    }

    /// Whether the other side has ended the connection, in order or not.
    pub fn is_closed(&mut self) -> bool {
        match self.0.read(&mut [0; 1]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}
