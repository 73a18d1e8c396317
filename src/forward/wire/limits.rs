//! Time, size and number.

use super::*;

fn hasty(upstream: SocketAddr) -> Setup {
    let mut setup = Setup::new(upstream);
    setup.listener.limits.header_timeout = Duration::from_millis(300);
    setup.listener.limits.idle_timeout = Duration::from_millis(600);
    setup
}

/// Waits for the end of a connection; returns what came and how long it took.
async fn until_closed(client: &mut TcpStream) -> (String, Duration) {
    let start = std::time::Instant::now();
    let mut answer = Vec::new();
    let _end = within(client.read_to_end(&mut answer)).await;
    (String::from_utf8_lossy(&answer).into_owned(), start.elapsed())
}

#[tokio::test]
async fn a_slow_or_silent_head_is_cut_off() {
    let upstream = Recorder::answering(HELLO).await;
    let gate = hasty(upstream.address).start();
    for start in [
        "",
        "P",
        "PRI * HTTP/2.0\r\n\r\nSM",
        "GET / HTTP/1.1\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut client = gate.connect().await;
        client.write_all(start.as_bytes()).await.unwrap();
        let (_, took) = until_closed(&mut client).await;
        assert!(took < Duration::from_secs(4), "{start:?}: {took:?}");
    }
}

#[tokio::test]
async fn drops_of_a_head_do_not_move_its_deadline() {
    let upstream = Recorder::answering(HELLO).await;
    let gate = hasty(upstream.address).start();
    let mut client = gate.connect().await;
    let start = std::time::Instant::now();
    client.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
    while client.write_all(b"x").await.is_ok() {
        pause(Duration::from_millis(20)).await;
        assert!(start.elapsed() < PATIENCE);
    }
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn an_idle_connection_lives_longer_than_a_slow_head_and_then_ends() {
    let upstream = Recorder::answering(HELLO).await;
    let gate = hasty(upstream.address).start();
    let mut client = gate.connect().await;
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    exchange(&mut client, get).await;
    pause(Duration::from_millis(400)).await;
    assert_eq!(status(&exchange(&mut client, get).await), 200);
    let (_, took) = until_closed(&mut client).await;
    assert!((Duration::from_millis(450)..Duration::from_secs(3)).contains(&took), "{took:?}");
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up() {
    let upstream = Recorder::answering(HELLO).await;
    let gate = hasty(upstream.address).start();
    let mut client = gate.connect().await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf";
    client.write_all(head.as_bytes()).await.unwrap();
    let (answer, took) = until_closed(&mut client).await;
    assert_eq!(status(&answer), 408, "{answer}");
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn an_upstream_that_stalls_in_its_body_breaks_the_answer() {
    let upstream = Recorder::scripted(|_, mut stream, _| async move {
        read_request(&mut stream).await;
        let part = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n";
        stream.write_all(part).await.expect("a write");
        let mut byte = [0];
        drop(stream.read(&mut byte).await);
    })
    .await;
    let mut setup = Setup::new(upstream.address);
    setup.upstream.idle_timeout = Duration::from_millis(300);
    let gate = setup.start();
    let mut client = gate.connect().await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let (answer, took) = until_closed(&mut client).await;
    assert!(answer.ends_with("4\r\npart\r\n"), "{answer}");
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let (told, mut hears) = tokio::sync::mpsc::channel(1);
    let upstream = Recorder::scripted(move |_, mut stream, _| {
        let told = told.clone();
        async move {
            read_request(&mut stream).await;
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
                .await
                .expect("a write");
            let chunk = vec![b'x'; 64 * 1024];
            while stream.write_all(&chunk).await.is_ok() {}
            told.send(()).await.expect("a listener");
        }
    })
    .await;
    let gate = hasty(upstream.address).start();
    let mut client = gate.connect().await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert!(within(hears.recv()).await.is_some());
    drop(client);
}

#[tokio::test]
async fn heads_over_a_limit_are_refused() {
    let upstream = Recorder::answering(HELLO).await;
    let gate = Setup::new(upstream.address).start();
    let long = "x".repeat(40_000);
    for (head, want) in [
        (format!("GET /{} HTTP/1.1\r\n", "x".repeat(9000)), 414),
        (format!("GET / HTTP/1.1\r\nX: {long}\r\n"), 431),
        (format!("GET / HTTP/1.1\r\n{}", "X: y\r\n".repeat(150)), 431),
        ("ABCDEFGHIJKLMNOPQ / HTTP/1.1\r\n".to_owned(), 405),
    ] {
        let answer = gate.send(format!("{head}Host: a\r\nConnection: close\r\n\r\n")).await;
        assert_eq!(status(&answer), want, "{:.40}: {answer}", head);
    }
    let endless = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(4_000_000));
    assert!(matches!(status(&gate.send(endless).await), 431 | 0));
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn connections_over_the_limit_are_closed() {
    let upstream = Recorder::answering(HELLO).await;
    let mut setup = Setup::new(upstream.address);
    setup.listener.limits.connections = 2;
    let gate = setup.start();
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let (mut first, mut second) = (gate.connect().await, gate.connect().await);
    exchange(&mut first, get).await;
    exchange(&mut second, get).await;
    let mut third = gate.connect().await;
    assert_eq!(until_closed(&mut third).await.0, "");
    drop(first);
    eventually(|| gate.metrics.connections.get() < 2).await;
    assert_eq!(status(&exchange(&mut gate.connect().await, get).await), 200);
}

#[tokio::test]
async fn a_drain_finishes_what_is_in_flight_closes_what_is_idle_and_takes_nothing_new() {
    let go = Arc::new(tokio::sync::Notify::new());
    let wait = Arc::clone(&go);
    let upstream = Recorder::scripted(move |_, mut stream, seen| {
        let wait = Arc::clone(&wait);
        async move {
            while let Some(request) = read_request(&mut stream).await {
                let slow = request.starts_with("GET /slow");
                seen.lock().expect("no panic").push(request);
                if slow {
                    wait.notified().await;
                }
                stream.write_all(HELLO.as_bytes()).await.expect("a write");
            }
        }
    })
    .await;
    let mut setup = Setup::new(upstream.address);
    setup.listener.workers = 2;
    let mut gate = setup.start();
    let mut idle = gate.connect().await;
    exchange(&mut idle, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut silent = gate.connect().await;
    let mut busy = gate.connect().await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    eventually(|| upstream.seen().len() == 2).await;
    gate.shutdown.begin();
    assert_eq!(until_closed(&mut idle).await.0, "");
    assert_eq!(until_closed(&mut silent).await.0, "");
    eventually(|| std::net::TcpStream::connect(gate.address).is_err()).await;
    go.notify_one();
    let (answer, _) = until_closed(&mut busy).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(answer.ends_with("hello"));
    within(gate.serving.take().unwrap().finished()).await;
}

#[tokio::test]
async fn a_drain_does_not_wait_for_ever() {
    let upstream = Recorder::scripted(|_, mut stream, seen| async move {
        let request = read_request(&mut stream).await.expect("a request");
        seen.lock().expect("no panic").push(request);
        let mut byte = [0];
        drop(stream.read(&mut byte).await);
    })
    .await;
    let mut setup = Setup::new(upstream.address);
    setup.listener.drain_timeout = Duration::from_millis(200);
    let mut gate = setup.start();
    let mut busy = gate.connect().await;
    busy.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    eventually(|| upstream.seen().len() == 1).await;
    gate.shutdown.begin();
    within(gate.serving.take().unwrap().finished()).await;
    assert_eq!(until_closed(&mut busy).await.0, "");
}

#[tokio::test]
async fn a_port_that_is_taken_is_refused_although_workers_share_theirs() {
    let upstream = Recorder::answering(HELLO).await;
    let gate = Setup::new(upstream.address).start();
    let mut second = Setup::new(upstream.address);
    second.listener.address = gate.address;
    assert!(Listener::bind(&second.listener).is_err());
}
