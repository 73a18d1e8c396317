//! The examples of callbacks behind the gateway with the configuration beside them.

use std::path::Path;
use std::sync::Arc;

use portcullis::config::Config;
use serde_json::json;
use tempfile::TempDir;

use crate::support::client::{ask, get};
use crate::support::documents::code_blocks;
use crate::support::gateway::{Running, TestGateway, folder};
use crate::support::issuer::{SECRET, TestIssuer};
use crate::support::provider::TestProvider;
use crate::support::python::PythonApp;
use crate::support::upstream::TestUpstream;

#[path = "../../examples/closure.rs"]
#[expect(dead_code, reason = "its main is for a hand at the keyboard")]
mod closure;

fn secrets() -> TempDir {
    let secret = format!("{SECRET}\n");
    folder(&[("jwt.secret", &secret), ("client.secret", &secret)])
}

/// An example's configuration with its ports replaced.
fn configuration(file: &str, ports: &[(&str, String)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(file);
    let mut text = std::fs::read_to_string(path).expect("its configuration");
    for (from, to) in ports {
        assert!(text.contains(from), "{file} has no {from}");
        text = text.replace(from, to);
    }
    text.replace("127.0.0.1:8080", "127.0.0.1:0").replace("127.0.0.1:9901", "127.0.0.1:0")
        + "\n[log]\naccess = \"off\"\n"
}

fn start_python(file: &str, folder: &Path) -> PythonApp {
    let path = |file: &str| folder.join(file).to_str().expect("UTF-8").to_owned();
    PythonApp::start(
        &format!("examples/callbacks/{file}"),
        &[
            ("PORT", "0"),
            ("JWT_SECRET_FILE", &path("jwt.secret")),
            ("CLIENT_SECRET_FILE", &path("client.secret")),
        ],
    )
}

#[test]
fn the_introspection_and_http_examples_let_in_whom_they_say() {
    let folder = secrets();
    let upstream = TestUpstream::start();
    let issuer = start_python("introspection.py", folder.path());
    let verdicts = start_python("verdicts.py", folder.path());
    let ports = [
        ("127.0.0.1:9000", upstream.address.to_string()),
        ("127.0.0.1:9100", issuer.address.to_string()),
        ("127.0.0.1:9200", verdicts.address.to_string()),
        // The test does not wait for a verdict to end.
        ("cache = { ttl = \"5s\", refused_ttl = \"5s\" }", "cache = { ttl = \"0s\" }".to_owned()),
        ("cache = { ttl = \"1s\" }", "cache = { ttl = \"0s\" }".to_owned()),
    ];
    let gateway = Running::start(folder.path(), &configuration("callbacks/gateway.toml", &ports));
    let log_in = |user: &str| {
        let form = format!("username={user}");
        let call = ask(issuer.address, "POST", "/token").body(form.as_bytes()).send();
        call.json()["access_token"].as_str().expect("a token").to_owned()
    };
    let (alice, bob) = (log_in("alice"), log_in("bob"));
    let to = |path: &str, token: &str| get(gateway.data, path).bearer(token).send();
    to("/payments/1", &alice).expect_forwarded();
    to("/payments/1", &bob).expect_forwarded();
    to("/orders/1", &alice).expect_forwarded();
    to("/orders/1", &bob).expect_rejected(403, "callback-denied");

    let basic = "Basic Z2F0ZXdheTphLXNoYXJlZC1zZWNyZXQtb2YtYXQtbGVhc3QtdGhpcnR5LXR3by1ieXRlcw==";
    let form = format!("token={alice}");
    let call = ask(issuer.address, "POST", "/revoke").field("Authorization", basic);
    assert_eq!(call.body(form.as_bytes()).send().status, 200);
    to("/payments/1", &alice).expect_rejected(401, "token-inactive");
    to("/payments/1", &bob).expect_forwarded();

    // One lets nobody in without an answer, the other everybody who is verified.
    drop((issuer, verdicts));
    to("/payments/1", &bob).expect_rejected(503, "callback-unavailable");
    to("/orders/1", &bob).expect_forwarded();
    to("/orders/1", "no.good.token").expect_rejected(401, "token-invalid");
}

#[test]
fn the_closure_example_denies_who_has_no_plan_and_puts_out_who_is_blocked() {
    let folder = secrets();
    let upstream = TestUpstream::start();
    let text = configuration(
        "closure.toml",
        &[
            ("127.0.0.1:9000", upstream.address.to_string()),
            (
                "cache = { ttl = \"30s\", refused_ttl = \"1s\" }",
                "cache = { ttl = \"0s\" }".to_owned(),
            ),
        ],
    );
    let config = Config::parse(&text, &folder.path().join("gateway.toml"));
    let config = config.unwrap_or_else(|errors| panic!("{errors}"));
    let blocked = Arc::new(closure::Blocked::default());
    let app = closure::gateway(config, &blocked).unwrap_or_else(|error| panic!("{error}"));
    let gateway = Running::run(app).ready();
    let issuer = TestIssuer::hmac();
    let orders = |token: &str| get(gateway.data, "/orders/1").bearer(token).send();
    let paying = issuer.token(json!({ "plan": "large" }));
    orders(&paying).expect_forwarded();
    orders(&issuer.good()).expect_rejected(403, "callback-denied");
    orders(&issuer.token(json!({ "plan": 5 }))).expect_rejected(403, "callback-denied");
    orders(&issuer.expired()).expect_rejected(401, "token-expired");
    blocked.block("alice");
    orders(&paying).expect_rejected(401, "token-inactive");
}

#[test]
fn the_configurations_of_the_page_on_callbacks_are_taken() {
    let folder = secrets();
    let blocks = code_blocks("docs/callbacks.md", "toml");
    let mut taken = 0;
    for block in blocks {
        let text = configuration("callbacks/gateway.toml", &[]) + &block;
        let config = Config::parse(&text, &folder.path().join("gateway.toml"));
        let config = config.unwrap_or_else(|errors| panic!("{block}\n{errors}"));
        assert!(config.callbacks.len() > 2, "{block}");
        taken += 1;
    }
    assert!(taken >= 3, "{taken}");
}

#[test]
fn a_program_without_the_closure_that_a_route_names_does_not_start() {
    let folder = secrets();
    let text = configuration("closure.toml", &[]);
    let config = Config::parse(&text, &folder.path().join("gateway.toml")).expect("it reads well");
    let refused =
        portcullis::app::App::check(config).expect_err("nobody registered it").to_string();
    assert!(refused.contains("accounts") && refused.contains("closure"), "{refused}");
}

#[test]
fn a_service_over_tls_is_asked_when_its_certificate_comes_from_the_named_authority() {
    let provider = TestProvider::saying(&json!({ "active": true }));
    let (address, authority) = provider.behind_tls();
    let folder = folder(&[("ca.pem", &authority)]);
    for (ca, status) in [
        (format!("tls = {{ ca = {:?} }}", folder.path().join("ca.pem")), 200),
        (String::new(), 503),
    ] {
        let url = format!("https://localhost:{}/ask", address.port());
        let routes = crate::callbacks::routes(&url, "introspection", &ca);
        let gateway = TestGateway::start(&routes);
        let answer = gateway.get("/orders/1").bearer(&gateway.issuer.good()).send();
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    assert_eq!(provider.count(), 1);
}
