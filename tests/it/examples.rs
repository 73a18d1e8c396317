//! The applications of `examples/flask` behind the gateway with the configuration beside them, asked
//! what the original examples' clients ask.

use std::path::Path;

use portcullis::config::Config;
use tempfile::TempDir;

use crate::support::client::{Answer, ask};
use crate::support::documents::code_blocks;
use crate::support::gateway::{Running, folder};
use crate::support::issuer::SECRET;
use crate::support::python::PythonApp;

pub struct Example {
    pub app: PythonApp,
    pub gateway: Running,
    _folder: TempDir,
}

// === impl Example ===

impl Example {
    pub fn start(name: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/flask").join(name);
        let folder = folder(&[("jwt.secret", SECRET)]);
        let path = |file: &str| folder.path().join(file).to_str().expect("UTF-8").to_owned();
        let mut app = PythonApp::start(
            "tests/fixtures/flask/serve.py",
            &[
                ("EXAMPLE", root.join("app.py").to_str().expect("UTF-8")),
                ("JWT_SECRET_FILE", &path("jwt.secret")),
                ("PORTCULLIS_SECRET_FILE", &path("control.secret")),
            ],
        );
        let text = std::fs::read_to_string(root.join("gateway.toml")).expect("its configuration");
        let text = text
            .replace("127.0.0.1:8080", "127.0.0.1:0")
            .replace("127.0.0.1:9901", "127.0.0.1:0")
            .replace("127.0.0.1:5000", &app.address.to_string())
            + "\n[log]\naccess = \"off\"\n";
        let gateway = Running::start(folder.path(), &text);
        app.say(&format!("http://{}", gateway.control));
        Self { app, gateway, _folder: folder }
    }

    fn ask(&self, method: &str, path: &str, token: &str) -> Answer {
        ask(self.gateway.data, method, path).bearer(token).send()
    }

    fn log_in(&self) -> serde_json::Value {
        let body = serde_json::json!({ "username": "test", "password": "test" });
        let answer = ask(self.gateway.data, "POST", "/login").json(&body).send();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }
}

#[track_caller]
fn says(answer: &Answer, status: u16, message: &str) {
    assert_eq!((answer.status, &answer.json()["msg"]), (status, &message.into()));
}

fn token(tokens: &serde_json::Value, kind: &str) -> String {
    tokens[kind].as_str().expect("a token").to_owned()
}

#[test]
fn the_basic_example_logs_out_twice_without_a_block_list() {
    let example = Example::start("basic");
    let tokens = example.log_in();
    let (access, refresh) = (token(&tokens, "access_token"), token(&tokens, "refresh_token"));
    assert_eq!(
        example.ask("GET", "/protected", &access).expect_forwarded().json()["hello"],
        "world"
    );
    says(&example.ask("GET", "/protected", &refresh), 422, "Only non-refresh tokens are allowed");
    let renewed = example.ask("POST", "/refresh", &refresh).expect_forwarded().json();
    says(&example.ask("DELETE", "/logout", &access), 200, "Successfully logged out");
    says(&example.ask("GET", "/protected", &access), 401, "Token has been revoked");
    example.ask("GET", "/protected", &token(&renewed, "access_token")).expect_forwarded();
    says(&example.ask("DELETE", "/logout2", &refresh), 200, "Successfully logged out");
    says(&example.ask("POST", "/refresh", &refresh), 401, "Token has been revoked");
    says(&example.ask("DELETE", "/logout2", &refresh), 401, "Token has been revoked");
    let nothing = ask(example.gateway.data, "GET", "/protected").send();
    says(&nothing, 401, "Missing Authorization Header");
}

#[test]
fn the_redis_example_logs_out_without_redis() {
    let example = Example::start("redis");
    let access = token(&example.log_in(), "access_token");
    example.ask("GET", "/protected", &access).expect_forwarded();
    says(&example.ask("DELETE", "/logout", &access), 200, "Access token revoked");
    says(&example.ask("GET", "/protected", &access), 401, "Token has been revoked");
}

#[test]
fn the_database_example_revokes_either_kind_without_a_database() {
    let example = Example::start("database");
    let tokens = example.log_in();
    let (access, refresh) = (token(&tokens, "access_token"), token(&tokens, "refresh_token"));
    says(&example.ask("DELETE", "/logout", &refresh), 200, "Refresh token successfully revoked");
    says(&example.ask("DELETE", "/logout", &refresh), 401, "Token has been revoked");
    example.ask("GET", "/protected", &access).expect_forwarded();
    says(&example.ask("DELETE", "/logout", &access), 200, "Access token successfully revoked");
    says(&example.ask("GET", "/protected", &access), 401, "Token has been revoked");
}

#[test]
fn the_configurations_of_the_page_on_moving_are_taken() {
    let folder = folder(&[("jwt.secret", SECRET)]);
    let blocks = code_blocks("docs/moving-from-flask.md", "toml");
    let (whole, parts) = blocks.split_first().expect("a configuration");
    let parse = |text: &str| {
        let config = Config::parse(text, &folder.path().join("gateway.toml"));
        config.unwrap_or_else(|errors| panic!("{text}\n{errors}"))
    };
    let routes = parse(whole).routes.len();
    assert!(parts.len() >= 2, "{} more", parts.len());
    for part in parts {
        assert!(parse(&format!("{whole}\n{part}")).routes.len() > routes, "{part}");
    }
}
