//! Requests that can be read in two ways, and what an upstream sees of them.

use super::*;

/// Sends one request and says its status and what reached the upstream.
async fn judge(request: &[u8]) -> (u16, Vec<String>) {
    let upstream = Recorder::answering(HELLO).await;
    let gate = Setup::new(upstream.address).start();
    let answer = gate.send(request).await;
    (status(&answer), upstream.seen())
}

#[tokio::test]
async fn a_length_with_another_reading_never_goes_on() {
    for field in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 05",
        "Content-Length: 0x5",
        "Content-Length: 5a",
        "Content-Length: 5, 5",
        "Content-Length: 5, 6",
        "Content-Length: ",
        "Content-Length: 5.0",
        "Content-Length: \"5\"",
        "Content-Length: 5\x0b",
        "Content-Length: 18446744073709551621",
        "Content-Length : 5",
        "Content-Length: 5\r\n folded",
        "Content_Length: 5",
        "Content.Length: 5",
        "Content-Length: 5\r\nContent_Length: 0",
    ] {
        let request =
            format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{field}\r\n\r\nhello");
        let (status, seen) = judge(request.as_bytes()).await;
        assert!(matches!(status, 400 | 0), "{field}: {status}");
        assert!(seen.is_empty(), "{field}: {seen:?}");
    }
}

#[tokio::test]
async fn equal_lengths_become_one() {
    let (status, seen) = judge(b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello").await;
    assert_eq!(status, 200);
    assert_eq!(fields(&seen[0], "content-length"), ["5"]);
    assert!(seen[0].ends_with("\r\n\r\nhello"));
}

#[tokio::test]
async fn a_transfer_coding_with_another_reading_never_goes_on() {
    for field in [
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: ,chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked;q=1",
        "Transfer_Encoding: chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\x0bchunked",
        "Transfer-Encoding: \x00chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: ",
    ] {
        let request = format!(
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{field}\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        );
        let (status, seen) = judge(request.as_bytes()).await;
        assert!(matches!(status, 400 | 501 | 0), "{field}: {status}");
        assert!(seen.is_empty(), "{field}: {seen:?}");
    }
    let old = b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let (status, seen) = judge(old).await;
    assert!(matches!(status, 400 | 0) && seen.is_empty(), "{status} {seen:?}");
}

#[tokio::test]
async fn length_and_coding_together_give_one_message_or_none() {
    for method in ["GET", "POST"] {
        for both in [
            "Content-Length: 4\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 4",
        ] {
            let request = format!(
                "{method} / HTTP/1.1\r\nHost: a\r\n{both}\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
            );
            let (_, seen) = judge(request.as_bytes()).await;
            assert!(seen.len() <= 1, "{seen:?}");
            assert!(seen.iter().all(|request| !request.contains("smuggled")), "{seen:?}");
            assert!(seen.iter().all(|request| fields(request, "content-length").is_empty()));
        }
    }
}

#[tokio::test]
async fn chunks_are_re_encoded_or_refused() {
    for (body, whole) in [
        ("5\r\nhello\r\n0\r\n\r\n", true),
        ("5;ext=1\r\nhello\r\n0\r\n\r\n", true),
        ("00000000000000005\r\nhello\r\n0\r\n\r\n", true),
        ("5\r\nhello\r\n0\r\nX-Trailer: 1\r\nContent-Length: 3\r\n\r\n", true),
        ("0x5\r\nhello\r\n0\r\n\r\n", false),
        ("+5\r\nhello\r\n0\r\n\r\n", false),
        ("-5\r\nhello\r\n0\r\n\r\n", false),
        ("5_0\r\nhello\r\n0\r\n\r\n", false),
        ("5\r\nhelloX\r\n0\r\n\r\n", false),
        ("5\nhello\n0\n\n", false),
        ("5\r\nhel", false),
    ] {
        let upstream = Recorder::answering(HELLO).await;
        let gate = Setup::new(upstream.address).start();
        let mut client = gate.connect().await;
        let head =
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
        client.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        if !whole {
            // A client that ends its side has left; here it must be seen that nothing more comes.
            client.shutdown().await.unwrap();
        }
        let mut answer = Vec::new();
        let _end = within(client.read_to_end(&mut answer)).await;
        if whole {
            eventually(|| upstream.seen().len() == 1).await;
            let request = upstream.only();
            assert!(request.ends_with("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), "{body:?}: {request:?}");
        } else {
            assert!(upstream.seen().is_empty(), "{body:?}: {:?}", upstream.seen());
        }
    }
}

#[tokio::test]
async fn one_authority_is_asked_for() {
    for (head, want) in [
        ("GET / HTTP/1.1\r\n", 400),
        ("GET / HTTP/1.1\r\nHost:\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a, b\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\\b\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a:x\r\n", 400),
        ("GET http://b/ HTTP/1.1\r\nHost: a\r\n", 400),
        ("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n", 400),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n", 400),
        ("GET http://a/ HTTP/1.1\r\nHost: a\r\n", 200),
        ("GET / HTTP/1.1\r\nHost: a:80\r\n", 200),
    ] {
        let (status, seen) = judge(format!("{head}Connection: close\r\n\r\n").as_bytes()).await;
        assert_eq!(status, want, "{head}");
        assert_eq!(seen.len(), usize::from(want == 200), "{head}");
        assert!(seen.iter().all(|request| request.starts_with("GET / HTTP/1.1\r\n")), "{seen:?}");
    }
}

#[tokio::test]
async fn request_lines_that_are_not_one_are_refused() {
    for line in [
        "GET  / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET / HTTP/1.2",
        "GET / HTTP/01.1",
        "GET /",
        "GET / HTTP/2.0",
        "/ HTTP/1.1",
        "GET HTTP/1.1",
        "GET /\0 HTTP/1.1",
        "GET * HTTP/1.1",
        "CONNECT a:80 HTTP/1.1",
        "TRACE / HTTP/1.1",
        "TRACK / HTTP/1.1",
        "get / HTTP/1.1",
    ] {
        let request = format!("{line}\r\nHost: a\r\nConnection: close\r\n\r\n");
        let (status, seen) = judge(request.as_bytes()).await;
        assert!(status == 0 || (400..500).contains(&status) || status == 505, "{line:?}: {status}");
        assert!(seen.is_empty(), "{line:?}: {seen:?}");
    }
}

#[tokio::test]
async fn header_lines_that_are_not_one_are_refused() {
    for line in
        ["no colon", ": empty", "a b: c", "a\0: b", "a: b\0c", "a: b\rc", " folded", "a: b\x01"]
    {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\nConnection: close\r\n\r\n");
        let (status, seen) = judge(request.as_bytes()).await;
        assert!(matches!(status, 400 | 0), "{line:?}: {status}");
        assert!(seen.is_empty(), "{line:?}: {seen:?}");
    }
}

#[tokio::test]
async fn the_body_of_a_refused_request_is_never_run() {
    let inside = "GET /inside HTTP/1.1\r\nHost: a\r\n\r\n";
    for framing in [
        format!("Content-Length: {}", inside.len()),
        "Content-Length: 9999999".to_owned(),
        format!("Content-Length: {}\r\nExpect: 100-continue", inside.len()),
    ] {
        let request = format!("TRACE / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{inside}");
        let upstream = Recorder::answering(HELLO).await;
        let gate = Setup::new(upstream.address).start();
        let mut client = gate.connect().await;
        client.write_all(request.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _end = within(client.read_to_end(&mut answer)).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.matches("HTTP/1.1").count() <= 1, "{answer}");
        assert!(!answer.contains(" 100 "), "{answer}");
        assert!(upstream.seen().is_empty());
    }
}

#[tokio::test]
async fn pipelined_requests_get_their_own_answers_in_order() {
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
    let mut requests = String::new();
    for number in 0..12 {
        let close = if number == 11 { "Connection: close\r\n" } else { "" };
        requests.push_str(&format!("GET /{number} HTTP/1.1\r\nHost: a\r\n{close}\r\n"));
    }
    let answers = gate.send(requests).await;
    let bodies: Vec<_> = answers
        .split("\r\n\r\n")
        .skip(1)
        .map(|part| part.split("HTTP/1.1").next().unwrap().to_owned())
        .collect();
    let want: Vec<_> = (0..12).map(|number| format!("/{number}")).collect();
    assert_eq!(bodies, want);
}
