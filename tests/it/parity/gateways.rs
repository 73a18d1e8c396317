//! The application, and gateways with what its mounts are configured with.

use std::net::SocketAddr;

use portcullis::token::mint::SigningKey;
use serde_json::json;
use tempfile::TempDir;

use crate::support::client::ask;
use crate::support::flask::{self, HS256};
use crate::support::gateway::{Running, bare, folder};
use crate::support::issuer::{SECRET, TestIssuer};
use crate::support::python::PythonApp;
use crate::support::upstream::TestUpstream;

use super::tokens::Tokens;

/// Both sides, with the same tokens revoked.
pub struct Pair {
    pub app: PythonApp,
    pub tokens: Tokens,
    main: Running,
    strict: Running,
    leeway: Running,
    identity: Running,
    _folders: [TempDir; 4],
}

/// A route's keys beside name, path, upstream and what all have.
const MAIN: [(&str, &str); 19] = [
    ("access", ""),
    ("refresh", "token_types = [\"refresh\"]"),
    ("any", "token_types = \"both\""),
    ("fresh", "fresh = true"),
    ("fresh-any", "fresh = true\ntoken_types = \"both\""),
    ("optional", ""),
    ("optional-fresh", "fresh = true"),
    ("skip", "check_revocation = []"),
    ("ruled", "claims = [ { claim = \"role\", any_of = [\"admin\"] } ]"),
    ("cookie", "token_from = [ { cookie = \"access_token_cookie\" } ]"),
    (
        "cookie-refresh",
        "token_from = [ { cookie = \"refresh_token_cookie\" } ]\ntoken_types = [\"refresh\"]",
    ),
    ("cookie-optional", "token_from = [ { cookie = \"access_token_cookie\" } ]"),
    ("query", "token_from = [ { query = \"jwt\" } ]"),
    ("query-optional", "token_from = [ { query = \"jwt\" } ]"),
    ("multi", MULTI),
    (
        "multi3",
        "token_from = [ { query = \"jwt\" }, { cookie = \"access_token_cookie\" }, \
         { header = \"Authorization\", scheme = \"Bearer\" } ]",
    ),
    ("multi-optional", MULTI),
    (
        "multi-json",
        "token_from = [ { header = \"Authorization\", scheme = \"Bearer\" }, \
         { json = \"access_token\" } ]",
    ),
    (
        "multi-json-optional",
        "token_from = [ { json = \"access_token\" }, \
         { header = \"Authorization\", scheme = \"Bearer\" } ]",
    ),
];

const MULTI: &str = "token_from = [ { header = \"Authorization\", scheme = \"Bearer\" }, \
                     { cookie = \"access_token_cookie\" } ]";

/// Where the other mounts look for an access token.
const MOUNTS: [(&str, &str); 8] = [
    ("raw", "{ header = \"Authorization\" }"),
    ("named", "{ header = \"X-JWT\", scheme = \"JWT\" }"),
    ("prefix", "{ query = \"jwt\", prefix = \"Bearer \" }"),
    ("plain", "{ cookie = \"access_token_cookie\", csrf = false }"),
    ("csrf", "{ cookie = \"session\", csrf_header = \"X-Proof\", csrf_methods = [\"POST\"] }"),
    ("json", "{ json = \"access_token\" }"),
    ("form", "{ cookie = \"access_token_cookie\", csrf_form = \"csrf_token\" }"),
    ("keyed", "{ header = \"Authorization\", scheme = \"Bearer\" }"),
];

// === impl Pair ===

impl Pair {
    pub fn start() -> Self {
        let app = flask::app("parity_app", &[]);
        let upstream = TestUpstream::start().address;
        let free = "tokens_without_issuer = true\nany_audience = true";
        let strict = "issuer = \"https://login.example.com/\"\naudiences = [\"orders\"]";
        let folders: [TempDir; 4] = std::array::from_fn(|_| folder(&[("jwt.secret", SECRET)]));
        let start = |place: usize, issuer: &str, leeway: &str, routes: &str| {
            let text = configuration(upstream, issuer, leeway, routes);
            Running::start(folders[place].path(), &text)
        };
        let main = start(0, free, "0s", &main_routes());
        let strict = start(1, strict, "0s", &mount_routes("strict", None));
        let leeway = start(2, free, "60s", &mount_routes("leeway", None));
        let named = format!("{free}\nidentity = \"identity\"");
        let routes = mount_routes("identity", None).replace("{ sub =", "{ identity =");
        let identity = start(3, &named, "0s", &routes);
        let tokens = Tokens::mint();
        let pair = Self { app, tokens, main, strict, leeway, identity, _folders: folders };
        pair.tokens.revoked.iter().for_each(|id| pair.revoke(id));
        pair
    }

    pub fn gateway_of(&self, target: &str) -> SocketAddr {
        match target.split('/').nth(1) {
            Some("strict") => self.strict.data,
            Some("leeway") => self.leeway.data,
            Some("identity") => self.identity.data,
            _ => self.main.data,
        }
    }

    fn revoke(&self, id: &str) {
        let answer = ask(self.app.address, "POST", "/blocklist").json(&json!({ "jti": id })).send();
        assert_eq!(answer.status, 200, "{}", answer.text());
        for gateway in [&self.main, &self.strict, &self.leeway] {
            gateway.revoke(&json!({ "claim": "jti", "value": id }));
        }
    }
}

/// The key of both sides.
pub fn key() -> SigningKey {
    TestIssuer::hmac().key.without_kid()
}

fn route(path: &str, keys: &str) -> String {
    let auth = if path.contains("optional") { "optional" } else { "required" };
    let name = path.trim_start_matches('/').replace('/', "-");
    let errors = if path.starts_with("/keyed") { "keyed" } else { "flask" };
    format!(
        "[[routes]]\nname = \"{name}\"\npath = \"={path}\"\nupstream = \"app\"\nauth = \"{auth}\"\n\
         errors = \"{errors}\"\nexempt_options = true\n\
         forward = {{ claims = {{ sub = \"X-Auth-Subject\" }} }}\n{keys}\n"
    )
}

fn mount_routes(mount: &str, place: Option<&str>) -> String {
    let from = place.map(|place| format!("token_from = [ {place} ]\n")).unwrap_or_default();
    let refresh = from.replace("access_token_cookie", "refresh_token_cookie");
    let refresh = refresh.replace("\"access_token\"", "\"refresh_token\"");
    let refresh = refresh.replace("\"session\"", "\"refresh_token_cookie\"");
    let refresh = refresh.replace("\"X-Proof\"", "\"X-CSRF-TOKEN\"");
    [
        route(&format!("/{mount}/access"), &from),
        route(&format!("/{mount}/optional"), &from),
        route(&format!("/{mount}/refresh"), &format!("{refresh}token_types = [\"refresh\"]")),
    ]
    .concat()
}

fn main_routes() -> String {
    let main = MAIN.map(|(name, keys)| route(&format!("/main/{name}"), keys));
    let mounts = MOUNTS.map(|(mount, place)| mount_routes(mount, Some(place)));
    main.concat() + &mounts.concat()
}

fn configuration(upstream: SocketAddr, issuer: &str, leeway: &str, routes: &str) -> String {
    let identity = if issuer.contains("identity") { "identity" } else { "sub" };
    let tables = format!(
        r#"
[[issuers]]
name = "flask"
{issuer}
{HS256}
leeway = "{leeway}"
max_lifetime = {{ access = "3650d", refresh = "3650d" }}
require = ["{identity}"]
text_dates = true
typ = ["*"]
token_type = {{ other = "access" }}
[errors.keyed]
profile = "flask"
message_key = "message"
[upstreams.app]
endpoints = ["http://{upstream}"]
{routes}"#
    );
    bare("", &tables)
}
