//! Who is let through: kinds of token, optional and public routes, scopes, claim rules, shadow, and
//! the identity the upstream is told.

use serde_json::json;

use crate::support::client::get;
use crate::support::gateway::TestGateway;

const ROUTES: &str = r#"
[[routes]]
name = "public"
path = "/public"
upstream = "orders"
auth = "none"

[[routes]]
name = "optional"
path = "/optional"
upstream = "orders"
auth = "optional"
token_types = ["access"]
forward = { claims = { sub = "X-Auth-Subject" } }

[[routes]]
name = "access"
path = "/access"
upstream = "orders"
auth = "required"
token_types = ["access"]
forward = { token = false, claims = { sub = "X-Auth-Subject", "realm.roles" = "X-Auth-Roles" } }

[[routes]]
name = "refresh"
path = "/refresh"
upstream = "orders"
auth = "required"
token_types = ["refresh"]

[[routes]]
name = "both"
path = "/both"
upstream = "orders"
auth = "required"
token_types = ["access", "refresh"]

[[routes]]
name = "scoped"
path = "/scoped"
upstream = "orders"
auth = "required"
token_types = ["access"]
scopes = ["orders:read", "orders:write"]

[[routes]]
name = "ruled"
path = "/ruled"
upstream = "orders"
auth = "required"
token_types = ["access"]
claims = [{ claim = "realm.roles", any_of = ["buyer", "admin"] }]

[[routes]]
name = "shadow"
path = "/shadow"
upstream = "orders"
auth = "required"
token_types = ["access"]
shadow = true
forward = { claims = { sub = "X-Auth-Subject" } }

[[routes]]
name = "bare"
path = "/bare"
upstream = "orders"
auth = "required"
token_types = ["access"]
errors = "bare"

[[routes]]
name = "raw"
path = "/raw"
upstream = "orders"
auth = "required"
token_types = ["access"]
token_from = [{ header = "X-Token" }]
"#;

#[test]
fn each_route_takes_the_kinds_it_names() {
    let gateway = TestGateway::start(ROUTES);
    let (access, refresh) = (gateway.issuer.good(), gateway.issuer.refresh());
    for (path, with_access, with_refresh) in [
        ("/access", 200, 401),
        ("/refresh", 401, 200),
        ("/both", 200, 200),
        ("/optional", 200, 401),
    ] {
        assert_eq!(gateway.get(path).bearer(&access).send().status, with_access, "{path}");
        assert_eq!(gateway.get(path).bearer(&refresh).send().status, with_refresh, "{path}");
    }
}

#[test]
fn an_optional_route_lets_nobody_pass_as_somebody() {
    let gateway = TestGateway::start(ROUTES);
    let asked = |ask: crate::support::client::Ask| ask.field("X-Auth-Subject", "root").send();
    asked(gateway.get("/optional")).expect_forwarded();
    assert_eq!(gateway.upstream.last().field("x-auth-subject"), None);
    asked(gateway.get("/optional").bearer(&gateway.issuer.good())).expect_forwarded();
    assert_eq!(gateway.upstream.last().all("x-auth-subject"), ["alice"]);
    let expired = gateway.issuer.expired();
    gateway.get("/optional").bearer(&expired).send().expect_rejected(401, "token-expired");
    asked(gateway.get("/public")).expect_forwarded();
    assert_eq!(gateway.upstream.last().field("x-auth-subject"), None, "public routes strip it too");
}

#[test]
fn the_credential_is_kept_or_removed_as_the_route_says() {
    let gateway = TestGateway::start(ROUTES);
    let token = gateway.issuer.token(json!({ "realm": { "roles": ["buyer", "admin"] } }));
    gateway.get("/access").bearer(&token).send().expect_forwarded();
    let seen = gateway.upstream.last();
    assert_eq!(seen.field("authorization"), None);
    assert_eq!(seen.field("x-auth-roles"), Some("buyer,admin"));
    gateway.get("/both").bearer(&token).send().expect_forwarded();
    assert_eq!(gateway.upstream.last().field("authorization"), Some(&*format!("Bearer {token}")));
}

#[test]
fn a_lack_of_scope_is_403_and_names_the_scopes() {
    let gateway = TestGateway::start(ROUTES);
    let lacking = gateway.get("/scoped").bearer(&gateway.issuer.good()).send();
    lacking.expect_rejected(403, "insufficient-scope");
    let challenge = lacking.field("www-authenticate").expect("a challenge");
    assert!(challenge.contains("scope=\"orders:read orders:write\""), "{challenge}");
    let token = gateway.issuer.token(json!({ "scope": "orders:write x orders:read" }));
    gateway.get("/scoped").bearer(&token).send().expect_forwarded();
}

#[test]
fn a_claim_rule_looks_inside_objects_and_lists() {
    let gateway = TestGateway::start(ROUTES);
    for (roles, status) in [
        (json!(["viewer", "buyer"]), 200),
        (json!("admin"), 200),
        (json!(["viewer"]), 403),
        (json!([]), 403),
        (json!(null), 403),
        (json!("buyer,admin"), 403),
    ] {
        let token = gateway.issuer.token(json!({ "realm": { "roles": roles } }));
        assert_eq!(gateway.get("/ruled").bearer(&token).send().status, status, "{roles}");
    }
    let without = gateway.get("/ruled").bearer(&gateway.issuer.good()).send();
    without.expect_rejected(403, "access-denied");
}

#[test]
fn a_route_in_shadow_lets_pass_what_it_would_refuse_and_counts_it() {
    let gateway = TestGateway::start(ROUTES);
    gateway.get("/shadow").field("X-Auth-Subject", "root").send().expect_forwarded();
    assert_eq!(gateway.upstream.last().field("x-auth-subject"), None);
    gateway.get("/shadow").bearer(&gateway.issuer.expired()).send().expect_forwarded();
    let metrics = get(gateway.running.control, "/metrics").send().text();
    for reason in ["missing", "expired"] {
        let line = metrics.lines().find(|line| {
            line.contains("route=\"shadow\"") && line.contains("shadowed") && line.contains(reason)
        });
        assert!(line.is_some_and(|line| line.ends_with(" 1")), "{reason}: {line:?}");
    }
}

#[test]
fn a_bare_route_answers_with_status_and_challenge_alone() {
    let gateway = TestGateway::start(ROUTES);
    let answer = gateway.get("/bare").send();
    assert_eq!((answer.status, answer.body.len()), (401, 0));
    assert_eq!(answer.field("www-authenticate"), Some("Bearer realm=\"bare\""));
}

#[test]
fn a_token_is_found_only_where_the_route_looks() {
    let gateway = TestGateway::start(ROUTES);
    let token = gateway.issuer.good();
    gateway.get("/raw").field("X-Token", &token).send().expect_forwarded();
    gateway.get("/raw").bearer(&token).send().expect_rejected(401, "token-missing");
    gateway.get("/access").field("X-Token", &token).send().expect_rejected(401, "token-missing");
}
