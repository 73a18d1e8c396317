//! One HTTP request over loopback, for the demo's story.

use std::net::SocketAddr;

use anyhow::Context;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

/// Sends one request and reads the whole answer.
pub(super) async fn call(
    to: SocketAddr,
    method: Method,
    target: &str,
    bearer: Option<&str>,
    body: Option<Value>,
) -> anyhow::Result<Answer> {
    let stream = TcpStream::connect(to).await.with_context(|| format!("connecting to {to}"))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driven = tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(target).header(HOST, to.to_string());
    if let Some(token) = bearer {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    if body.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let bytes = body.map(|body| body.to_string()).unwrap_or_default();
    let response = sender.send_request(request.body(Full::new(Bytes::from(bytes)))?).await?;
    let status = response.status();
    let bytes = response.into_body().collect().await?.to_bytes();
    drop(sender);
    driven.await??;
    let text = || Value::from(String::from_utf8_lossy(&bytes).trim_end());
    Ok(Answer { status, body: serde_json::from_slice(&bytes).unwrap_or_else(|_not_json| text()) })
}
