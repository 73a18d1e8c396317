//! The commands against a real control port, before a small in-memory gateway.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use portcullis::clock::{Clock, SystemClock, UnixTime};
use portcullis::config::{ControlAddress, ControlConfig};
use portcullis::control::{
    Ask, AskError, BoundAddress, Control, Gatehouse, Nodes, RegisterAsk, ReloadReport, SeenNode,
    Wait,
};
use portcullis::observe::Metrics;
use portcullis::revocation::{
    Cursor, Draft, Enforceable, FeedError, Filter, IssuerScope, Name, NodeName, Op, Page, Presence,
    RegisterConfig, Revocation, RevocationMode, Revocations,
};
use portcullis::shutdown::Shutdown;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

struct House {
    live: Mutex<BTreeMap<Name, Revocation>>,
    metrics: Metrics,
    revocations: Revocations,
}

impl House {
    fn new() -> Self {
        let revocations = Revocations::new(&[], Duration::from_secs(10));
        let register = RegisterConfig { max_tokens: 100, seen_every: Duration::from_secs(30) };
        revocations.configure_register(RevocationMode::DenyList, Some(&register));
        Self { live: Mutex::default(), metrics: Metrics::default(), revocations }
    }
}

impl Gatehouse for House {
    fn complete(&self, ask: Ask, actor: &Arc<str>) -> Result<Revocation, AskError> {
        let draft = match ask {
            Ask::Claim(draft) => draft,
            Ask::Token { token, reason } => {
                let value = String::from_utf8_lossy(token.expose()).into();
                Draft { claim: "jti".into(), value, reason, ..Draft::default() }
            }
        };
        if &*draft.claim == "email" {
            return Err(AskError::Field { field: "claim", problem: "can't be revoked by".into() });
        }
        let issuer = draft.issuer.unwrap_or_else(|| "https://i.test/".into());
        Ok(Revocation {
            id: Uuid::now_v7(),
            op: Op::Revoke,
            name: Name { issuer, claim: draft.claim, value: draft.value },
            issued_before: draft.issued_before,
            expires_at: draft.expires_at.unwrap_or(UnixTime::from_secs(1_767_225_600)),
            at: UnixTime::from_secs(1_767_139_200),
            actor: Some(Arc::clone(actor)),
            reason: draft.reason,
            token: None,
        })
    }

    fn register(&self, ask: RegisterAsk, actor: &Arc<str>) -> Result<Revocation, AskError> {
        let RegisterAsk::Named(draft) = ask else {
            return Err(AskError::Field { field: "token", problem: "is none of ours".into() });
        };
        let issuers = vec![IssuerScope {
            scope: "https://i.test/".into(),
            longest: Duration::from_secs(3600),
            leeway: Duration::ZERO,
            family: None,
        }];
        let enforceable = Enforceable { issuers, claims: vec![] };
        let record = draft.complete(&enforceable, Some(Arc::clone(actor)), SystemClock.now());
        record.map_err(|error| AskError::Field { field: "jti", problem: error.to_string() })
    }

    fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    async fn append(&self, records: Vec<Revocation>) -> Result<Cursor, FeedError> {
        let mut live = self.live.lock().unwrap();
        for record in records {
            self.revocations.apply(&record);
            match record.op {
                Op::Revoke | Op::Register => drop(live.insert(record.name.clone(), record)),
                Op::Reinstate => drop(live.remove(&record.name)),
            }
        }
        Ok(Cursor::new("1"))
    }

    async fn list(
        &self,
        filter: Filter,
        after: Option<Name>,
        limit: usize,
    ) -> Result<Page, FeedError> {
        let live = self.live.lock().unwrap();
        let mut items = live.values().filter(|one| {
            after.as_ref().is_none_or(|after| one.name > *after)
                && filter.claim.as_ref().is_none_or(|claim| *claim == one.name.claim)
                && filter.value.as_ref().is_none_or(|value| *value == one.name.value)
        });
        let page: Vec<Revocation> = items.by_ref().take(limit).cloned().collect();
        let next = items.next().and_then(|_more| page.last()).map(|one| one.name.clone());
        Ok(Page { items: page, next })
    }

    async fn reload(&self, _actor: &Arc<str>) -> Result<ReloadReport, Vec<String>> {
        Err(vec!["gateway.toml:3:1: unknown key `adress`\n  | adress".into()])
    }

    fn readiness(&self) -> Result<(), String> {
        Ok(())
    }

    fn status(&self) -> Value {
        json!({ "feed": { "connected": true } })
    }

    fn config(&self) -> Value {
        json!({})
    }

    async fn confirm(&self, _: Option<&Revocation>, wait: Wait, _: Duration) -> Nodes {
        let mut nodes = Nodes::of(node("gw-1"));
        if wait == Wait::All {
            nodes.confirmed.push(node("gw-2"));
        }
        if matches!(wait, Wait::Nodes(count) if count > 1) {
            (nodes.missing, nodes.complete) = (vec![node("gw-2")], false);
        }
        nodes
    }

    async fn nodes(&self) -> Result<Vec<SeenNode>, FeedError> {
        let (node, cursor) = (node("gw-1"), Some(Cursor::new("41")));
        let presence = Presence { node, lasts: 9000, epoch: None, cursor, staleness: Some(300) };
        Ok(vec![SeenNode::own(presence)])
    }

    fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

fn node(name: &str) -> NodeName {
    NodeName { name: name.into(), id: Uuid::nil() }
}

/// A running port with its configuration file; the credential is the one made at first start.
struct Running {
    folder: TempDir,
    house: Arc<House>,
    shutdown: Shutdown,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl Running {
    fn start(unix: bool) -> Self {
        let folder = TempDir::new().unwrap();
        let address = match unix {
            true => ControlAddress::Unix(folder.path().join("control.sock")),
            false => ControlAddress::Tcp(([127, 0, 0, 1], 0).into()),
        };
        let credential_file = folder.path().join("state/portcullis.token");
        let config = ControlConfig { address, credentials: Vec::new(), credential_file };
        let bound = Control::bind(&config).unwrap();
        let shown = match bound.local_addr().unwrap() {
            BoundAddress::Tcp(address) => address.to_string(),
            BoundAddress::Unix(_) => "unix:control.sock".into(),
        };
        let text = format!(
            "[control]\naddress = \"{shown}\"\n[revocation]\nembedded = {{ path = \"state/r.redb\" }}\n"
        );
        std::fs::write(folder.path().join("gateway.toml"), text).unwrap();
        let house = Arc::new(House::new());
        let (shutdown, drain) = Shutdown::new();
        let thread = Some(bound.spawn(Arc::clone(&house), drain).unwrap());
        Self { folder, house, shutdown, thread }
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("gateway.toml")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command
            .args(args)
            .arg("--config")
            .arg(self.config())
            .env_remove("PORTCULLIS_CONTROL_TOKEN");
        command
    }

    fn say(&self, args: &[&str], input: &[u8]) -> Output {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        // A command that reads no input closes the pipe.
        let feeder = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        feeder.join().unwrap();
        output
    }

    #[track_caller]
    fn ok(&self, args: &[&str]) -> String {
        let output = self.say(args, b"");
        assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
        assert!(output.stderr.is_empty(), "quiet in a pipe: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let live = self.house.live.lock().unwrap();
        live.keys().map(|name| format!("{} {}", name.claim, name.value)).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.begin();
        drop(self.thread.take().unwrap().join());
    }
}

#[test]
fn revoke_list_and_reinstate_work_over_tcp_and_a_unix_socket() {
    for unix in [false, true] {
        let running = Running::start(unix);
        let said = running.ok(&[
            "revoke",
            "--claim",
            "sub",
            "--value",
            "a b&c",
            "--reason",
            "left",
            "--issued-before",
            "1767139200",
        ]);
        let expected = "revoked: sub a b&c of https://i.test/ issued up to 2025-12-31T00:00:00Z, \
                        kept until 2026-01-01T00:00:00Z\n";
        assert_eq!(said, expected);
        let listed = running.ok(&["list"]);
        assert!(listed.starts_with("CLAIM  VALUE  ISSUER"), "{listed}");
        assert!(listed.contains("a b&c") && listed.contains("operator") && listed.contains("left"));
        let page: Value = serde_json::from_str(&running.ok(&["list", "--json"])).unwrap();
        assert_eq!(page["items"][0]["value"], "a b&c");
        let said = running.ok(&["reinstate", "--claim", "sub", "--value", "a b&c"]);
        assert!(said.starts_with("reinstated: sub a b&c"), "{said}");
        assert_eq!(running.names(), [""; 0]);
        let again = running.say(&["reinstate", "--claim", "sub", "--value", "a b&c"], b"");
        assert_eq!(again.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&again.stderr).contains("no_such_entry"), "{again:?}");
    }
}

#[test]
fn waiting_for_other_gateways_names_them_and_fails_when_it_was_in_vain() {
    let running = Running::start(false);
    let entry = ["--claim", "jti", "--value", "x", "--wait"];
    let all = running.ok(&[&["revoke"], &entry[..], &["all", "--timeout", "5s"]].concat());
    assert!(all.ends_with("\nin force on: gw-1, gw-2\n"), "{all}");
    for command in ["revoke", "reinstate"] {
        let output = running.say(&[&[command], &entry[..], &["3"]].concat(), b"");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("recorded") && error.contains("missing: gw-2"), "{error}");
    }
    let line = b"{\"claim\":\"jti\",\"value\":\"x\"}\n";
    let import = running.say(&["import", "-", "--wait", "2"], line);
    assert_eq!((import.status.code(), &*import.stdout), (Some(1), &b"1 accepted, 0 refused\n"[..]));
    for odd in [["--wait", "0"], ["--wait", "some"], ["--timeout", "1s"]] {
        let output = running.say(&[&["import", "-"], &odd[..]].concat(), line);
        assert_eq!(output.status.code(), Some(64), "{odd:?}: {output:?}");
    }
    let nodes = running.ok(&["nodes"]);
    assert!(
        nodes.contains("*  gw-1") && nodes.contains("41") && nodes.contains("0.3 s"),
        "{nodes}"
    );
}

#[test]
fn a_token_comes_by_pipe_or_file() {
    let running = Running::start(false);
    let output = running.say(&["revoke", "--token", "-"], b"  piped-token\n");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let file = running.folder.path().join("token");
    std::fs::write(&file, "filed-token\n").unwrap();
    running.ok(&["revoke", "--token-file", file.to_str().unwrap()]);
    assert_eq!(running.names(), ["jti filed-token", "jti piped-token"]);
    assert_eq!(running.say(&["revoke", "--token", "-"], b"\n").status.code(), Some(64));
}

#[test]
fn what_is_exported_is_imported_again() {
    let running = Running::start(false);
    let mut lines = String::new();
    for number in 0..20_000 {
        lines += &format!("{{\"claim\":\"jti\",\"value\":\"t{number}\"}}\n");
    }
    // What a terminal would obey is data all the same.
    lines += "{\"claim\":\"sid\",\"value\":\"\u{7f}\u{9b}31m\\u001b[2J\"}\n";
    let output = running.say(&["import", "-"], lines.as_bytes());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(output.stdout, b"20001 accepted, 0 refused\n");
    assert!(output.stderr.is_empty(), "no progress in a pipe");

    let exported = running.ok(&["export"]);
    assert_eq!(exported.lines().count(), 20_001);
    let before = running.names();
    running.house.live.lock().unwrap().clear();
    let file = running.folder.path().join("entries.ndjson");
    std::fs::write(&file, exported).unwrap();
    let report: Value =
        serde_json::from_str(&running.ok(&["import", "--json", file.to_str().unwrap()])).unwrap();
    assert_eq!(report["accepted"], 20_001);
    assert_eq!(running.names(), before);
}

#[test]
fn refused_lines_are_named_and_the_import_ends_with_1() {
    let running = Running::start(false);
    let output = running.say(&["import", "-"], b"nonsense\n{\"claim\":\"jti\",\"value\":\"x\"}\n");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"line 1: not one JSON object: column 2\n1 accepted, 1 refused\n");
}

#[test]
fn a_reader_that_has_read_enough_is_no_failure() {
    let running = Running::start(false);
    let lines = (0..5000).fold(String::new(), |text, number| {
        text + &format!("{{\"claim\":\"jti\",\"value\":\"t{number}\"}}\n")
    });
    assert_eq!(running.say(&["import", "-"], lines.as_bytes()).status.code(), Some(0));
    let mut child =
        running.command(&["export"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[test]
fn refusals_come_with_their_code_and_the_right_exit() {
    let running = Running::start(false);
    let refused = running.say(&["revoke", "--claim", "email", "--value", "x"], b"");
    assert_eq!(refused.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("claim: can't be revoked by"));
    let reload = running.say(&["reload"], b"");
    assert_eq!(reload.status.code(), Some(64));
    let error = String::from_utf8_lossy(&reload.stderr);
    assert!(error.contains("gateway.toml:3:1: unknown key `adress`\n  | adress"), "{error}");
    let wrong =
        running.command(&["status"]).env("PORTCULLIS_CONTROL_TOKEN", "wrong").output().unwrap();
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("unauthenticated"));
    assert_eq!(running.ok(&["status"]), "feed\n  connected  true\n");
}

#[test]
fn tokens_are_registered_listed_revoked_and_reinstated() {
    let running = Running::start(false);
    let id = "a b/ü";
    let register = ["tokens", "register", "--jti", id, "--sub", "u", "--type", "refresh"];
    let said = running.ok(&[&register[..], &["--expires-at", "+1h"]].concat());
    assert!(said.starts_with("registered: a b/ü of https://i.test/, kept until "), "{said}");
    let listed = running.ok(&["tokens", "--subject", "u"]);
    assert!(listed.starts_with("JTI"), "{listed}");
    assert!(listed.contains("refresh") && listed.trim_end().ends_with("no"), "{listed}");
    assert_eq!(running.ok(&["tokens", "--subject", "v"]).lines().count(), 1, "its head");
    let said = running.ok(&["tokens", "revoke", id, "--reason", "lost"]);
    assert_eq!(said, "revoked: a b/ü of https://i.test/\n");
    let page: Value = serde_json::from_str(&running.ok(&["tokens", "--json"])).unwrap();
    assert_eq!(page["items"][0]["jti"], id);
    let said = running.ok(&["tokens", "reinstate", id]);
    assert_eq!(said, "reinstated: a b/ü of https://i.test/\n");
    let gone = running.say(&["tokens", "revoke", "nobody's"], b"");
    assert_eq!(gone.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&gone.stderr).contains("no_such_token"), "{gone:?}");
    let piped = running.say(&["tokens", "register", "--token", "-"], b"x.y.z\n");
    assert_eq!(piped.status.code(), Some(64), "{piped:?}");
}
