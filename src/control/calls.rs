//! Every call of the control port: the guard looks calls up in this table, and a test holds
//! `docs/control.md` against it.

use http::Method;

use crate::config::Role;

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Which handler; also the `call` label of `portcullis_control_requests`.
    pub name: CallName,
    /// Its method. `GET` calls answer `HEAD` too.
    pub method: Method,
    /// Its exact path; a last part in braces is any one part.
    pub path: &'static str,
    /// Who may.
    pub needs: Needs,
    /// Accepted media types of its body; empty when it takes none.
    pub media: &'static [&'static str],
}

/// The handler of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallName {
    /// Take back.
    Revoke,
    /// Give back.
    Reinstate,
    /// A page of entries.
    List,
    /// Many records in.
    Import,
    /// Every entry out.
    Export,
    /// Say that a token was issued.
    Register,
    /// A page of registered tokens.
    Tokens,
    /// Take a registered token back, or give it back.
    Change,
    /// Why a token would be refused.
    Explain,
    /// What is applied, as it happens.
    Events,
    /// How it runs.
    Status,
    /// Who follows the store.
    Nodes,
    /// What it runs with.
    Config,
    /// Read the configuration again.
    Reload,
    /// Whether the process answers.
    Livez,
    /// Whether it may be sent traffic.
    Readyz,
    /// The counters.
    Metrics,
    /// What all of this is, for machines.
    OpenApi,
}

/// Who may make a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Anyone who reaches the port.
    Nothing,
    /// A credential with this role or a greater one.
    Role(Role),
}

/// What the table says to a method and a path.
#[derive(Debug)]
pub(super) enum Found {
    /// This call.
    Call(&'static Call),
    /// The path is known, the method is not; the value of `Allow`, and whether the path is open.
    OtherMethod { allow: String, open: bool },
    /// No such path.
    Nothing,
}

const JSON: &[&str] = &["application/json"];
const LINES: &[&str] = &["application/x-ndjson", "application/json"];

/// The calls, in the order of the documentation.
pub static CALLS: &[Call] = &[
    call(CallName::Revoke, Method::POST, "/v1/revocations", Needs::Role(Role::Revoke), JSON),
    call(CallName::Reinstate, Method::DELETE, "/v1/revocations", Needs::Role(Role::Revoke), &[]),
    call(CallName::List, Method::GET, "/v1/revocations", Needs::Role(Role::Read), &[]),
    call(
        CallName::Import,
        Method::POST,
        "/v1/revocations/import",
        Needs::Role(Role::Revoke),
        LINES,
    ),
    call(CallName::Export, Method::GET, "/v1/revocations/export", Needs::Role(Role::Read), &[]),
    call(CallName::Register, Method::POST, "/v1/tokens", Needs::Role(Role::Revoke), JSON),
    call(CallName::Tokens, Method::GET, "/v1/tokens", Needs::Role(Role::Read), &[]),
    call(CallName::Change, Method::PUT, "/v1/tokens/{jti}", Needs::Role(Role::Revoke), JSON),
    call(CallName::Explain, Method::POST, "/v1/explain", Needs::Role(Role::Read), JSON),
    call(CallName::Events, Method::GET, "/v1/events", Needs::Role(Role::Read), &[]),
    call(CallName::Status, Method::GET, "/v1/status", Needs::Role(Role::Read), &[]),
    call(CallName::Nodes, Method::GET, "/v1/nodes", Needs::Role(Role::Read), &[]),
    call(CallName::Config, Method::GET, "/v1/config", Needs::Role(Role::Read), &[]),
    call(CallName::Reload, Method::POST, "/v1/reload", Needs::Role(Role::Admin), &[]),
    call(CallName::Livez, Method::GET, "/livez", Needs::Nothing, &[]),
    call(CallName::Readyz, Method::GET, "/readyz", Needs::Nothing, &[]),
    call(CallName::Metrics, Method::GET, "/metrics", Needs::Nothing, &[]),
    call(CallName::OpenApi, Method::GET, "/openapi.json", Needs::Nothing, &[]),
];

// === impl Call ===

impl Call {
    fn is_at(&self, path: &str) -> bool {
        let Some((front, _)) = self.path.split_once('{') else { return self.path == path };
        path.strip_prefix(front).is_some_and(|last| !last.is_empty() && !last.contains('/'))
    }
}

// === impl CallName ===

impl CallName {
    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revoke => "revoke",
            Self::Reinstate => "reinstate",
            Self::List => "list",
            Self::Import => "import",
            Self::Export => "export",
            Self::Register => "register",
            Self::Tokens => "tokens",
            Self::Change => "change",
            Self::Explain => "explain",
            Self::Events => "events",
            Self::Status => "status",
            Self::Nodes => "nodes",
            Self::Config => "config",
            Self::Reload => "reload",
            Self::Livez => "livez",
            Self::Readyz => "readyz",
            Self::Metrics => "metrics",
            Self::OpenApi => "openapi",
        }
    }
}

const fn call(
    name: CallName,
    method: Method,
    path: &'static str,
    needs: Needs,
    media: &'static [&'static str],
) -> Call {
    Call { name, method, path, needs, media }
}

/// A role's word in the configuration and the documentation.
pub(super) const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Read => "read",
        Role::Revoke => "revoke",
        Role::Admin => "admin",
    }
}

/// The call that a request means. The path is compared as it was sent: an escaped spelling is no path.
pub(super) fn find(method: &Method, path: &str) -> Found {
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    let at_path = || CALLS.iter().filter(|call| call.is_at(path));
    if let Some(call) = at_path().find(|call| call.method == *method) {
        return Found::Call(call);
    }
    let allow: Vec<&str> = at_path().map(|call| call.method.as_str()).collect();
    if allow.is_empty() {
        return Found::Nothing;
    }
    let open = at_path().all(|call| call.needs == Needs::Nothing);
    Found::OtherMethod { allow: allow.join(", "), open }
}
