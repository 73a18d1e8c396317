//! A real Flask application with flask-jwt-extended behind the gateway: its tokens, its clients, and
//! nothing of revocation in its code.

use std::process::Command;

use jsonwebtoken::Algorithm;
use portcullis::token::mint::SigningKey;
use serde_json::{Value, json};

use crate::support::client::ask;
use crate::support::flask::{self, FlaskSite};
use crate::support::gateway::Running;

const ROUTES: &str = r#"
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
"#;

/// The application and the gateway's configuration in front of it; only the keys and the checks differ.
fn start(algorithm: &str, check: &str) -> FlaskSite {
    let (private, public) = if algorithm == "RS256" { key_pair() } else { Default::default() };
    let (variables, issuer) = match algorithm {
        "RS256" => (
            vec![("APP_PRIVATE_KEY", &*private), ("APP_PUBLIC_KEY", &*public)],
            "algorithms = [\"RS256\"]\nkeys = { pem_file = \"public.pem\" }",
        ),
        _ => (Vec::new(), flask::HS256),
    };
    let app = flask::app("app", &variables);
    let issuer = format!(
        "{issuer}\nleeway = \"0s\"\ntoken_type = {{ claim = \"type\", access = [\"access\"], \
         refresh = [\"refresh\"], missing = \"access\" }}"
    );
    let text = flask::configuration(&app, &format!("check = {check}"), &issuer, ROUTES);
    FlaskSite::start(app, &[("public.pem", &public)], &text)
}

/// A new RSA key and its public half, in PEM.
fn key_pair() -> (String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("private.pem");
    let key = SigningKey::generate(Algorithm::RS256).expect("a key");
    let private = key.to_pem().expect("a private key").expose().to_vec();
    std::fs::write(&path, &private).expect("written");
    let mut openssl = Command::new("openssl");
    let public = openssl.args(["pkey", "-pubout", "-in"]).arg(&path).output();
    let text = |bytes| String::from_utf8(bytes).expect("PEM");
    (text(private), text(public.expect("openssl runs").stdout))
}

fn revoke(gateway: &Running, token: &str) -> Value {
    gateway.revoke(&json!({ "token": token, "reason": "logged out" })).json()
}

fn story_of_a_session(algorithm: &str) {
    let site = start(algorithm, r#"["access", "refresh"]"#);
    let gateway = &site.gateway;
    let protected = |token: &str| ask(gateway.data, "GET", "/protected").bearer(token).send();
    let renew = |token: &str| ask(gateway.data, "POST", "/refresh").bearer(token).send();
    let (access, refresh) = site.log_in();

    assert_eq!(protected(&access).expect_forwarded().json()["user"], "alice");
    protected(&refresh).expect_rejected(401, "token-invalid");
    renew(&access).expect_rejected(401, "token-invalid");
    let renewed = renew(&refresh).expect_forwarded().json();
    let renewed = renewed["access_token"].as_str().expect("a token").to_owned();
    protected(&renewed).expect_forwarded();

    let record = revoke(gateway, &access);
    assert_eq!(record["claim"], "jti");
    protected(&access).expect_rejected(401, "token-revoked");
    protected(&renewed).expect_forwarded();
    revoke(gateway, &refresh);
    renew(&refresh).expect_rejected(401, "token-revoked");

    let (again, _) = site.log_in();
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
    let site = start("HS256", r#"["refresh"]"#);
    let gateway = &site.gateway;
    let (access, refresh) = site.log_in();
    revoke(gateway, &access);
    revoke(gateway, &refresh);
    ask(gateway.data, "GET", "/protected").bearer(&access).send().expect_forwarded();
    let renewed = ask(gateway.data, "POST", "/refresh").bearer(&refresh).send();
    renewed.expect_rejected(401, "token-revoked");
}
