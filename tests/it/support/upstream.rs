//! An upstream that records every request as it came and answers 200 with what it saw.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::json;

/// One request as it came over the wire.
#[derive(Clone, Debug)]
pub struct Seen {
    pub line: String,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trailers: Vec<String>,
}

/// The upstream; its threads end with the test process.
#[derive(Clone, Debug)]
pub struct TestUpstream {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

// === impl TestUpstream ===

impl TestUpstream {
    pub fn start() -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let own = Arc::clone(&seen);
        Self { seen, ..Self::start_with(move |stream| serve(stream, &own)) }
    }

    /// One that answers a connection as it is told to, and records nothing.
    pub fn start_with(answer: impl Fn(TcpStream) + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answer = answer.clone();
                std::thread::spawn(move || answer(stream));
            }
        });
        Self { address, seen: Arc::default() }
    }

    /// Everything it has seen so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("not poisoned").clone()
    }

    /// How many requests it has seen.
    pub fn count(&self) -> usize {
        self.seen.lock().expect("not poisoned").len()
    }

    /// Everything it has seen so far, forgotten by it.
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().expect("not poisoned"))
    }

    /// The newest request.
    #[track_caller]
    pub fn last(&self) -> Seen {
        self.seen().pop().expect("a request came through")
    }
}

// === impl Seen ===

impl Seen {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.all(name).into_iter().next()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        let same = |named: &str| named.eq_ignore_ascii_case(name);
        self.fields.iter().filter(|(named, _)| same(named)).map(|(_, value)| &**value).collect()
    }
}

fn serve(stream: TcpStream, seen: &Mutex<Vec<Seen>>) {
    let mut writer = stream.try_clone().expect("a second handle");
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        let head_only = request.line.starts_with("HEAD ");
        let body = json!({ "line": request.line, "subject": request.field("x-auth-subject") });
        let body = body.to_string();
        seen.lock().expect("not poisoned").push(request);
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let answer = if head_only { head } else { head + &body };
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// Reads one request; `None` when the connection is over.
pub fn read(reader: &mut BufReader<impl Read>) -> Option<Seen> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let mut lines = lines.into_iter();
    let line = lines.next()?;
    let split = |field: String| {
        field.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
    };
    let (body, trailers) = (Vec::new(), Vec::new());
    let mut seen = Seen { line, fields: lines.filter_map(split).collect(), body, trailers };
    if let Some(length) = seen.field("content-length") {
        seen.body = vec![0; length.parse().ok()?];
        reader.read_exact(&mut seen.body).ok()?;
    } else if seen.field("transfer-encoding").is_some() {
        (seen.body, seen.trailers) = read_chunks(reader)?;
    }
    Some(seen)
}

fn read_chunks(reader: &mut BufReader<impl Read>) -> Option<(Vec<u8>, Vec<String>)> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let size = usize::from_str_radix(line.trim(), 16).ok()?;
        if size == 0 {
            return Some((body, read_trailers(reader)?));
        }
        let start = body.len();
        body.resize(start + size + 2, 0);
        reader.read_exact(&mut body[start..]).ok()?;
        body.truncate(start + size);
    }
}

fn read_trailers(reader: &mut BufReader<impl Read>) -> Option<Vec<String>> {
    let mut trailers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end() {
            "" => return Some(trailers),
            trailer => trailers.push(trailer.to_owned()),
        }
    }
}
