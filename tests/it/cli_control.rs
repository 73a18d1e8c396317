//! The commands against a real control port, before a small in-memory gateway.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use portcullis::config::{ControlAddress, ControlConfig};
use portcullis::control::{BoundAddress, Control};
use portcullis::shutdown::Shutdown;
use serde_json::Value;
use tempfile::TempDir;

#[path = "../../src/control/tests/fake.rs"]
#[expect(dead_code, reason = "the control port's own tests look at more of it")]
mod fake;

use fake::Fake;

/// A running port with its configuration file; the credential is the one made at first start.
struct Running {
    folder: TempDir,
    house: Arc<Fake>,
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
        let house = Fake::new();
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
            "--expires-at",
            "1767225600",
        ]);
        let expected = "revoked: sub a b&c of https://issuer.test/ issued up to 2025-12-31T00:00:00Z, \
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
    assert!(all.ends_with("\nin force on: one, two\n"), "{all}");
    running.house.slow_node.store(true, Ordering::SeqCst);
    for command in ["revoke", "reinstate"] {
        let output = running.say(&[&[command], &entry[..], &["3"]].concat(), b"");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("recorded") && error.contains("missing: two"), "{error}");
    }
    let line = b"{\"claim\":\"jti\",\"value\":\"x\"}\n";
    let import = running.say(&["import", "-", "--wait", "2"], line);
    assert_eq!((import.status.code(), &*import.stdout), (Some(1), &b"1 accepted, 0 refused\n"[..]));
    for odd in [["--wait", "0"], ["--wait", "some"], ["--timeout", "1s"]] {
        let output = running.say(&[&["import", "-"], &odd[..]].concat(), line);
        assert_eq!(output.status.code(), Some(64), "{odd:?}: {output:?}");
    }
    let nodes = running.ok(&["nodes"]);
    assert!(nodes.contains("*  one") && nodes.contains("41") && nodes.contains("0.3 s"), "{nodes}");
}

#[test]
fn a_token_comes_by_pipe_or_file() {
    let running = Running::start(false);
    let output = running.say(&["revoke", "--token", "-"], b"  good.piped-token\n");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let file = running.folder.path().join("token");
    std::fs::write(&file, "good.filed-token\n").unwrap();
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
    assert!(String::from_utf8_lossy(&refused.stderr).contains("claim: is not a claim"));
    running.house.reload_refused.store(true, Ordering::SeqCst);
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
    assert!(said.starts_with("registered: a b/ü of https://issuer.test/, kept until "), "{said}");
    let listed = running.ok(&["tokens", "--subject", "u"]);
    assert!(listed.starts_with("JTI"), "{listed}");
    assert!(listed.contains("refresh") && listed.trim_end().ends_with("no"), "{listed}");
    assert_eq!(running.ok(&["tokens", "--subject", "v"]).lines().count(), 1, "its head");
    let said = running.ok(&["tokens", "revoke", id, "--reason", "lost"]);
    assert_eq!(said, "revoked: a b/ü of https://issuer.test/\n");
    let page: Value = serde_json::from_str(&running.ok(&["tokens", "--json"])).unwrap();
    assert_eq!(page["items"][0]["jti"], id);
    let said = running.ok(&["tokens", "reinstate", id]);
    assert_eq!(said, "reinstated: a b/ü of https://issuer.test/\n");
    let gone = running.say(&["tokens", "revoke", "nobody's"], b"");
    assert_eq!(gone.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&gone.stderr).contains("no_such_token"), "{gone:?}");
    let piped = running.say(&["tokens", "register", "--token", "-"], b"x.y.z\n");
    assert_eq!(piped.status.code(), Some(64), "{piped:?}");
}
