//! The program as an operator runs it: `run`, SIGHUP, SIGTERM, and configuration files it refuses.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::client::get;
use crate::support::eventually::eventually;
use crate::support::gateway::{ORDERS, configuration, folder};
use crate::support::issuer::TestIssuer;
use crate::support::program::Program;
use crate::support::upstream::TestUpstream;

fn start() -> (TempDir, TestUpstream) {
    (folder(&[("jwks.json", &TestIssuer::new().key.jwks())]), TestUpstream::start())
}

fn write(folder: &Path, text: &str) {
    std::fs::write(folder.join("gateway.toml"), text).expect("written");
}

#[test]
fn a_hangup_reloads_and_a_bad_file_changes_nothing() {
    let (folder, upstream) = start();
    let token = TestIssuer::new().good();
    write(folder.path(), &configuration(&upstream, ORDERS));
    let mut program = Program::start(&folder.path().join("gateway.toml"));
    let status = |path: &str| get(program.data, path).bearer(&token).send().status;
    assert_eq!((status("/orders/1"), status("/invoices/1")), (200, 404));

    let moved = ORDERS.replace("/orders/", "/invoices/");
    write(folder.path(), &configuration(&upstream, &moved));
    program.signal("HUP");
    eventually("the new route", || (status("/invoices/1") == 200).then_some(()));
    assert_eq!(status("/orders/1"), 404);

    write(folder.path(), &configuration(&upstream, &moved.replace("upstream", "upstraem")));
    program.signal("HUP");
    eventually("the refusal is counted", || {
        let metrics = get(program.control, "/metrics").send().text();
        metrics.contains("config_reloads_total{outcome=\"refused\"} 1").then_some(())
    });
    assert_eq!((status("/orders/1"), status("/invoices/1")), (404, 200));
    program.signal("TERM");
    assert_eq!(program.ended().code(), Some(0));
}

#[test]
fn a_moved_access_log_is_opened_again_at_a_hangup() {
    let (folder, upstream) = start();
    write(folder.path(), &configuration(&upstream, ORDERS));
    let program = Program::start(&folder.path().join("gateway.toml"));
    let (log, moved) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    get(program.data, "/orders/1").send();
    eventually("the first line", || {
        (std::fs::read_to_string(&log).ok()?.lines().count() == 1).then_some(())
    });
    std::fs::rename(&log, &moved).expect("moved");
    program.signal("HUP");
    eventually("a new file", || log.exists().then_some(()));
    get(program.data, "/orders/2").send();
    eventually("its first line", || {
        std::fs::read_to_string(&log).ok()?.contains("/orders/2").then_some(())
    });
    assert_eq!(std::fs::read_to_string(&moved).expect("there").lines().count(), 1);
}

#[test]
fn run_and_check_refuse_a_bad_file_with_64_and_every_problem_in_its_place() {
    let (folder, upstream) = start();
    let bad = configuration(&upstream, ORDERS)
        .replace("upstream = \"orders\"", "upstream = \"order\"")
        .replace("auth = \"required\"", "auht = \"required\"")
        .replace("leeway = \"0s\"", "leeway = \"soon\"");
    write(folder.path(), &bad);
    for command in ["run", "check"] {
        let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args([command, "--config"])
            .arg(folder.path().join("gateway.toml"))
            .output()
            .expect("the program runs");
        assert_eq!(output.status.code(), Some(64), "{command}");
        let told = String::from_utf8_lossy(&output.stderr);
        for line in ["leeway = \"soon\"", "auht = \"required\"", "upstream = \"order\""] {
            let number = 1 + bad.lines().position(|text| text == line).expect("the line is there");
            assert!(told.contains(&format!("gateway.toml:{number}:")), "{command}: {line}: {told}");
        }
        assert!(told.contains("did you mean"), "{told}");
    }
}

#[test]
fn a_second_gateway_on_the_same_store_or_port_fails_and_says_why() {
    let (folder, upstream) = start();
    write(folder.path(), &configuration(&upstream, ORDERS));
    let _first = Program::start(&folder.path().join("gateway.toml"));
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["run", "--config"])
        .arg(folder.path().join("gateway.toml"))
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("revocation store"), "{told}");
}
