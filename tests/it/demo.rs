//! The README's first command: the story plays, and the curl lines it prints do what they say.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

fn demo() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.arg("demo");
    command
}

#[test]
fn the_story_plays_to_its_end() {
    let output = demo().arg("--once").output().expect("the program runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    for line in ["revoked", "reinstated", "logs out everywhere", "That was the real gateway"] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert_eq!(told.matches("token-revoked").count(), 3, "{told}");
}

#[test]
fn its_curl_lines_pass_then_revoke_then_are_refused() {
    let mut child =
        demo().stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the program starts");
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    let told: Vec<String> = lines.take_while(|line| !line.starts_with("Ctrl-C")).collect();
    let folder = told.iter().find_map(|line| line.trim().strip_prefix("folder")).expect("a folder");
    let folder = folder.trim().split(' ').next().expect("a path").to_owned();
    let script = told.join("\n").replace("\\\n", " ");
    let statuses: Vec<String> = script
        .lines()
        .filter(|line| line.trim().starts_with("curl -i"))
        .map(|line| {
            let output = Command::new("bash").args(["-c", line]).output().expect("bash runs");
            String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned()
        })
        .collect();
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().expect("kill runs").success());
    assert!(child.wait().expect("it ends").success());
    assert_eq!(statuses, ["HTTP/1.1 200 OK", "HTTP/1.1 201 Created", "HTTP/1.1 401 Unauthorized"]);
    assert!(!Path::new(&folder).exists(), "{folder} is left behind");
}

fn cluster_demo(feed: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let output = command.args(["cluster-demo", "--feed", feed]).output().expect("the program runs");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    told
}

#[test]
fn the_cluster_s_story_plays_to_its_end_on_each_broker() {
    for feed in ["redis", "nats"] {
        let told = cluster_demo(feed);
        let confirmed = "confirmed by gateway 1, gateway 2, gateway 3";
        for line in
            [confirmed, "refused at gateway 3", "kill -9", "nobody guesses (503)", "is back"]
        {
            assert!(told.contains(line), "{feed}: {line}: {told}");
        }
    }
}
