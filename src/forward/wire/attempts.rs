//! Kept connections, connections that died, endpoints that are down.

use super::*;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";

/// The first connection answers once, then dies at the next request; later ones answer for ever.
async fn dies_when_used_again() -> Recorder {
    Recorder::scripted(|number, mut stream, seen| async move {
        while let Some(request) = read_request(&mut stream).await {
            seen.lock().expect("no panic").push(request);
            let count = seen.lock().expect("no panic").len();
            if number == 0 && count > 1 {
                return;
            }
            stream.write_all(HELLO.as_bytes()).await.expect("a write");
        }
    })
    .await
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    for answer in [
        HELLO,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
    ] {
        let upstream = Recorder::answering(answer).await;
        let gate = Setup::new(upstream.address).start();
        for _ in 0..3 {
            let mut client = gate.connect().await;
            for request in [GET, POST] {
                let got = exchange(&mut client, request).await;
                assert!(matches!(status(&got), 200 | 204), "{got}");
            }
        }
        assert_eq!(upstream.seen().len(), 6);
        assert_eq!(upstream.connections(), 1, "{answer}");
    }
}

#[tokio::test]
async fn a_get_is_sent_again_when_a_kept_connection_died_under_it() {
    let upstream = dies_when_used_again().await;
    let gate = Setup::new(upstream.address).start();
    let mut client = gate.connect().await;
    for _ in 0..2 {
        assert_eq!(status(&exchange(&mut client, GET).await), 200);
    }
    assert_eq!(upstream.seen().len(), 3);
    assert_eq!(upstream.connections(), 2);
}

#[tokio::test]
async fn a_post_is_not_sent_again() {
    let upstream = dies_when_used_again().await;
    let gate = Setup::new(upstream.address).start();
    let mut client = gate.connect().await;
    assert_eq!(status(&exchange(&mut client, POST).await), 200);
    let mut client = gate.connect().await;
    client.write_all(POST.as_bytes()).await.unwrap();
    let got = within(read_request(&mut client)).await.unwrap();
    assert_eq!(status(&got), 502, "{got}");
    assert_eq!(upstream.seen().len(), 2);
}

#[tokio::test]
async fn a_connection_that_the_upstream_closed_is_not_used() {
    let upstream = Recorder::scripted(|_, mut stream, seen| async move {
        if let Some(request) = read_request(&mut stream).await {
            stream.write_all(HELLO.as_bytes()).await.expect("a write");
            drop(stream);
            seen.lock().expect("no panic").push(request);
        }
    })
    .await;
    let gate = Setup::new(upstream.address).start();
    let mut client = gate.connect().await;
    for count in 1..6 {
        assert_eq!(status(&exchange(&mut client, POST).await), 200);
        eventually(|| upstream.seen().len() == count).await;
    }
}

#[tokio::test]
async fn another_endpoint_is_tried_when_one_cannot_be_reached() {
    let upstream = Recorder::answering(HELLO).await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut setup = Setup::new(gone);
    setup.upstream.endpoints.push(format!("http://{}", upstream.address).parse().unwrap());
    setup.upstream.balance = Balance::RoundRobin;
    let gate = setup.start();
    let mut client = gate.connect().await;
    for _ in 0..4 {
        assert_eq!(status(&exchange(&mut client, POST).await), 200);
    }
}

#[tokio::test]
async fn an_upstream_that_is_gone_or_silent_or_odd_is_told_apart() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let gate = Setup::new(gone).start();
    assert_eq!(status(&exchange(&mut gate.connect().await, GET).await), 502);

    let silent = Recorder::scripted(|_, mut stream, _| async move {
        while read_request(&mut stream).await.is_some() {}
    })
    .await;
    let mut setup = Setup::new(silent.address);
    setup.upstream.response_timeout = Duration::from_millis(200);
    let gate = setup.start();
    assert_eq!(status(&exchange(&mut gate.connect().await, GET).await), 504);

    for odd in [
        "SSH-2.0-OpenSSH\r\n\r\nclose",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxclose",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nclose",
    ] {
        let upstream = Recorder::answering(odd).await;
        let gate = Setup::new(upstream.address).start();
        let got = exchange(&mut gate.connect().await, GET).await;
        assert_eq!(status(&got), 502, "{odd}: {got}");
    }
}

#[tokio::test]
async fn what_an_upstream_sends_unasked_is_nobody_s_answer() {
    for poison in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    ] {
        let upstream = Recorder::answering(poison).await;
        let gate = Setup::new(upstream.address).start();
        for _ in 0..4 {
            let got = exchange(&mut gate.connect().await, GET).await;
            assert!(matches!(status(&got), 200 | 204 | 502), "{got}");
            assert!(!got.contains("evil"), "{got}");
            let framings =
                fields(&got, "content-length").len() + fields(&got, "transfer-encoding").len();
            assert!(framings <= 1, "{got}");
        }
    }
}

#[tokio::test]
async fn checks_take_an_endpoint_out_and_back_in() {
    let well = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let state = Arc::clone(&well);
    let upstream = Recorder::scripted(move |_, mut stream, _| {
        let state = Arc::clone(&state);
        async move {
            while let Some(request) = read_request(&mut stream).await {
                let well = state.load(Ordering::SeqCst) || !request.starts_with("GET /healthz ");
                let answer =
                    if well { HELLO } else { "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n" };
                stream.write_all(answer.as_bytes()).await.expect("a write");
            }
        }
    })
    .await;
    let mut setup = Setup::new(upstream.address);
    setup.upstream.health = Some(crate::config::HealthConfig {
        path: "/healthz".parse().unwrap(),
        interval: Duration::from_millis(20),
        unhealthy_after: 2,
        healthy_after: 2,
    });
    let gate = setup.start();
    let checker = crate::forward::HealthChecker::new(vec![Arc::clone(&gate.upstream)]);
    tokio::spawn(checker.run(gate.drain.clone()));
    let endpoint = Arc::clone(&gate.upstream.endpoints()[0]);
    eventually(|| !endpoint.is_healthy()).await;
    assert_eq!(status(&exchange(&mut gate.connect().await, GET).await), 503);
    well.store(true, Ordering::SeqCst);
    eventually(|| endpoint.is_healthy()).await;
    assert_eq!(status(&exchange(&mut gate.connect().await, GET).await), 200);
}

#[tokio::test]
async fn answers_are_never_mixed_up_while_clients_come_and_go() {
    let upstream = Recorder::scripted(|_, mut stream, _| async move {
        let mut count = 0;
        while let Some(request) = read_request(&mut stream).await {
            count += 1;
            let target = request.split(' ').nth(1).unwrap_or_default();
            let answer = if count % 2 == 0 {
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{target}", target.len())
            } else {
                let size = target.len();
                format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{size:x}\r\n{target}\r\n0\r\n\r\n")
            };
            if stream.write_all(answer.as_bytes()).await.is_err() || count == 20 {
                return;
            }
        }
    })
    .await;
    let mut setup = Setup::new(upstream.address);
    setup.listener.workers = 2;
    let gate = setup.start();
    let clients = (0..24).map(|client| {
        let gate = &gate;
        async move {
            let mut stream = gate.connect().await;
            for number in 0..60 {
                let target = format!("/{client}/{number}");
                let get = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
                if (client + number) % 7 == 0 {
                    // Leaves in the middle and comes back.
                    stream.write_all(get.as_bytes()).await.expect("a write");
                    stream = gate.connect().await;
                    continue;
                }
                let got = exchange(&mut stream, &get).await;
                assert_eq!(status(&got), 200, "{got}");
                assert!(
                    got.trim_end_matches("\r\n0\r\n\r\n").ends_with(&target),
                    "{target}: {got}"
                );
            }
        }
    });
    within(futures_util::future::join_all(clients)).await;
}
