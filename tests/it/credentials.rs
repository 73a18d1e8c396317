//! Where a credential may be and in what form (security.md A38–A40): one, in the one place the route names.

use serde_json::json;

use crate::support::client::Answer;
use crate::support::gateway::{ORDERS, TestGateway};
use crate::support::raw::Raw;

/// Sends a request with these lines besides `Host`, and this body.
fn with_lines(gateway: &TestGateway, lines: &str, body: &str) -> Option<Answer> {
    let head = format!("POST /orders/1 HTTP/1.1\r\nHost: a\r\n{lines}Connection: close\r\n\r\n");
    Raw::connect(gateway.data).send(head + body).answer()
}

#[test]
fn the_scheme_is_bearer_in_any_case_and_nothing_like_it() {
    let gateway = TestGateway::start(ORDERS);
    let token = gateway.issuer.good();
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        let ask = gateway.get("/orders/1").field("Authorization", &format!("{scheme} {token}"));
        ask.send().expect_forwarded();
    }
    let passed = gateway.upstream.count();
    for value in [
        format!("BearerX {token}"),
        format!("Bearer: {token}"),
        format!("Bearer:{token}"),
        format!("Token {token}"),
        format!("JWT {token}"),
        format!("DPoP {token}"),
        format!("Basic {token}"),
        format!("Negotiate {token}"),
        format!("x Bearer {token}"),
        token.clone(),
        String::new(),
        "Basic dXNlcjpwYXNz".to_owned(),
    ] {
        let answer = gateway.get("/orders/1").field("Authorization", &value).send();
        answer.expect_rejected(401, "token-missing");
    }
    for value in [
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("Bearer  {token}"),
        format!("Bearer\t{token}"),
        format!("Bearer \"{token}\""),
        format!("Bearer {token} x"),
        format!("Bearer {token};q=1"),
        format!("Bearer token={token}&x"),
        format!("Bearer <{token}>"),
        "Bearer =".to_owned(),
        "Bearer \u{e9}".to_owned(),
    ] {
        let answer = gateway.get("/orders/1").field("Authorization", &value).send();
        answer.expect_rejected(400, "bad-credentials");
    }
    assert_eq!(gateway.upstream.count(), passed);
}

#[test]
fn two_credentials_are_none() {
    let gateway = TestGateway::start(ORDERS);
    let (good, bad) = (gateway.issuer.good(), gateway.issuer.expired());
    let line = |value: String| format!("Authorization: {value}\r\n");
    let bearer = |token: &str| line(format!("Bearer {token}"));
    for lines in [
        bearer(&good) + &bearer(&bad),
        bearer(&bad) + &bearer(&good),
        bearer(&good) + &bearer(&good),
        bearer(&good) + &line("Basic dTpw".into()),
        line("Basic dTpw".into()) + &bearer(&good),
        bearer(&good) + &line(String::new()),
        line(String::new()) + &bearer(&good),
        bearer(&good) + &format!("AUTHORIZATION: Bearer {good}\r\n"),
        line(format!("Bearer {good}, Bearer {bad}")),
        line(format!("Bearer {good},Bearer {good}")),
        line(format!("Bearer {bad}, Bearer {good}")),
        line(format!("Basic dTpw, Bearer {good}")),
        line(format!("Bearer {good},")),
        line(format!("Bearer ,{good}")),
    ] {
        let answer = with_lines(&gateway, &lines, "").expect("an answer");
        answer.expect_rejected(400, "bad-credentials");
    }
    assert_eq!(gateway.upstream.count(), 0);
}

#[test]
fn a_token_elsewhere_is_no_token() {
    let gateway = TestGateway::start(ORDERS);
    let token = gateway.issuer.good();
    let targets = [
        format!("/orders/1?access_token={token}"),
        format!("/orders/1?jwt={token}"),
        format!("/orders/1?token={token}&bearer={token}"),
        format!("/orders/1?Authorization=Bearer%20{token}"),
        format!("/orders/{token}"),
    ];
    for target in &targets {
        gateway.get(target).send().expect_rejected(401, "token-missing");
    }
    for (name, value) in [
        ("Cookie", format!("access_token={token}; access_token_cookie={token}")),
        ("Proxy-Authorization", format!("Bearer {token}")),
        ("X-Forwarded-Authorization", format!("Bearer {token}")),
        ("X-Authorization", format!("Bearer {token}")),
        ("X-Original-Authorization", format!("Bearer {token}")),
        ("X-Access-Token", token.clone()),
        ("X-Auth-Token", token.clone()),
        ("Authentication", format!("Bearer {token}")),
        ("Sec-WebSocket-Protocol", format!("bearer, {token}")),
        ("Referer", format!("http://a/?access_token={token}")),
    ] {
        let answer = gateway.get("/orders/1").field(name, &value).send();
        answer.expect_rejected(401, "token-missing");
    }
    let form = format!("access_token={token}");
    let typed = "Content-Type: application/x-www-form-urlencoded\r\n";
    let lines = format!("{typed}Content-Length: {}\r\n", form.len());
    let answer = with_lines(&gateway, &lines, &form).expect("an answer");
    answer.expect_rejected(401, "token-missing");
    let lines = "Transfer-Encoding: chunked\r\nTrailer: Authorization\r\n";
    let body = format!("1\r\nx\r\n0\r\nAuthorization: Bearer {token}\r\n\r\n");
    let answer = with_lines(&gateway, lines, &body).expect("an answer");
    answer.expect_rejected(401, "token-missing");
    assert_eq!(gateway.upstream.count(), 0);
    let lines = gateway.log_lines(targets.len() + 12);
    let log = json!(lines).to_string();
    let query = lines.iter().filter_map(|line| line["path"].as_str()).any(|it| it.contains('?'));
    assert!(!query, "a query in the log");
    let signature = token.rsplit('.').next().expect("a signature");
    assert!(!log.contains(signature), "a token in the log");
}

#[test]
fn a_field_that_reads_like_authorization_is_refused() {
    let gateway = TestGateway::start(ORDERS);
    let token = gateway.issuer.good();
    let good = format!("Authorization: Bearer {token}\r\n");
    for twin in ["Proxy_Authorization", "proxy.authorization", "Proxy~Authorization"] {
        let twin = format!("{twin}: Bearer {token}\r\n");
        for lines in [twin.clone(), twin.clone() + &good, good.clone() + &twin] {
            let answer = with_lines(&gateway, &lines, "").expect("an answer");
            answer.expect_rejected(400, "bad-request");
        }
    }
    assert_eq!(gateway.upstream.count(), 0);
    let odd = format!("Author_ization: Bearer {token}\r\n");
    let answer = with_lines(&gateway, &odd, "").expect("an answer");
    answer.expect_rejected(401, "token-missing");
    with_lines(&gateway, &(odd + &good), "").expect("an answer").expect_forwarded();
    assert_eq!(gateway.upstream.last().field("author_ization"), None, "dropped");
    for lines in [
        format!("Authorization : Bearer {token}\r\n"),
        format!(" Authorization: Bearer {token}\r\n"),
        format!("Authorization:\r\n Bearer {token}\r\n"),
        format!("X: y\r\n Authorization: Bearer {token}\r\n"),
        format!("Authorization: Bearer\r\n\t{token}\r\n"),
        format!("Authorization\0: Bearer {token}\r\n"),
        format!("Authorization: Bearer {token}\0\r\n"),
    ] {
        let before = gateway.upstream.count();
        let answer = with_lines(&gateway, &lines, "").expect("an answer");
        assert!(matches!(answer.status, 400 | 401), "{} {lines}", answer.status);
        assert_eq!(gateway.upstream.count(), before, "{lines}");
    }
}
