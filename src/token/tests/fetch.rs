//! A49: what a key server may answer, and where one may be.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Answers every request on a loopback port with what the closure makes of its path.
pub(in crate::token) async fn serve(
    answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                match stream.read(&mut byte).await {
                    Ok(1) => head.push(byte[0]),
                    _ => break,
                }
            }
            let head = String::from_utf8(head).unwrap();
            let answer = answer(head.split(' ').nth(1).unwrap_or_default());
            // A client that has seen enough may be gone.
            let _: std::io::Result<()> = stream.write_all(&answer).await;
        }
    });
    base
}

pub(in crate::token) fn ok(fields: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\n{fields}content-length: {length}\r\n\r\n{body}").into_bytes()
}

async fn fetched(answer: Vec<u8>) -> Result<(String, Option<u64>), FetchError> {
    let base = serve(move |_| answer.clone()).await;
    let url = checked(base.parse().unwrap()).unwrap();
    let document = Fetcher::new().unwrap().document(&url).await?;
    let text = String::from_utf8(document.bytes).unwrap();
    Ok((text, document.max_age.map(|age| age.as_secs())))
}

#[test]
fn a_key_document_comes_by_https_or_from_loopback() {
    for (url, fits) in [
        ("https://login.example.com/jwks.json", true),
        ("https://login.example.com:8443/jwks.json?x=y", true),
        ("http://127.0.0.1:8080/jwks", true),
        ("http://127.9.9.9/jwks", true),
        ("http://[::1]:8080/jwks", true),
        ("http://localhost:8080/jwks", true),
        ("http://login.example.com/jwks", false),
        ("http://169.254.169.254/latest", false),
        ("http://10.0.0.1/jwks", false),
        ("http://0.0.0.0/jwks", false),
        ("http://localhost.example.com/jwks", false),
        ("http://127.0.0.1.example.com/jwks", false),
        ("http://127.0.0.1@evil.example/jwks", false),
        ("https://user:password@login.example.com/jwks", false),
        ("ftp://127.0.0.1/jwks", false),
        ("file:///etc/passwd", false),
        ("/jwks.json", false),
    ] {
        let checked = url.parse().map_err(|_cause| FetchError::Url).and_then(checked);
        assert_eq!(checked.is_ok(), fits, "{url}");
    }
}

#[tokio::test]
async fn a_json_document_is_taken_with_its_age() {
    for (fields, age) in [
        ("", None),
        ("content-type: application/json\r\n", None),
        ("content-type: application/jwk-set+json; charset=utf-8\r\n", None),
        ("Content-Type: APPLICATION/JSON\r\ncache-control: public, max-age=300\r\n", Some(300)),
        ("cache-control: Max-Age=\"7\"\r\n", Some(7)),
        ("cache-control: max-age=100, no-cache\r\n", Some(0)),
        ("cache-control: max-age=-1\r\n", None),
        ("cache-control: max-age=99999999999999999999999\r\n", None),
    ] {
        assert_eq!(fetched(ok(fields, "{}")).await, Ok(("{}".into(), age)), "{fields}");
    }
}

#[tokio::test]
async fn a49_anything_else_is_refused() {
    let redirect =
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let long = "x".repeat(MAX_DOCUMENT + 1);
    let endless =
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n40001\r\n{long}\r\n");
    let status = |code: u16| FetchError::Status(StatusCode::from_u16(code).unwrap());
    for (answer, want) in [
        (redirect.into(), status(302)),
        (b"HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\n{}".to_vec(), status(503)),
        (b"HTTP/1.1 204 None\r\n\r\n".to_vec(), status(204)),
        (ok("content-type: text/html\r\n", "{}"), FetchError::NotJson),
        (ok("content-type: application/octet-stream\r\n", "{}"), FetchError::NotJson),
        (ok("content-encoding: gzip\r\n", "{}"), FetchError::NotJson),
        (ok("", &long), FetchError::Body),
        (endless.into_bytes(), FetchError::Body),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}".to_vec(), FetchError::Body),
        (b"nonsense\r\n\r\n".to_vec(), FetchError::Connect),
        (Vec::new(), FetchError::Connect),
    ] {
        let shown = String::from_utf8_lossy(&answer[..answer.len().min(60)]).into_owned();
        assert_eq!(fetched(answer).await, Err(want), "{shown}");
    }
    let nobody = checked("http://127.0.0.1:1/".parse().unwrap()).unwrap();
    let error = Fetcher::new().unwrap().document(&nobody).await.err();
    assert_eq!(error, Some(FetchError::Connect));
}

#[tokio::test(start_paused = true)]
async fn a49_a_server_that_says_nothing_is_left_after_5_seconds() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let started = tokio::time::Instant::now();
    let error = Fetcher::new().unwrap().document(&url).await.err();
    assert_eq!(error, Some(FetchError::TimedOut));
    assert!(started.elapsed() >= TIMEOUT);
}
