//! Bodies: streamed both ways, counted, broken off, refused early.

use super::*;

#[tokio::test]
async fn an_upload_with_a_length_arrives_whole() {
    let upstream = Recorder::answering(HELLO).await;
    let gate = Setup::new(upstream.address).start();
    let body = "x".repeat(300_000);
    let request = format!(
        "PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(status(&gate.send(request).await), 200);
    let seen = upstream.only();
    assert_eq!(fields(&seen, "content-length"), ["300000"]);
    assert!(seen.ends_with(&body));
}

#[tokio::test]
async fn a_chunked_get_arrives_with_its_body() {
    let upstream = Recorder::answering(HELLO).await;
    let gate = Setup::new(upstream.address).start();
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    assert_eq!(status(&gate.send(request).await), 200);
    assert!(upstream.only().ends_with("5\r\nhello\r\n0\r\n\r\n"));
}

#[tokio::test]
async fn a_body_that_looks_like_a_request_is_a_body() {
    let upstream = Recorder::answering(HELLO).await;
    let gate = Setup::new(upstream.address).start();
    let inside = "GET /inside HTTP/1.1\r\nHost: a\r\n\r\n";
    for method in ["GET", "DELETE", "OPTIONS", "POST"] {
        let head = format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: {}", inside.len());
        let got = exchange(&mut gate.connect().await, &format!("{head}\r\n\r\n{inside}")).await;
        assert_eq!(status(&got), 200, "{got}");
    }
    let seen = upstream.seen();
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|request| request.ends_with(inside)), "{seen:?}");
}

#[tokio::test]
async fn an_endless_download_is_held_back_by_a_client_that_does_not_read() {
    const CHUNK: usize = 64 * 1024;
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let upstream = Recorder::scripted(move |_, mut stream, _| {
        let count = Arc::clone(&count);
        async move {
            read_request(&mut stream).await;
            let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n";
            stream.write_all(head).await.expect("a write");
            let chunk = vec![b'x'; CHUNK];
            while stream.write_all(&chunk).await.is_ok() {
                count.fetch_add(CHUNK, Ordering::SeqCst);
            }
        }
    })
    .await;
    let gate = Setup::new(upstream.address).start();
    let mut client = gate.connect().await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut some = vec![0; 1000];
    within(client.read_exact(&mut some)).await.unwrap();
    // Kernel buffers on two connections take some; after that nothing moves.
    let mut before = 0;
    within(async {
        loop {
            pause(Duration::from_millis(300)).await;
            let now = written.load(Ordering::SeqCst);
            if now == before {
                return;
            }
            before = now;
        }
    })
    .await;
    assert!(before < 64 * 1024 * 1024, "{before}");
    let mut rest = vec![0; 20 * 1024 * 1024];
    within(client.read_exact(&mut rest)).await.unwrap();
    eventually(|| written.load(Ordering::SeqCst) > before).await;
}

#[tokio::test]
async fn an_upload_over_the_limit_is_refused_while_it_streams() {
    let upstream = Recorder::answering(HELLO).await;
    let mut setup = Setup::new(upstream.address);
    setup.listener.limits.body_bytes = 10;
    let gate = setup.start();
    let declared =
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 11\r\n\r\nhello world";
    assert_eq!(status(&gate.send(declared).await), 413);
    let streamed = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n";
    assert_eq!(status(&gate.send(streamed).await), 413);
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn an_early_answer_reaches_the_client_and_ends_the_upload() {
    let upstream = Recorder::scripted(|_, mut stream, _| async move {
        let mut head = [0; 64];
        stream.read_exact(&mut head).await.expect("a head");
        let answer =
            "HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\nConnection: close\r\n\r\nearly";
        stream.write_all(answer.as_bytes()).await.expect("a write");
        // Closed with much of the upload unread: the kernel sends a reset.
    })
    .await;
    let gate = Setup::new(upstream.address).start();
    let mut client = gate.connect().await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = client.split();
    let chunk = vec![b'x'; 64 * 1024];
    let writing = async { while write.write_all(&chunk).await.is_ok() {} };
    let reading = async {
        let mut answer = Vec::new();
        while find(&answer, b"early").is_none() {
            assert_ne!(read.read_buf(&mut answer).await.unwrap(), 0, "{answer:?}");
        }
        answer
    };
    let answer = within(async {
        tokio::select! {
            answer = reading => answer,
            () = async { writing.await; std::future::pending::<()>().await } => unreachable!(),
        }
    })
    .await;
    assert_eq!(status(&String::from_utf8_lossy(&answer)), 413);
}

/// An upstream that has begun an answer, with these bytes, and says when its client leaves.
async fn forsaken(begun: &'static str) -> (Recorder, tokio::sync::mpsc::Receiver<bool>) {
    let (told, hears) = tokio::sync::mpsc::channel(1);
    let upstream = Recorder::scripted(move |_, mut stream, seen| {
        let told = told.clone();
        async move {
            let request = read_request(&mut stream).await.expect("a request");
            stream.write_all(begun.as_bytes()).await.expect("a write");
            seen.lock().expect("no panic").push(request);
            let end = stream.read(&mut [0]).await;
            told.send(matches!(end, Ok(0) | Err(_))).await.expect("a listener");
        }
    })
    .await;
    (upstream, hears)
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_exchange_before_and_within_the_answer() {
    for begun in ["", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"] {
        for request in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody",
        ] {
            let (upstream, mut hears) = forsaken(begun).await;
            let gate = Setup::new(upstream.address).start();
            let mut client = gate.connect().await;
            client.write_all(request.as_bytes()).await.unwrap();
            eventually(|| upstream.seen().len() == 1).await;
            drop(client);
            assert_eq!(within(hears.recv()).await, Some(true), "{begun} {request}");
        }
    }
}

#[tokio::test]
async fn a_client_that_closes_its_side_has_left_and_one_that_asks_on_has_not() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let (upstream, mut hears) = forsaken("").await;
    let gate = Setup::new(upstream.address).start();
    let mut client = gate.connect().await;
    client.write_all([request, request].concat().as_bytes()).await.unwrap();
    eventually(|| upstream.seen().len() == 1).await;
    pause(Duration::from_millis(50)).await;
    assert!(hears.try_recv().is_err());
    let mut other = gate.connect().await;
    other.write_all(request.as_bytes()).await.unwrap();
    eventually(|| upstream.seen().len() == 2).await;
    other.shutdown().await.unwrap();
    assert_eq!(within(hears.recv()).await, Some(true));
}

#[tokio::test]
async fn an_answer_that_breaks_off_has_no_clean_end() {
    for (answer, version) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart", "1.1"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n", "1.1"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\nZZ\r\n", "1.1"),
    ] {
        let upstream = Recorder::scripted(move |_, mut stream, _| async move {
            read_request(&mut stream).await;
            stream.write_all(answer.as_bytes()).await.expect("a write");
        })
        .await;
        let gate = Setup::new(upstream.address).start();
        let got = gate.send(format!("GET / HTTP/{version}\r\nHost: a\r\n\r\n")).await;
        // Nothing at all, when the break was known before the head had left.
        assert!(matches!(status(&got), 200 | 0), "{got}");
        assert!(!got.ends_with("0\r\n\r\n"), "{got}");
        let length = fields(&got, "content-length");
        assert!(length.is_empty() || length == ["100"], "{got}");
    }
}

#[tokio::test]
async fn an_answer_until_close_becomes_chunks() {
    let upstream =
        Recorder::answering("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it").await;
    let gate = Setup::new(upstream.address).start();
    let answer = gate.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(answer.ends_with("9\r\nall of it\r\n0\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn trailers_pass_where_the_route_allows_them_and_nowhere_else() {
    for allowed in [true, false] {
        let upstream = Recorder::answering(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Host\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 2\r\nHost: evil\r\n\r\n",
        )
        .await;
        let mut setup = Setup::new(upstream.address);
        setup.forward.trailers = allowed;
        let gate = setup.start();
        let answer = gate
            .send("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTE: trailers\r\nTrailer: X-Up, Authorization\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nup\r\n0\r\nX-Up: 1\r\nAuthorization: evil\r\n\r\n")
            .await;
        let request = upstream.only();
        for (message, name) in [(&request, "x-up: 1"), (&answer, "x-sum: 2")] {
            let message = message.to_lowercase();
            assert_eq!(message.contains(name), allowed, "{message}");
            assert!(!message.contains("evil"), "{message}");
            assert!(message.ends_with("\r\n\r\n"), "{message}");
        }
    }
}

#[tokio::test]
async fn a_small_body_reaches_the_upstream_together_with_its_head() {
    let upstream = Recorder::of_readings().await;
    let gate = Setup::new(upstream.address).start();
    let mut client = gate.connect().await;
    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    for connection in ["a new one", "a kept one"] {
        assert_eq!(status(&exchange(&mut client, request).await), 200);
        let first = upstream.seen().pop().unwrap();
        assert!(first.ends_with("hello"), "{connection}: {first}");
    }
}

#[tokio::test]
async fn an_expectation_is_met_when_the_body_is_wanted() {
    let upstream = Recorder::answering(HELLO).await;
    let gate = Setup::new(upstream.address).start();
    let mut client = gate.connect().await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    within(client.read_exact(&mut go_on)).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    let answer = exchange(&mut client, "hello").await;
    assert_eq!(status(&answer), 200);
    let request = upstream.only();
    assert!(fields(&request, "expect").is_empty());
    assert!(request.ends_with("hello"));
    let odd = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: cake\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(status(&gate.send(odd).await), 417);
}

#[tokio::test]
async fn an_upload_is_held_back_by_an_upstream_that_does_not_read() {
    let upstream = Recorder::scripted(|_, stream, _| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let mut setup = Setup::new(upstream.address);
    setup.listener.limits.body_bytes = 1_000_000_000;
    let gate = setup.start();
    let mut client = gate.connect().await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let chunk = vec![b'x'; 64 * 1024];
    let mut written = 0;
    let stop = Duration::from_millis(500);
    while tokio::time::timeout(stop, client.write_all(&chunk)).await.is_ok() {
        written += chunk.len();
        assert!(written < 64 * 1024 * 1024, "{written}");
    }
}

#[tokio::test]
async fn a_slow_client_is_not_the_upstream_s_fault() {
    let upstream = Recorder::answering(HELLO).await;
    let mut setup = Setup::new(upstream.address);
    setup.upstream.response_timeout = Duration::from_millis(200);
    let gate = setup.start();
    let mut client = gate.connect().await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..9 {
        client.write_all(b"x").await.unwrap();
        pause(Duration::from_millis(60)).await;
    }
    pause(Duration::from_millis(400)).await;
    assert_eq!(status(&exchange(&mut client, "x").await), 200);
}

#[tokio::test]
async fn a_post_without_a_body_says_so() {
    let upstream = Recorder::answering(HELLO).await;
    let gate = Setup::new(upstream.address).start();
    gate.send("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert_eq!(fields(&upstream.only(), "content-length"), ["0"]);
}
