//! A real OpenID provider from npm as the issuer: discovery, its JWK set, its tokens (RFC 9068).

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::support::client::{ask, get};
use crate::support::gateway::{CREDENTIAL, Running};
use crate::support::upstream::TestUpstream;

/// The provider, ended with the test.
struct Provider {
    issuer: String,
    address: SocketAddr,
    child: Child,
    _stdin: ChildStdin,
}

// === impl Provider ===

impl Provider {
    fn start() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/oidc");
        assert!(
            folder.join("node_modules").exists(),
            "run ./scripts/test: it installs the provider"
        );
        let mut child = Command::new("node")
            .arg("provider.mjs")
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node runs");
        let stdin = child.stdin.take().expect("a pipe");
        let mut line = String::new();
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
        lines.read_line(&mut line).expect("its issuer");
        let issuer = line.trim().to_owned();
        let address = issuer.strip_prefix("http://").expect("http").parse().expect("an address");
        Self { issuer, address, child, _stdin: stdin }
    }

    /// An access token for the client, by client credentials (RFC 6749 §4.4).
    fn token(&self, client: &str) -> String {
        let basic = STANDARD.encode(format!("{client}:a-client-secret"));
        let answer = ask(self.address, "POST", "/token")
            .field("Authorization", &format!("Basic {basic}"))
            .field("Content-Type", "application/x-www-form-urlencoded")
            .body(b"grant_type=client_credentials&scope=orders:read")
            .send();
        answer.json()["access_token"].as_str().expect("a token").to_owned()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn configuration(provider: &Provider, upstream: SocketAddr) -> String {
    let issuer = &provider.issuer;
    format!(
        r#"
listener = {{ address = "127.0.0.1:0" }}
log = {{ access = "off" }}
[control]
address = "127.0.0.1:0"
credentials = [{{ name = "test", secret = {{ file = "control.secret" }}, role = "admin" }}]
[[issuers]]
name = "provider"
issuer = "{issuer}"
audiences = ["orders-api"]
algorithms = ["RS256", "ES256"]
keys = {{ discovery = true }}
typ = ["at+jwt"]
[revocation]
embedded = {{ path = "revocations.redb" }}
[upstreams.orders]
endpoints = ["http://{upstream}"]
[[routes]]
name = "orders"
path = "/orders/"
upstream = "orders"
auth = "required"
token_types = ["access"]
scopes = ["orders:read"]
"#
    )
}

#[test]
fn a_real_providers_tokens_pass_by_discovery_and_are_taken_back_by_client_and_key() {
    let provider = Provider::start();
    let upstream = TestUpstream::start();
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("control.secret"), CREDENTIAL).expect("written");
    let gateway = Running::start(folder.path(), &configuration(&provider, upstream.address));
    let orders = |token: &str| get(gateway.data, "/orders/1").bearer(token).send();
    let revoke = |body: serde_json::Value| {
        let call = ask(gateway.control, "POST", "/v1/revocations").bearer(CREDENTIAL);
        assert_eq!(call.json(&body).send().status, 201);
    };
    let (rsa, ec) = (provider.token("rsa"), provider.token("ec"));
    orders(&rsa).expect_forwarded();
    orders(&ec).expect_forwarded();

    revoke(json!({ "claim": "client_id", "value": "rsa", "reason": "the client's secret leaked" }));
    orders(&rsa).expect_rejected(401, "token-revoked");
    orders(&ec).expect_forwarded();
    revoke(json!({ "claim": "kid", "value": "ec-1", "reason": "the key leaked" }));
    orders(&ec).expect_rejected(401, "token-revoked");
    orders(&provider.token("ec")).expect_rejected(401, "token-revoked");
}
