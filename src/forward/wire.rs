//! Listener and forwarder over real sockets, without tokens: a gate that lets every request through.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::access::Permit;
use crate::config::{Balance, ForwardConfig, Limits, ListenerConfig, TlsConfig, UpstreamConfig};
use crate::listen::{Listener, Serving};
use crate::observe::Metrics;
use crate::peer::{Peer, TrustedProxies};
use crate::request::{HeadLimits, IdentityNames, RequestError, clean};
use crate::shutdown::{Drain, Shutdown};

use super::{Exchange, ForwardError, Forwarder, RequestId, ResponseBody, Upstream};

mod attempts;
mod bodies;
mod framing;
mod heads;
mod http2;
mod limits;
mod tls;

/// What a test's gate is made of; change what the test is about.
pub(super) struct Setup {
    pub(super) listener: ListenerConfig,
    pub(super) upstream: UpstreamConfig,
    pub(super) forward: ForwardConfig,
    pub(super) identity: Arc<IdentityNames>,
}

/// A running gate.
pub(super) struct Gate {
    pub(super) address: SocketAddr,
    pub(super) metrics: Arc<Metrics>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) shutdown: Shutdown,
    pub(super) drain: Drain,
    pub(super) serving: Option<Serving>,
    pub(super) tls: Option<crate::listen::TlsReloader>,
}

/// An upstream that keeps what it was sent.
#[derive(Clone)]
pub(super) struct Recorder {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

/// How long anything may take before a test fails.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

// === impl Setup ===

impl Setup {
    /// One worker before one upstream.
    pub(super) fn new(upstream: SocketAddr) -> Self {
        let second = Duration::from_secs(1);
        Self {
            listener: ListenerConfig {
                address: SocketAddr::from(([127, 0, 0, 1], 0)),
                tls: None,
                trusted_proxies: TrustedProxies::default(),
                limits: Limits {
                    header_bytes: 32 * 1024,
                    headers: 100,
                    target_bytes: 8 * 1024,
                    body_bytes: 64 * 1024 * 1024,
                    header_timeout: 10 * second,
                    idle_timeout: 10 * second,
                    connections: 1000,
                    streams: 100,
                    requests_per_connection: None,
                    connection_age: None,
                },
                workers: 1,
                drain_timeout: 5 * second,
            },
            upstream: UpstreamConfig {
                name: Arc::from("test"),
                endpoints: vec![format!("http://{upstream}").parse().expect("a URI")],
                balance: Balance::LeastRequests,
                connect_timeout: second,
                response_timeout: 5 * second,
                idle_timeout: 10 * second,
                retries: 1,
                health: None,
            },
            forward: ForwardConfig { token: true, claims: Vec::new(), trailers: false },
            identity: Arc::default(),
        }
    }

    pub(super) fn with_tls(mut self, tls: TlsConfig) -> Self {
        self.listener.tls = Some(tls);
        self
    }

    /// Binds and serves.
    pub(super) fn start(self) -> Gate {
        let metrics = Arc::new(Metrics::new());
        let (shutdown, drain) = Shutdown::new();
        let bound = Listener::bind(&self.listener).expect("a free port");
        let (address, tls) = (bound.local_addr(), bound.tls_reloader());
        let upstream = Arc::new(Upstream::build(&self.upstream, None, &metrics));
        let (setup, shared) = (Arc::new(self), Arc::clone(&upstream));
        let make = move |_| {
            let (forwarder, setup, upstream) =
                (Forwarder::new(), Arc::clone(&setup), Arc::clone(&shared));
            move |request, peer| {
                let (forwarder, setup, upstream) =
                    (forwarder.clone(), Arc::clone(&setup), Arc::clone(&upstream));
                async move { setup.answer(&forwarder, &upstream, request, peer).await }
            }
        };
        let serving = bound.serve(make, &metrics, &drain).expect("threads");
        Gate { address, metrics, upstream, shutdown, drain, serving: Some(serving), tls }
    }

    async fn answer(
        &self,
        forwarder: &Forwarder,
        upstream: &Arc<Upstream>,
        request: Request<Incoming>,
        peer: Rc<Peer>,
    ) -> Response<ResponseBody> {
        let limits = &self.listener.limits;
        let (mut parts, body) = request.into_parts();
        if let Err(error) = clean(&mut parts, &HeadLimits::from(limits), &self.identity) {
            return refusal(request_status(error));
        }
        let trusted = self.listener.trusted_proxies.contains(peer.client.ip());
        let request_id = RequestId::from_request(&parts.headers, trusted);
        let exchange = Exchange {
            permit: Permit::anonymous(),
            upstream,
            forward: &self.forward,
            token_from: &[],
            request: Request::from_parts(parts, Some(body)),
            peer: &peer,
            trusted,
            request_id: &request_id,
            identity: &self.identity,
            limits,
        };
        match forwarder.forward(exchange).await {
            Ok(response) => response,
            Err(error) => refusal(forward_status(error)),
        }
    }
}

// === impl Gate ===

impl Gate {
    /// A connection to it.
    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a connection")
    }

    /// Sends bytes on a connection of their own and reads to the end.
    pub(super) async fn send(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        // The gate may refuse and close before it has read everything.
        let (mut read, mut write) = stream.split();
        let mut answer = Vec::new();
        let sending = write.write_all(bytes.as_ref());
        let reading = within(read.read_to_end(&mut answer));
        let (_sent, _read) = tokio::join!(sending, reading);
        String::from_utf8_lossy(&answer).into_owned()
    }
}

// === impl Recorder ===

impl Recorder {
    /// Answers every request with the same bytes; the connection is kept unless they say otherwise.
    pub(super) async fn answering(answer: &'static str) -> Self {
        Self::scripted(move |_, mut stream, seen| async move {
            while let Some(request) = read_request(&mut stream).await {
                seen.lock().expect("no panic").push(request);
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
                if answer.contains("close") {
                    return;
                }
            }
        })
        .await
    }

    /// Answers each single reading, and keeps it: of a request that comes in two, the second is another.
    pub(super) async fn of_readings() -> Self {
        Self::scripted(|_, mut stream, seen| async move {
            let mut reading = vec![0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut reading).await {
                let text = String::from_utf8_lossy(&reading[..count]).into_owned();
                seen.lock().expect("no panic").push(text);
                stream.write_all(HELLO.as_bytes()).await.expect("a write");
            }
        })
        .await
    }

    /// Gives each connection, with its number, to `script`.
    pub(super) async fn scripted<S, F>(script: S) -> Self
    where
        S: Fn(usize, TcpStream, Arc<Mutex<Vec<String>>>) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let it = Self { address, seen: Arc::default(), connections: Arc::default() };
        let (seen, connections) = (Arc::clone(&it.seen), Arc::clone(&it.connections));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(script(number, stream, Arc::clone(&seen)));
            }
        });
        it
    }

    /// Whole requests as they came, in order.
    pub(super) fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("no panic").clone()
    }

    /// The only request.
    pub(super) fn only(&self) -> String {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen[0].clone()
    }

    /// Connections accepted so far.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

// === free functions ===

/// An answer of five bytes on a kept connection.
pub(super) const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// Fails the test when it takes too long.
pub(super) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

/// A side that says nothing for a while: the subject of a test, never a way to wait for something.
pub(super) async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Waits until it holds.
pub(super) async fn eventually(mut holds: impl FnMut() -> bool) {
    within(async {
        while !holds() {
            pause(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// One message with a length, or to its last chunk; `None` when the connection ended before.
pub(super) async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> Option<String> {
    let mut message = Vec::new();
    loop {
        if let Some(end) = find(&message, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&message[..end]).to_lowercase();
            let body = &message[end + 4..];
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let whole = match length {
                Some(length) => body.len() >= length.trim().parse().ok()?,
                None if head.contains("\ntransfer-encoding: chunked") => {
                    body == b"0\r\n\r\n"
                        || find(body, b"\r\n0\r\n").is_some() && body.ends_with(b"\r\n\r\n")
                }
                None => true,
            };
            if whole {
                return Some(String::from_utf8_lossy(&message).into_owned());
            }
        }
        if stream.read_buf(&mut message).await.ok()? == 0 {
            return None;
        }
    }
}

/// Writes and reads one answer on a kept connection.
pub(super) async fn exchange<S>(stream: &mut S, request: &str) -> String
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(request.as_bytes()).await.expect("a write");
    within(read_request(stream)).await.expect("an answer")
}

pub(super) fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// The answer's status, or 0.
pub(super) fn status(answer: &str) -> u16 {
    answer.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0)
}

/// The lines of a field in a raw message, in lower case.
pub(super) fn fields<'m>(message: &'m str, name: &str) -> Vec<&'m str> {
    let head = message.split("\r\n\r\n").next().unwrap_or_default();
    head.lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .filter(|(field, _)| field.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
        .collect()
}

fn refusal(status: StatusCode) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = status;
    response
}

fn request_status(error: RequestError) -> StatusCode {
    match error {
        RequestError::TargetTooLong => StatusCode::URI_TOO_LONG,
        RequestError::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        RequestError::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        RequestError::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        RequestError::ExpectationFailed => StatusCode::EXPECTATION_FAILED,
        RequestError::BadAuthority
        | RequestError::BadFraming
        | RequestError::BadHeader
        | RequestError::BadTarget => StatusCode::BAD_REQUEST,
    }
}

fn forward_status(error: ForwardError) -> StatusCode {
    match error {
        ForwardError::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ForwardError::BodyStalled => StatusCode::REQUEST_TIMEOUT,
        ForwardError::BodyBroken => StatusCode::BAD_REQUEST,
        ForwardError::NoEndpoint => StatusCode::SERVICE_UNAVAILABLE,
        ForwardError::Connect | ForwardError::Protocol => StatusCode::BAD_GATEWAY,
        ForwardError::Timeout => StatusCode::GATEWAY_TIMEOUT,
    }
}
