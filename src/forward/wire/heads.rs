//! What of a head passes, both ways.

use http::header::HeaderName;

use super::*;

const GET: &str = "GET /a?b=%2F HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\n";

#[tokio::test]
async fn hop_by_hop_fields_end_here_in_both_directions() {
    let upstream = Recorder::answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\nProxy-Authenticate: x\r\nUpgrade: h2c\r\nX-End: 1\r\n\r\n",
    )
    .await;
    let gate = Setup::new(upstream.address).start();
    let answer = gate
        .send(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Mine, Upgrade\r\nX-Mine: 1\r\nKeep-Alive: 1\r\nTE: trailers\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nProxy-Authorization: Basic x\r\nProxy-Connection: keep-alive\r\nX-End: 2\r\n\r\n",
        )
        .await;
    let request = upstream.only();
    for name in [
        "x-mine",
        "keep-alive",
        "te",
        "upgrade",
        "http2-settings",
        "proxy-authorization",
        "proxy-connection",
        "connection",
    ] {
        assert!(fields(&request, name).is_empty(), "{name} in {request}");
    }
    assert_eq!(fields(&request, "x-end"), ["2"]);
    for name in ["x-hop", "keep-alive", "proxy-authenticate", "upgrade"] {
        assert!(fields(&answer, name).is_empty(), "{name} in {answer}");
    }
    assert_eq!(fields(&answer, "connection"), ["close"]);
    assert_eq!(fields(&answer, "x-end"), ["1"]);
}

#[tokio::test]
async fn the_upstream_gets_one_host_one_target_and_what_we_say_about_the_client() {
    let upstream = Recorder::answering(HELLO).await;
    let gate = Setup::new(upstream.address).start();
    let answer = gate.send(format!("{GET}X-Forwarded-For: 6.6.6.6\r\nForwarded: for=x\r\nX-Request-Id: mine\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n")).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
    let request = upstream.only();
    assert!(request.starts_with("GET /a?b=%2F HTTP/1.1\r\n"), "{request}");
    assert_eq!(fields(&request, "host"), ["api.example"]);
    assert_eq!(fields(&request, "x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(fields(&request, "x-forwarded-proto"), ["http"]);
    assert_eq!(fields(&request, "x-forwarded-host"), ["api.example"]);
    assert!(fields(&request, "forwarded").is_empty());
    assert_ne!(fields(&request, "x-request-id"), ["mine"]);
    assert_eq!(fields(&request, "traceparent").len(), 1);
}

#[tokio::test]
async fn a_trusted_proxy_is_believed() {
    let upstream = Recorder::answering(HELLO).await;
    let mut setup = Setup::new(upstream.address);
    setup.listener.trusted_proxies = TrustedProxies::new(vec!["127.0.0.0/8".parse().unwrap()]);
    let gate = setup.start();
    gate.send(format!(
        "{GET}X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Request-Id: mine\r\n\r\n"
    ))
    .await;
    let request = upstream.only();
    assert_eq!(fields(&request, "x-forwarded-for"), ["6.6.6.6, 127.0.0.1"]);
    assert_eq!(fields(&request, "x-forwarded-proto"), ["https"]);
    assert_eq!(fields(&request, "x-request-id"), ["mine"]);
}

#[tokio::test]
async fn the_client_s_identity_fields_are_removed_or_refused_in_every_spelling() {
    let upstream = Recorder::answering(HELLO).await;
    let subject = HeaderName::from_static("x-auth-subject");
    let mut setup = Setup::new(upstream.address);
    setup.identity = Arc::new(IdentityNames::new([&subject]));
    let gate = setup.start();
    for (field, want) in [
        ("X-Auth-Subject: evil\r\nX-AUTH-SUBJECT: evil", 200),
        ("X_Auth_Subject: evil", 400),
        ("X-Auth.Subject: evil", 400),
        ("My_Field: evil", 200),
    ] {
        let answer = gate.send(format!("{GET}{field}\r\n\r\n")).await;
        assert_eq!(status(&answer), want, "{field}: {answer}");
    }
    let seen = upstream.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|request| !request.contains("evil")), "{seen:?}");
}

#[tokio::test]
async fn an_upgrade_nobody_asked_for_is_a_broken_upstream() {
    let upstream = Recorder::answering(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    )
    .await;
    let gate = Setup::new(upstream.address).start();
    let answer = gate.send(format!("{GET}Upgrade: websocket\r\n\r\n")).await;
    assert_eq!(status(&answer), 502, "{answer}");
}

#[tokio::test]
async fn an_answer_to_head_keeps_its_length_and_has_no_body() {
    let upstream = Recorder::answering("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n").await;
    let gate = Setup::new(upstream.address).start();
    let mut client = gate.connect().await;
    client.write_all(b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    within(client.read_to_string(&mut answer)).await.unwrap();
    assert_eq!(fields(&answer, "content-length"), ["1234"]);
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn answers_without_a_body_stay_without_one() {
    for code in ["204 No Content", "304 Not Modified"] {
        let text: &'static str = format!("HTTP/1.1 {code}\r\nETag: \"x\"\r\n\r\n").leak();
        let upstream = Recorder::answering(text).await;
        let gate = Setup::new(upstream.address).start();
        let answer = gate.send(format!("{GET}\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {code}\r\n")), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        assert!(fields(&answer, "transfer-encoding").is_empty(), "{answer}");
    }
}

#[tokio::test]
async fn interim_answers_are_not_the_answer() {
    let upstream = Recorder::answering(
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    )
    .await;
    let gate = Setup::new(upstream.address).start();
    let answer = gate.send(format!("{GET}\r\n")).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(answer.ends_with("ok"));
}
