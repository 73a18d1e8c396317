//! The client of the control port: HTTP/1.1 over TCP or a Unix socket, bodies streamed.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::Failure;
use super::args::Reach;
use super::output::plain;
use super::place::{Address, Place};

/// A request's body.
pub(super) type Outgoing = UnsyncBoxBody<Bytes, io::Error>;

/// The time a connection may take.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// A connection to a control port.
pub(super) struct Client {
    sender: SendRequest<Outgoing>,
    host: String,
    credential: Option<HeaderValue>,
}

// === impl Client ===

impl Client {
    /// Connects where `--control` and the configuration say.
    pub(super) async fn connect(reach: &Reach) -> Result<Self, Failure> {
        let place = Place::find(reach)?;
        let credential = place.credential.map(|secret| {
            let bytes = [b"Bearer ", secret.expose()].concat();
            let mut value = HeaderValue::from_bytes(&bytes)
                .map_err(|_invalid| Failure::Usage("the control credential is no text".into()))?;
            value.set_sensitive(true);
            Ok::<_, Failure>(value)
        });
        let credential = credential.transpose()?;
        let (sender, host) = match &place.address {
            Address::Tcp(address) => {
                let stream = timely(TcpStream::connect(address), address).await?;
                (handshake(stream).await?, address.clone())
            }
            Address::Unix(path) => {
                let stream = timely(UnixStream::connect(path), &path.display().to_string()).await?;
                (handshake(stream).await?, "localhost".to_owned())
            }
        };
        Ok(Self { sender, host, credential })
    }

    /// A call without a body; its answer as JSON.
    pub(super) async fn call(&mut self, method: Method, target: &str) -> Result<Value, Failure> {
        Ok(self.ask(method, target).await?.1)
    }

    /// The same, of one that may be answered before all is done.
    pub(super) async fn ask(
        &mut self,
        method: Method,
        target: &str,
    ) -> Result<(StatusCode, Value), Failure> {
        let answer = self.send(method, target, None, no_body()).await?;
        json(answer).await
    }

    /// A call with a small JSON body.
    pub(super) async fn send_json(
        &mut self,
        method: Method,
        target: &str,
        body: &Value,
    ) -> Result<(StatusCode, Value), Failure> {
        let body = Full::from(body.to_string()).map_err(never).boxed_unsync();
        let answer = self.send(method, target, Some("application/json"), body).await?;
        json(answer).await
    }

    /// Sends, and makes a failure of every problem.
    pub(super) async fn send(
        &mut self,
        method: Method,
        target: &str,
        media: Option<&'static str>,
        body: Outgoing,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::builder().method(method).uri(target).header(HOST, &self.host);
        if let Some(credential) = &self.credential {
            request = request.header(AUTHORIZATION, credential);
        }
        if let Some(media) = media {
            request = request.header(CONTENT_TYPE, media);
        }
        let request = request.body(body).context("the call can't be made")?;
        let answer = self.sender.send_request(request).await;
        let answer = answer.context("the control port did not answer")?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(self.refusal(answer).await)
    }

    async fn refusal(&self, answer: Response<Incoming>) -> Failure {
        let status = answer.status();
        let body =
            answer.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let Ok(problem) = serde_json::from_slice::<Value>(&body) else {
            return Failure::Failed(anyhow!("the control port answered {status}"));
        };
        let mut text = plain(problem["detail"].as_str().unwrap_or_default());
        if let Some(code) = problem["code"].as_str() {
            text = format!("{text} ({})", plain(code));
        }
        for each in problem["problems"].as_array().into_iter().flatten() {
            // Each may be an excerpt of the file over several lines.
            let lines = each.as_str().unwrap_or_default().lines().map(plain);
            text = lines.fold(text, |text, line| text + "\n" + &line);
        }
        if status == StatusCode::UNAUTHORIZED && self.credential.is_none() {
            text += "\nset PORTCULLIS_CONTROL_TOKEN, or name the gateway's --config";
        }
        match status {
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => Failure::Usage(text),
            _ => Failure::Failed(anyhow!(text)),
        }
    }
}

/// An object of those members that are there.
pub(super) fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let given = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(given.collect())
}

/// No body.
pub(super) fn no_body() -> Outgoing {
    Empty::new().map_err(never).boxed_unsync()
}

/// Everything but unreserved characters in percent-encoding (RFC 3986 §2.1).
pub(super) fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// A query string of those parameters that are there.
pub(super) fn query(path: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let mut target = path.to_owned();
    let mut mark = '?';
    for (name, value) in parameters.iter().filter_map(|(name, value)| Some((name, (*value)?))) {
        target.push(mark);
        target.push_str(name);
        target.push('=');
        target.push_str(&escaped(value));
        mark = '&';
    }
    target
}

/// The whole answer, and its status.
pub(super) async fn json(answer: Response<Incoming>) -> Result<(StatusCode, Value), Failure> {
    let status = answer.status();
    let body = answer.into_body().collect().await.context("the answer broke off")?.to_bytes();
    Ok((status, serde_json::from_slice(&body).context("the answer is not JSON")?))
}

async fn timely<S>(
    connecting: impl Future<Output = io::Result<S>>,
    address: &str,
) -> Result<S, Failure> {
    let connected = tokio::time::timeout(CONNECT_TIME, connecting).await;
    let connected = connected.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into()));
    let stream = connected.with_context(|| {
        format!("no control port answers at {address}; is the gateway running?")
    })?;
    Ok(stream)
}

async fn handshake<S>(stream: S) -> Result<SendRequest<Outgoing>, Failure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.context("handshake")?;
    // Its errors reach the call that waits for the answer.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

fn never(never: Infallible) -> io::Error {
    match never {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_escaped_and_absent_ones_left_out() {
        let parameters = [("claim", Some("sub")), ("issuer", None), ("value", Some("a b&c=ü+%"))];
        assert_eq!(query("/p", &parameters), "/p?claim=sub&value=a%20b%26c%3D%C3%BC%2B%25");
        assert_eq!(query("/p", &[("claim", None)]), "/p");
    }
}
