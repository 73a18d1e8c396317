//! HTTP/2 from clients, with prior knowledge; HTTP/1.1 upstream.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::*;

/// A client's sender over any stream.
pub(super) async fn client<S>(stream: S) -> SendRequest<Full<Bytes>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("a handshake");
    tokio::spawn(connection);
    sender
}

fn request(uri: &str) -> http::request::Builder {
    Request::post(uri).version(http::Version::HTTP_2)
}

#[tokio::test]
async fn streams_become_requests_with_one_host_and_one_cookie_field() {
    let upstream = Recorder::answering(HELLO).await;
    let gate = Setup::new(upstream.address).start();
    let mut sender = client(gate.connect().await).await;
    let request = request("http://api.example/x?y")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .body(Full::from("upload"))
        .unwrap();
    let response = within(sender.send_request(request)).await.unwrap();
    assert_eq!(response.status(), 200);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(&body[..], b"hello");
    let seen = upstream.only();
    assert!(seen.starts_with("POST /x?y HTTP/1.1\r\n"), "{seen}");
    assert_eq!(fields(&seen, "host"), ["api.example"]);
    assert_eq!(fields(&seen, "cookie"), ["a=1; b=2"]);
    assert!(seen.ends_with("\r\n\r\nupload"), "{seen}");
}

#[tokio::test]
async fn a_small_upload_of_unknown_length_reaches_the_upstream_together_with_its_head() {
    let upstream = Recorder::of_readings().await;
    let gate = Setup::new(upstream.address).start();
    let (mut client, connection) = h2::client::handshake(gate.connect().await).await.unwrap();
    let head = request("http://a/").body(()).unwrap();
    let (answer, mut stream) = client.send_request(head, false).unwrap();
    stream.send_data("hello".into(), true).unwrap();
    tokio::spawn(connection);
    assert_eq!(within(answer).await.unwrap().status(), 200);
    let first = upstream.only();
    assert!(first.ends_with("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), "{first}");
}

#[tokio::test]
async fn many_streams_share_a_connection_and_each_gets_its_own_answer() {
    let upstream = Recorder::scripted(|_, mut stream, _| async move {
        while let Some(request) = read_request(&mut stream).await {
            let target = request.split(' ').nth(1).unwrap_or_default().to_owned();
            let answer =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{target}", target.len());
            stream.write_all(answer.as_bytes()).await.expect("a write");
        }
    })
    .await;
    let gate = Setup::new(upstream.address).start();
    let sender = client(gate.connect().await).await;
    let all = (0..50).map(|number| {
        let mut sender = sender.clone();
        async move {
            let request = request(&format!("http://a/{number}")).body(Full::default()).unwrap();
            let response = sender.send_request(request).await.unwrap();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, format!("/{number}"));
        }
    });
    within(futures_util::future::join_all(all)).await;
}

#[tokio::test]
async fn another_host_beside_the_authority_is_refused() {
    let upstream = Recorder::answering(HELLO).await;
    let gate = Setup::new(upstream.address).start();
    let mut sender = client(gate.connect().await).await;
    let request = request("http://a/").header("host", "b").body(Full::default()).unwrap();
    let response = within(sender.send_request(request)).await.unwrap();
    assert_eq!(response.status(), 400);
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn an_answer_that_breaks_off_resets_its_stream_alone() {
    let upstream = Recorder::scripted(|number, mut stream, _| async move {
        read_request(&mut stream).await;
        let answer =
            if number == 0 { "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart" } else { HELLO };
        stream.write_all(answer.as_bytes()).await.expect("a write");
    })
    .await;
    let gate = Setup::new(upstream.address).start();
    let mut sender = client(gate.connect().await).await;
    let broken = request("http://a/").body(Full::default()).unwrap();
    // The stream is reset before or after its head has left.
    if let Ok(broken) = within(sender.send_request(broken)).await {
        assert!(within(broken.into_body().collect()).await.is_err());
    }
    let whole = request("http://a/").body(Full::default()).unwrap();
    let whole = within(sender.send_request(whole)).await.unwrap();
    assert_eq!(&whole.into_body().collect().await.unwrap().to_bytes()[..], b"hello");
}

#[tokio::test]
async fn an_idle_connection_ends_and_a_drain_ends_it_too() {
    let upstream = Recorder::answering(HELLO).await;
    let mut setup = Setup::new(upstream.address);
    setup.listener.limits.idle_timeout = Duration::from_millis(300);
    let gate = setup.start();
    let mut sender = client(gate.connect().await).await;
    let once = request("http://a/").body(Full::default()).unwrap();
    within(sender.send_request(once)).await.unwrap();
    eventually(|| gate.metrics.connections.get() == 0).await;

    let mut gate = Setup::new(upstream.address).start();
    let mut sender = client(gate.connect().await).await;
    let once = request("http://a/").body(Full::default()).unwrap();
    within(sender.send_request(once)).await.unwrap();
    gate.shutdown.begin();
    within(gate.serving.take().unwrap().finished()).await;
}

#[tokio::test]
async fn a_client_that_opens_and_resets_in_haste_is_cut_off_and_others_are_served() {
    let upstream = Recorder::answering(HELLO).await;
    let gate = Setup::new(upstream.address).start();
    let (mut hasty, connection) = h2::client::handshake(gate.connect().await).await.unwrap();
    let connection = tokio::spawn(connection);
    let resets = async {
        for _ in 0..5000 {
            let Ok(mut ready) = hasty.ready().await else { return };
            let reset = Request::get("http://a/").body(()).unwrap();
            let Ok((_, mut stream)) = ready.send_request(reset, false) else { return };
            stream.send_reset(h2::Reason::CANCEL);
            hasty = ready;
            tokio::task::yield_now().await;
        }
    };
    within(resets).await;
    assert!(within(connection).await.unwrap().is_err());
    let mut sender = client(gate.connect().await).await;
    let calm = request("http://a/").body(Full::default()).unwrap();
    assert_eq!(within(sender.send_request(calm)).await.unwrap().status(), 200);
}

/// A client with the smallest windows, to an upstream that is never waited for.
async fn big_download(gate: &Gate) -> Response<Incoming> {
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(65_535)
        .initial_connection_window_size(65_535)
        .handshake(TokioIo::new(gate.connect().await))
        .await
        .expect("a handshake");
    tokio::spawn(connection);
    let get = request("http://a/").body(Full::<Bytes>::default()).expect("a request");
    within(sender.send_request(get)).await.expect("an answer")
}

#[tokio::test]
async fn a_slow_reader_goes_on_and_one_that_stopped_is_cut_off() {
    const SIZE: usize = 2_000_000;
    let upstream = Recorder::scripted(|_, mut stream, _| async move {
        read_request(&mut stream).await;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("a write");
        drop(stream.write_all(&vec![b'x'; SIZE]).await);
    })
    .await;
    let mut setup = Setup::new(upstream.address);
    setup.listener.limits.idle_timeout = Duration::from_millis(1200);
    let gate = setup.start();
    let mut body = big_download(&gate).await.into_body();
    let mut size = 0;
    while let Some(frame) = within(body.frame()).await {
        size += frame.unwrap().into_data().map_or(0, |data| data.len());
        pause(Duration::from_millis(5)).await;
    }
    assert_eq!(size, SIZE);

    let stopped = big_download(&gate).await;
    eventually(|| gate.metrics.connections.get() == 0).await;
    assert!(within(stopped.into_body().collect()).await.is_err());
}
