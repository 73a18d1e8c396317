//! What is applied, as curl hears of it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::support::gateway::{CREDENTIAL, ORDERS, TestGateway};

/// A `curl -N` that watches.
struct Curl {
    process: Child,
    lines: BufReader<ChildStdout>,
}

impl Curl {
    fn watch(gateway: &TestGateway) -> Self {
        let mut process = Command::new("curl")
            .args(["-sN", "--max-time", "60", "-H", &format!("Authorization: Bearer {CREDENTIAL}")])
            .arg(format!("http://{}/v1/events", gateway.running.control))
            .stdout(Stdio::piped())
            .spawn()
            .expect("curl");
        let lines = BufReader::new(process.stdout.take().expect("piped"));
        let mut curl = Self { process, lines };
        assert_eq!(curl.line(), ": watching");
        curl
    }

    /// The next line that is not empty.
    fn line(&mut self) -> String {
        let mut line = String::new();
        while line.trim_end().is_empty() {
            line.clear();
            assert_ne!(self.lines.read_line(&mut line).expect("a line"), 0, "curl has ended");
        }
        line.trim_end().to_owned()
    }

    /// The next event: its name, its cursor and its record.
    fn event(&mut self) -> (String, String, Value) {
        let mut part = |name: &str| {
            let line = self.line();
            line.strip_prefix(name).unwrap_or_else(|| panic!("{name} in {line}")).to_owned()
        };
        let (name, id, data) = (part("event: "), part("id: "), part("data: "));
        (name, id, serde_json::from_str(&data).expect("JSON"))
    }
}

impl Drop for Curl {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[test]
fn whoever_watches_hears_of_each_revocation_with_the_cursor_of_its_answer() {
    let gateway = TestGateway::start(ORDERS);
    let mut curl = Curl::watch(&gateway);
    let answer = gateway.revoke(&json!({ "claim": "sub", "value": "alice", "reason": "stolen" }));
    let said = answer.json();
    let (name, cursor, record) = curl.event();
    assert_eq!((&*name, json!(cursor)), ("revoke", said["cursor"].clone()));
    for member in ["id", "claim", "value", "reason", "actor", "issued_before", "expires_at"] {
        assert_eq!(record[member], said[member], "{member}");
    }
    let query = "/v1/revocations?claim=sub&value=alice";
    assert_eq!(gateway.control("DELETE", query).send().status, 200);
    let (name, later, record) = curl.event();
    assert_eq!((&*name, &record["value"]), ("reinstate", &json!("alice")));
    assert_ne!(later, cursor);
    let (_folder, _upstream) = gateway.stop();
    assert!(curl.process.wait().expect("an end").success(), "a whole answer, and no error");
}
