//! A real OpenID provider from npm as the issuer: discovery, its JWK set, its tokens (RFC 9068).

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::support::client::{Answer, ask, get};
use crate::support::gateway::{Running, bare, folder};
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
        self.token_of(client, "grant_type=client_credentials&scope=orders:read")
    }

    /// The same as an opaque token, which the provider keeps.
    fn opaque(&self, client: &str) -> String {
        let form = "grant_type=client_credentials&scope=orders:read";
        self.token_of(client, &format!("{form}&resource=https://opaque.example.com"))
    }

    fn token_of(&self, client: &str, form: &str) -> String {
        let answer = self.post(client, "/token", form);
        answer.json()["access_token"].as_str().expect("a token").to_owned()
    }

    fn post(&self, client: &str, path: &str, form: &str) -> Answer {
        let basic = STANDARD.encode(format!("{client}:a-client-secret"));
        let answer = ask(self.address, "POST", path)
            .field("Authorization", &format!("Basic {basic}"))
            .field("Content-Type", "application/x-www-form-urlencoded")
            .body(form.as_bytes())
            .send();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
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
    let tables = format!(
        r#"
[[issuers]]
name = "provider"
issuer = "{issuer}"
audiences = ["orders-api"]
algorithms = ["RS256", "ES256"]
keys = {{ discovery = true }}
typ = ["at+jwt"]
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
    );
    bare("", &tables)
}

#[test]
fn a_real_providers_tokens_pass_by_discovery_and_are_taken_back_by_client_and_key() {
    let provider = Provider::start();
    let upstream = TestUpstream::start();
    let folder = folder(&[]);
    let gateway = Running::start(folder.path(), &configuration(&provider, upstream.address));
    let orders = |token: &str| get(gateway.data, "/orders/1").bearer(token).send();
    let (rsa, ec) = (provider.token("rsa"), provider.token("ec"));
    orders(&rsa).expect_forwarded();
    orders(&ec).expect_forwarded();

    let leaked = "the client's secret leaked";
    gateway.revoke(&json!({ "claim": "client_id", "value": "rsa", "reason": leaked }));
    orders(&rsa).expect_rejected(401, "token-revoked");
    orders(&ec).expect_forwarded();
    gateway.revoke(&json!({ "claim": "kid", "value": "ec-1", "reason": "the key leaked" }));
    orders(&ec).expect_rejected(401, "token-revoked");
    orders(&provider.token("ec")).expect_rejected(401, "token-revoked");
}

#[test]
fn a_token_that_was_revoked_at_a_real_provider_is_out_by_introspection() {
    let provider = Provider::start();
    let upstream = TestUpstream::start();
    let folder = folder(&[("client.secret", "a-client-secret")]);
    let callback = format!(
        r#"callback = "provider"
[callbacks.provider]
kind = "introspection"
url = "{}/token/introspection"
client_id = "gate"
client_secret = {{ file = "client.secret" }}
timeout = "10s"
cache = {{ ttl = "0s" }}
"#,
        provider.issuer
    );
    let text = configuration(&provider, upstream.address) + &callback;
    let gateway = Running::start(folder.path(), &text);
    let orders = |token: &str| get(gateway.data, "/orders/1").bearer(token).send();
    let (one, two) = (provider.token("rsa"), provider.token("rsa"));
    let opaque = provider.opaque("rsa");
    provider.post("rsa", "/twins", &format!("jwt={one}&opaque={opaque}"));
    orders(&one).expect_forwarded();
    // The provider does not know its JWTs by themselves (RFC 7662 §2.2: not active).
    orders(&two).expect_rejected(401, "token-inactive");
    // Of another client's token it says so, and that is another token.
    provider.post("rsa", "/twins", &format!("jwt={two}&opaque={}", provider.opaque("ec")));
    orders(&two).expect_rejected(503, "callback-unavailable");
    orders(&one).expect_forwarded();
    provider.post("rsa", "/token/revocation", &format!("token={one}"));
    orders(&one).expect_rejected(401, "token-inactive");
}
