//! The demo's neighbours: a sample issuer that signs tokens and serves its keys, and a sample upstream.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::clock::{Clock, SystemClock};
use crate::token::mint::SigningKey;

/// Signs tokens for anyone who asks: it is a demo.
#[derive(Debug)]
pub(super) struct Issuer {
    key: SigningKey,
    name: String,
}

// === impl Issuer ===

impl Issuer {
    pub(super) const fn new(key: SigningKey, name: String) -> Self {
        Self { key, name }
    }

    /// A token as an issuer would give on log-in; answers with its `jti` as well.
    pub(super) fn token(&self, subject: &str, kind: &str) -> (String, String) {
        let now = SystemClock.now().as_secs();
        let token_id = Uuid::new_v4().to_string();
        let life = if kind == "refresh" { 30 * 24 * 3600 } else { 3600 };
        let claims = json!({
            "iss": self.name, "aud": "orders-api", "sub": subject, "jti": token_id, "type": kind,
            "scope": "orders:read", "iat": now, "exp": now + life,
        });
        (self.key.sign(&Map::new(), &claims), token_id)
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let query = request.uri().query().unwrap_or_default();
        let asked = |name: &str| {
            query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)
        };
        match request.uri().path() {
            "/.well-known/jwks.json" => text("application/json", self.key.jwks()),
            "/token" => {
                let subject = asked("sub").map_or("alice", |(_, value)| value);
                let kind = asked("type").map_or("access", |(_, value)| value);
                text("text/plain", self.token(subject, kind).0)
            }
            _ => status(StatusCode::NOT_FOUND),
        }
    }
}

/// Serves the issuer on a free port, for as long as the runtime runs.
pub(super) async fn serve_issuer(listener: TcpListener, issuer: Arc<Issuer>) {
    serve(listener, move |request| issuer.answer(&request)).await;
}

/// Serves the upstream: it says whom the gateway let through.
pub(super) async fn serve_upstream(listener: TcpListener) {
    serve(listener, |request| {
        let field = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        let body = json!({
            "service": "orders",
            "path": request.uri().path(),
            "subject": field("x-auth-subject").map_or(Value::Null, Value::from),
            "forwarded_for": field("x-forwarded-for"),
        });
        text("application/json", format!("{body}\n"))
    })
    .await;
}

/// A listener on loopback: on the port wished for, or a free one when that is taken.
pub(super) async fn listen(wished: u16) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, wished)).await {
        Ok(listener) => listener,
        Err(_taken) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?,
    };
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn serve<A>(listener: TcpListener, answer: A)
where
    A: Fn(Request<Incoming>) -> Response<Full<Bytes>> + Clone + Send + Sync + 'static,
{
    while let Ok((stream, _)) = listener.accept().await {
        let answer = answer.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let response = answer(request);
                async move { Ok::<_, Infallible>(response) }
            });
            // A client that breaks off is no news.
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

fn text(kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    let kind = http::HeaderValue::from_static(kind);
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    response
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
