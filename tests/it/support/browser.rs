//! Headless Chromium, driven over the pipe of its DevTools protocol.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::eventually::eventually;

/// A browser that runs; ended when it is dropped.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    last: u64,
    _profile: TempDir,
}

/// A tab in a profile of its own: no cookie of another one's is there.
#[derive(Debug)]
pub struct Page(String);

// === impl Browser ===

impl Browser {
    /// Starts one. The protocol's pipe is at descriptors 3 and 4, which only a shell can say.
    pub fn start() -> Self {
        let profile = tempfile::tempdir().expect("a folder");
        let script = "exec chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage \
            --no-first-run --disable-background-networking --remote-debugging-pipe \
            --user-data-dir=\"$0\" 3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null";
        let mut child = Command::new("sh")
            .args(["-c", script])
            .arg(profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh runs");
        let input = child.stdin.take().expect("a pipe");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut it = Self { child, input, output, last: 0, _profile: profile };
        it.call("Browser.getVersion", json!({}), None);
        it
    }

    /// Opens a page in a profile of its own and waits until this holds in it.
    pub fn open(&mut self, url: &str, ready: &str) -> Page {
        let context = self.call("Target.createBrowserContext", json!({}), None);
        let context = &context["browserContextId"];
        let target = json!({ "url": url, "browserContextId": context });
        let target = self.call("Target.createTarget", target, None);
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.call("Target.attachToTarget", attach, None);
        let page = Page(session["sessionId"].as_str().expect("a session").to_owned());
        eventually("the page", || (self.run(&page, ready) == true).then_some(()));
        page
    }

    /// Runs a script's expression in the page; what it, or its promise, comes to.
    #[track_caller]
    pub fn run(&mut self, page: &Page, expression: &str) -> Value {
        let script =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let came = self.call("Runtime.evaluate", script, Some(page));
        assert!(came.get("exceptionDetails").is_none(), "{expression}: {came}");
        came["result"]["value"].clone()
    }

    #[track_caller]
    fn call(&mut self, method: &str, params: Value, page: Option<&Page>) -> Value {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": params });
        if let Some(page) = page {
            message["sessionId"] = json!(page.0);
        }
        write!(self.input, "{message}\0").expect("chromium runs: ./scripts/test installs it");
        loop {
            let mut answer = Vec::new();
            self.output.read_until(0, &mut answer).expect("the pipe is open");
            assert_eq!(answer.pop(), Some(0), "chromium ended: ./scripts/test installs it");
            let answer: Value = serde_json::from_slice(&answer).expect("JSON");
            if answer["id"] == self.last {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
