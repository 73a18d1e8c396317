//! Moving in: a real Flask application writes its block list as the library's documentation says, and
//! the gateway before it refuses what is on it: read once, or followed while both run.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::client::{Answer, ask};
use crate::support::eventually::eventually;
use crate::support::flask::{self, FlaskSite};
use crate::support::gateway::CREDENTIAL;
use crate::support::servers::postgres::{Database, PostgresServer};
use crate::support::servers::redis::{Keeps, RedisServer};

/// The application, and the gateway before it.
struct Site(FlaskSite);

const ROUTES: &str = r#"
[[routes]]
name = "login"
path = "=/login"
upstream = "app"
auth = "none"
[[routes]]
name = "rest"
path = "/"
upstream = "app"
auth = "required"
token_types = "both"
"#;

/// `portcullis follow`, killed when dropped.
struct Follower(Child);

// === impl Site ===

impl Site {
    fn start(store: (&str, &str)) -> Self {
        let app = flask::app("blocklist_app", &[store]);
        // The smallest role that will do.
        let text = flask::configuration(&app, "", flask::HS256, ROUTES)
            .replace("name = \"test\"", "name = \"moving\"")
            .replace("role = \"admin\"", "role = \"revoke\"");
        Self(FlaskSite::start(app, &[], &text))
    }

    fn log_in(&self) -> String {
        self.0.log_in().0
    }

    /// Logs in, and out again: only the application knows.
    fn logged_out(&self) -> String {
        let token = self.log_in();
        ask(self.0.gateway.data, "DELETE", "/logout").bearer(&token).send().expect_forwarded();
        token
    }

    fn protected(&self, token: &str) -> Answer {
        ask(self.0.gateway.data, "GET", "/protected").bearer(token).send()
    }

    /// The gateway says so, not the application.
    fn is_refused_here(&self, token: &str) -> bool {
        self.protected(token).text().contains("\"token-revoked\"")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(arguments).args(["--control", &self.0.gateway.control.to_string()]);
        command.env("PORTCULLIS_CONTROL_TOKEN", CREDENTIAL);
        command
    }

    fn import(&self, arguments: &[&str]) -> Output {
        let all = [&["import", "--json"], arguments].concat();
        self.command(&all).output().expect("it runs")
    }

    fn follow(&self, redis: &RedisServer, arguments: &[&str]) -> Follower {
        let url = redis.url();
        let all = [&["follow", "--from", "flask-redis", "--url", &url], arguments].concat();
        let mut child = self.command(&all).stdout(Stdio::piped()).spawn().expect("it runs");
        let mut line = String::new();
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
        lines.read_line(&mut line).expect("a line");
        assert!(line.starts_with("following redis+unix://"), "{line}");
        // What it says must not fill the pipe.
        std::thread::spawn(move || lines.lines().count());
        Follower(child)
    }

    fn entries(&self) -> Vec<Value> {
        let page = self.0.gateway.control("GET", "/v1/revocations?limit=1000").send().json();
        page["items"].as_array().expect("a list").clone()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[track_caller]
fn report(output: &Output, code: i32) -> Value {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("a report")
}

fn with_redis(more: &[&str]) -> (RedisServer, Site) {
    let more: Vec<String> = more.iter().map(|&text| text.to_owned()).collect();
    let redis = RedisServer::start_with(Keeps::All, |_| more);
    let socket = redis.socket();
    let site = Site::start(("APP_REDIS", socket.to_str().expect("UTF-8")));
    (redis, site)
}

#[test]
fn an_import_from_redis_refuses_what_flask_revoked_and_can_be_repeated() {
    let (redis, site) = with_redis(&[]);
    let (out, also_out, still_in) = (site.logged_out(), site.logged_out(), site.log_in());
    // Flask refuses, the gateway does not know yet.
    assert_eq!(site.protected(&out).json()["msg"], "Token has been revoked");
    let arguments = ["--from", "flask-redis", "--url", &redis.url()];
    for _ in 0..2 {
        let report = report(&site.import(&arguments), 0);
        assert_eq!((&report["read"], &report["accepted"]), (&json!(2), &json!(2)), "{report}");
        assert!(site.is_refused_here(&out) && site.is_refused_here(&also_out));
        site.protected(&still_in).expect_forwarded();
        assert_eq!(site.entries().len(), 2);
    }
    let entry = &site.entries()[0];
    let life = entry["expires_at"].as_u64().unwrap() - entry["at"].as_u64().unwrap();
    assert!((3600..3800).contains(&life), "as long as the key, and a margin: {life}");
    assert_eq!(entry["actor"], "moving");
}

#[test]
fn keys_that_are_no_block_list_do_not_stop_the_rest() {
    let (redis, site) = with_redis(&[]);
    for command in [
        &["set", "jwt:a", "true", "EX", "600"][..],
        &["set", "jwt:b", "false", "EX", "600"],
        &["set", "jwt:c", "{\"cart\":7}", "EX", "600"],
        &["set", "jwt:d", ""],
        &["set", "jwt:", "", "EX", "600"],
        &["hset", "jwt:e", "f", "1"],
        &["set", "other", "", "EX", "600"],
    ] {
        redis.cli(command);
    }
    let url = redis.url();
    let base = ["--from", "flask-redis", "--url", &url, "--prefix", "jwt:"];
    let first = report(&site.import(&base), 1);
    assert_eq!(first["accepted"], 1, "{first}");
    assert_eq!((&first["not_revoked"], &first["other"]), (&json!(1), &json!(1)), "{first}");
    let mut refused: Vec<&str> = first["rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["entry"].as_str().unwrap())
        .collect();
    refused.sort_unstable();
    assert_eq!(refused, ["c", "d", "jwt:"], "{first}");
    let more = [&base[..], &["--any-value", "--expires-in", "1h", "--issuer", "flask"]].concat();
    let second = report(&site.import(&more), 1);
    assert_eq!((&second["accepted"], &second["rejected_total"]), (&json!(3), &json!(1)));
    let unknown = [&base[..], &["--issuer", "nobody"]].concat();
    let third = report(&site.import(&unknown), 1);
    assert_eq!(third["accepted"], 0);
    assert!(third.to_string().contains("not a configured issuer"), "{third}");
}

#[test]
fn an_import_from_a_table_refuses_what_flask_revoked() {
    let database: Database = PostgresServer::database();
    let dsn = format!("host={} user=postgres dbname={}", database.socket.display(), database.name);
    let site = Site::start(("APP_DATABASE", &dsn));
    let (out, still_in) = (site.logged_out(), site.log_in());
    assert_eq!(site.protected(&out).json()["msg"], "Token has been revoked");
    database.sql(
        "INSERT INTO token_blocklist (jti, type, user_id, created_at) \
         VALUES ('old', 'access', 'bob', now() - interval '40 days')",
    );
    let url = database.url("postgres");
    let base = ["--from", "flask-sql", "--url", &url];
    let timed = [&base[..], &["--expires-in", "30d"]].concat();
    for _ in 0..2 {
        let report = report(&site.import(&timed), 0);
        assert_eq!((&report["accepted"], &report["expired"]), (&json!(1), &json!(1)), "{report}");
        assert!(site.is_refused_here(&out));
        site.protected(&still_in).expect_forwarded();
    }
    // Without a life every row counts for as long as a token may live.
    assert_eq!(report(&site.import(&base), 0)["accepted"], 2);
    let wrong = [&base[..], &["--column", "id\"; DROP TABLE token_blocklist"]].concat();
    let refused = site.import(&wrong);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("does not exist"), "{refused:?}");
    assert_eq!(database.sql("SELECT count(*) FROM token_blocklist"), "2");
}

#[test]
fn a_table_of_the_older_generation_says_itself_what_is_revoked() {
    let database: Database = PostgresServer::database();
    database.sql("CREATE SCHEMA auth");
    database.sql("CREATE TABLE auth.tokens (jti text, revoked boolean, made timestamptz)");
    database.sql(
        "INSERT INTO auth.tokens SELECT 'id' || i, i % 2 = 0, now() FROM generate_series(1, 12000) i",
    );
    let redis = RedisServer::start(Keeps::Nothing);
    let site = Site::start(("APP_REDIS", redis.socket().to_str().expect("UTF-8")));
    let url = database.url("postgres");
    let report = report(
        &site.import(&[
            "--from",
            "flask-sql",
            "--url",
            &url,
            "--table",
            "auth.tokens",
            "--revoked-column",
            "revoked",
            "--created",
            "made",
            "--expires-in",
            "1h",
        ]),
        0,
    );
    assert_eq!((&report["accepted"], &report["not_revoked"]), (&json!(6000), &json!(6000)));
}

#[test]
fn what_flask_revokes_is_refused_while_it_is_followed() {
    for notified in [true, false] {
        let settings = ["--notify-keyspace-events", "K$g"];
        let (mut redis, site) = with_redis(if notified { &settings } else { &[] });
        let before = site.logged_out();
        let _follower = site.follow(&redis, &["--interval", "50ms"]);
        assert!(site.is_refused_here(&before), "what was there is known from the start");
        let after = site.logged_out();
        eventually("refused at the gateway", || site.is_refused_here(&after).then_some(()));
        // Deleted is not reinstated; another change shows that the deletion was seen.
        redis.cli(&["flushall"]);
        let third = site.logged_out();
        eventually("refused at the gateway", || site.is_refused_here(&third).then_some(()));
        assert!(site.is_refused_here(&after));
        redis.restart();
        let fourth = site.logged_out();
        eventually("refused at the gateway", || site.is_refused_here(&fourth).then_some(()));
    }
}

#[test]
fn what_is_deleted_is_reinstated_where_that_is_asked_for() {
    let settings = ["--notify-keyspace-events", "KA"];
    for settings in [&settings[..], &[]] {
        let (redis, site) = with_redis(settings);
        let (one, other) = (site.logged_out(), site.logged_out());
        let _follower = site.follow(&redis, &["--interval", "50ms", "--reinstate"]);
        assert!(site.is_refused_here(&one) && site.is_refused_here(&other));
        let value = site.entries()[0]["value"].as_str().unwrap().to_owned();
        redis.cli(&["del", &value]);
        eventually("one is let through", || (site.entries().len() == 1).then_some(()));
        let value = site.entries()[0]["value"].as_str().unwrap().to_owned();
        redis.cli(&["set", &value, "false", "EX", "600"]);
        eventually("both are let through", || site.entries().is_empty().then_some(()));
    }
}

#[test]
fn a_store_is_named_without_its_password() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(arguments)
            .env("BLOCK_LIST", "redis://:hunter2@127.0.0.1:1/0")
            .output()
            .expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let redis = ["import", "--from", "flask-redis"];
    for (arguments, code, word) in [
        (&["--url", "redis://:hunter2@h/0"][..], 64, "--url-file or --url-env"),
        (&[], 64, "--url"),
        (&["--url-env", "NOT_SET_ANYWHERE"], 64, "is not set"),
        (&["--url", "nonsense"], 64, "can't be used"),
        (&["entries.ndjson", "--url", "redis://h"], 64, "--from ndjson"),
        (&["--url-env", "BLOCK_LIST"], 1, "Redis"),
    ] {
        let (status, text) = run(&[&redis[..], arguments].concat());
        assert_eq!(status, Some(code), "{arguments:?} {text}");
        assert!(text.contains(word) && !text.contains("hunter2"), "{arguments:?} {text}");
    }
    assert_eq!(run(&["import"]).0, Some(64));
    assert_eq!(run(&["import", "x", "--issuer", "i"]).0, Some(64));
}
