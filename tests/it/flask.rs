//! A real Flask application with flask-jwt-extended behind the gateway: its tokens, its clients, and
//! nothing of revocation in its code.

use std::path::Path;
use std::process::Command;

use jsonwebtoken::Algorithm;
use portcullis::token::mint::SigningKey;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::client::ask;
use crate::support::gateway::{CREDENTIAL, Running};
use crate::support::python::PythonApp;

const SECRET: &str = "a-shared-secret-of-at-least-thirty-two-bytes";

fn app(algorithm: &str, folder: &Path) -> PythonApp {
    let path = |name: &str| folder.join(name).to_str().expect("UTF-8").to_owned();
    PythonApp::start(
        "tests/fixtures/flask/app.py",
        &[
            ("APP_ALGORITHM", algorithm),
            ("APP_SECRET", SECRET),
            ("APP_PRIVATE_KEY", &path("private.pem")),
            ("APP_PUBLIC_KEY", &path("public.pem")),
        ],
    )
}

/// The gateway's configuration in front of the application; only the keys and the checks differ.
fn configuration(app: &PythonApp, issuer: &str, check: &str) -> String {
    let app = app.address;
    format!(
        r#"
[listener]
address = "127.0.0.1:0"
[control]
address = "127.0.0.1:0"
credentials = [{{ name = "test", secret = {{ file = "control.secret" }}, role = "admin" }}]
[log]
access = "off"
[[issuers]]
name = "flask"
tokens_without_issuer = true
any_audience = true
leeway = "0s"
token_type = {{ claim = "type", access = ["access"], refresh = ["refresh"], missing = "access" }}
{issuer}
[revocation]
check = {check}
embedded = {{ path = "revocations.redb" }}
[upstreams.app]
endpoints = ["http://{app}"]
[[routes]]
name = "login"
path = "=/login"
methods = ["POST"]
upstream = "app"
auth = "none"
[[routes]]
name = "refresh"
path = "=/refresh"
methods = ["POST"]
upstream = "app"
auth = "required"
token_types = ["refresh"]
[[routes]]
name = "protected"
path = "/protected"
upstream = "app"
auth = "required"
token_types = ["access"]
"#
    )
}

fn start(algorithm: &str, check: &str) -> (PythonApp, Running, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let write =
        |name: &str, text: &[u8]| std::fs::write(folder.path().join(name), text).expect("written");
    write("control.secret", CREDENTIAL.as_bytes());
    write("flask.secret", SECRET.as_bytes());
    if algorithm == "RS256" {
        let key = SigningKey::generate(Algorithm::RS256).expect("a key");
        write("private.pem", key.to_pem().expect("a private key").expose());
        let public = Command::new("openssl")
            .args(["pkey", "-pubout", "-in"])
            .arg(folder.path().join("private.pem"))
            .output()
            .expect("openssl runs");
        write("public.pem", &public.stdout);
    }
    let issuer = match algorithm {
        "RS256" => "algorithms = [\"RS256\"]\nkeys = { pem_file = \"public.pem\" }",
        _ => "algorithms = [\"HS256\"]\nkeys = { secret = { file = \"flask.secret\" } }",
    };
    let app = app(algorithm, folder.path());
    let gateway = Running::start(folder.path(), &configuration(&app, issuer, check));
    (app, gateway, folder)
}

fn log_in(gateway: &Running) -> (String, String) {
    let answer = ask(gateway.data, "POST", "/login").json(&json!({ "username": "alice" })).send();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let tokens = answer.json();
    let text = |name: &str| tokens[name].as_str().expect("a token").to_owned();
    (text("access_token"), text("refresh_token"))
}

fn revoke(gateway: &Running, token: &str) -> Value {
    let body = json!({ "token": token, "reason": "logged out" });
    let answer =
        ask(gateway.control, "POST", "/v1/revocations").bearer(CREDENTIAL).json(&body).send();
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

fn story_of_a_session(algorithm: &str) {
    let (_app, gateway, _folder) = start(algorithm, r#"["access", "refresh"]"#);
    let protected = |token: &str| ask(gateway.data, "GET", "/protected").bearer(token).send();
    let renew = |token: &str| ask(gateway.data, "POST", "/refresh").bearer(token).send();
    let (access, refresh) = log_in(&gateway);

    assert_eq!(protected(&access).expect_forwarded().json()["user"], "alice");
    protected(&refresh).expect_rejected(401, "token-invalid");
    renew(&access).expect_rejected(401, "token-invalid");
    let renewed = renew(&refresh).expect_forwarded().json();
    let renewed = renewed["access_token"].as_str().expect("a token").to_owned();
    protected(&renewed).expect_forwarded();

    let record = revoke(&gateway, &access);
    assert_eq!(record["claim"], "jti");
    protected(&access).expect_rejected(401, "token-revoked");
    protected(&renewed).expect_forwarded();
    revoke(&gateway, &refresh);
    renew(&refresh).expect_rejected(401, "token-revoked");

    let (again, _) = log_in(&gateway);
    protected(&again).expect_forwarded();
}

#[test]
fn a_flask_session_with_hs256_is_ended_at_the_gateway() {
    story_of_a_session("HS256");
}

#[test]
fn a_flask_session_with_rs256_is_ended_at_the_gateway() {
    story_of_a_session("RS256");
}

#[test]
fn with_only_refresh_tokens_checked_a_revoked_access_token_still_passes() {
    let (_app, gateway, _folder) = start("HS256", r#"["refresh"]"#);
    let (access, refresh) = log_in(&gateway);
    revoke(&gateway, &access);
    revoke(&gateway, &refresh);
    ask(gateway.data, "GET", "/protected").bearer(&access).send().expect_forwarded();
    let renewed = ask(gateway.data, "POST", "/refresh").bearer(&refresh).send();
    renewed.expect_rejected(401, "token-revoked");
}
