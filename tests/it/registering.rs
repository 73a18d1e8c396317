//! Registering by watching the answers of a service that issues tokens: an allow-list that fills itself.

use serde_json::json;

use crate::support::client::get;
use crate::support::gateway::{ORDERS, Running, configuration};
use crate::support::issuer::{TestIssuer, now};
use crate::support::login::{ALLOW_LIST, LOGIN, STORE, Service};
#[cfg(feature = "redis")]
use crate::support::servers::redis::{Keeps, RedisServer};

#[test]
fn a_token_that_was_handed_out_passes_at_once_and_one_that_was_not_never() {
    let service = Service::start(ALLOW_LIST);
    let (access, refresh) = (service.issuer().good(), service.issuer().refresh());
    let stranger = service.issuer().good();
    service.is_refused(&access);
    service.log_in_json(&json!({ "access_token": access, "data": { "refresh_token": refresh } }));
    service.passes(&access);
    service.gateway.get("/renew").bearer(&refresh).send().expect_forwarded();
    service.is_refused(&stranger);
    assert!((service.count("registered") - 2.0).abs() < f64::EPSILON);
    let head = service.heads.lock().expect("not poisoned")[0].to_ascii_lowercase();
    assert!(!head.contains("accept-encoding"), "{head}");
}

#[test]
fn a_cookie_that_is_set_is_registered() {
    let service = Service::start(ALLOW_LIST);
    let access = service.issuer().good();
    let fields = format!("Set-Cookie: a=b\r\nSet-Cookie: session={access}; HttpOnly; Path=/\r\n");
    assert_eq!(service.log_in("204 No Content", &fields, "").status, 204);
    service.passes(&access);
}

#[test]
fn what_was_registered_is_still_so_after_a_restart() {
    let service = Service::start(ALLOW_LIST);
    let access = service.issuer().good();
    service.log_in_json(&json!({ "access_token": access }));
    let routes = ORDERS.to_owned() + LOGIN;
    let (folder, upstream) = service.gateway.stop();
    let text = configuration(&upstream, &routes);
    let text = text.replace(STORE, ALLOW_LIST);
    let again = Running::start(folder.path(), &text);
    let ask = |token: &str| get(again.data, "/orders/1").bearer(token).send();
    ask(&access).expect_forwarded();
    ask(&TestIssuer::new().good()).expect_rejected(401, "token-revoked");
}

#[test]
fn what_can_t_be_looked_into_passes_unchanged_and_is_counted() {
    let service = Service::start(ALLOW_LIST);
    let access = service.issuer().good();
    let body = json!({ "access_token": access }).to_string();
    let long = json!({ "filler": "x".repeat(70_000), "access_token": access }).to_string();
    let sized = |fields: &str, body: &str| format!("{fields}Content-Length: {}\r\n", body.len());
    let coded = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n".to_owned();
    let chunked = |body: &str| format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    const JSON: &str = "Content-Type: application/json\r\n";
    let expired = json!({ "access_token": service.issuer().expired() }).to_string();
    let nameless = service.issuer().token(json!({ "jti": "x".repeat(5000) }));
    let nameless = json!({ "access_token": nameless }).to_string();
    let cases = [
        ("not_json", sized("Content-Type: text/html\r\n", &body), body.clone(), body.clone()),
        ("not_json", sized(JSON, "access_token"), "access_token".into(), "access_token".into()),
        (
            "compressed",
            sized(&format!("{JSON}Content-Encoding: br\r\n"), &body),
            body.clone(),
            body.clone(),
        ),
        ("too_large", sized(JSON, &long), long.clone(), long.clone()),
        ("too_large", coded.clone(), chunked(&long), long.clone()),
        ("no_token", sized(JSON, "{}"), "{}".into(), "{}".into()),
        ("no_token", coded, chunked("[]"), "[]".into()),
        ("unverifiable", sized(JSON, &expired), expired.clone(), expired),
        ("no_token_id", sized(JSON, &nameless), nameless.clone(), nameless),
    ];
    for (outcome, fields, sent, wanted) in cases {
        let before = service.count(outcome);
        let answer = service.log_in("201 Created", &fields, &sent);
        assert_eq!(answer.status, 201, "{outcome}");
        assert_eq!(answer.text(), wanted, "{outcome}");
        assert!((service.count(outcome) - before - 1.0).abs() < f64::EPSILON, "{outcome}");
    }
    // A log-in that failed hands nothing out.
    service.log_in("401 Unauthorized", &sized(JSON, &body), &body);
    service.is_refused(&access);
    assert!(service.count("registered").abs() < f64::EPSILON);
}

#[test]
fn a_body_that_breaks_off_is_passed_on_broken() {
    let service = Service::start(ALLOW_LIST);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n";
    service.will_answer(head.to_owned() + "{\"access_token\":");
    // Whatever came of it, it is no whole answer.
    if let Ok(answer) = service.gateway.ask("POST", "/login").try_send() {
        assert_eq!(answer.field("content-length"), Some("100"));
        assert!("{\"access_token\":".starts_with(&answer.text()), "{}", answer.text());
    }
}

#[test]
fn a_registered_token_that_is_revoked_stays_so_when_it_is_handed_out_again() {
    let service = Service::start(ALLOW_LIST);
    let access = service.issuer().token(json!({ "iat": now() }));
    service.log_in_json(&json!({ "access_token": access }));
    service.gateway.revoke(&json!({ "token": access }));
    service.is_refused(&access);
    service.log_in_json(&json!({ "access_token": access }));
    service.is_refused(&access);
}

#[cfg(feature = "redis")]
#[test]
fn a_token_that_could_not_be_registered_is_not_handed_out_where_it_would_be_refused() {
    for (mode, status) in [("mode = \"allow-list\"", 503), ("register = { enabled = true }", 200)] {
        let mut redis = RedisServer::start(Keeps::All);
        let url = redis.url();
        let feed = format!(
            "[revocation]\n{mode}\nfeed = \"redis\"\nmax_staleness = \"1h\"\nredis = {{ url = \"{url}\" }}"
        );
        let service = Service::start(&feed);
        redis.kill();
        let body = json!({ "access_token": service.issuer().good() }).to_string();
        let fields =
            format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        let answer = service.log_in("200 OK", &fields, &body);
        assert_eq!(answer.status, status, "{mode}");
        if status == 503 {
            answer.expect_rejected(503, "not-recorded");
        } else {
            assert_eq!(answer.text(), body);
        }
        assert!((service.count("not_recorded") - 1.0).abs() < f64::EPSILON, "{mode}");
    }
}
