//! From the TOML's shape to the typed [`Config`]: every rule of one key and between keys.

mod callback;
mod control;
mod destination;
mod forward;
mod issuer;
mod keys;
mod listener;
mod place;
mod refusal;
mod revocation;
mod route;
mod secret;
mod store;
mod upstream;

use std::collections::HashSet;

use super::raw::{Node, Table, nearest, quoted};
use super::{AccessLog, Config, ControlAddress, ControlConfig, ListenerConfig, LogConfig};

/// The whole file; `None` only after a problem was said.
pub(super) fn config(root: &Table<'_>) -> Option<Config> {
    let (issuer_rows, route_rows) = (root.rows("issuers"), root.rows("routes"));
    let upstream_rows = root.section("upstreams").named();
    let control_table = root.section("control");
    let listener = listener::listener(&root.section("listener"));
    let (revocation, store) = revocation::revocation(&root.section("revocation"));
    let control = control::control(&control_table, &store);
    let log = log(&root.section("log"));
    let issuers = issuer::issuers(&issuer_rows);
    let upstreams = upstream::upstreams(&upstream_rows);
    let callback_rows = root.section("callbacks").named();
    let callbacks = callback::callbacks(&callback_rows);
    let form_rows = root.section("errors").named();
    let error_forms = refusal::forms(&form_rows);
    let names = route::Names {
        forms: form_rows.iter().map(|(name, _)| *name).collect(),
        read_forms: error_forms.as_deref().unwrap_or_default(),
        issuers: issuer_rows.iter().filter_map(|row| row.peek("name")).collect(),
        upstreams: upstream_rows.iter().map(|(name, _)| *name).collect(),
        callbacks: callback_rows.iter().map(|(name, _)| *name).collect(),
    };
    let routes = route::routes(&route_rows, &names, &revocation);
    if route_rows.is_empty() && !root.has("routes") {
        let problem = "no [[routes]]: the gateway would answer 404 to everything";
        let help = "a route has a name, a path, an upstream and auth; see docs/configuration.md";
        let _: Option<()> = root.wrong_but(problem, help);
    }
    let control = control?;
    refuse_same_address(&control_table, &listener, &control);
    upstream::refuse_loops(&upstream_rows, listener.address, &control.address);
    let (issuers, upstreams, callbacks, routes) = (issuers?, upstreams?, callbacks?, routes?);
    let error_forms = error_forms?;
    Some(Config {
        listener,
        control,
        log,
        issuers,
        revocation,
        upstreams,
        callbacks,
        error_forms,
        routes,
    })
}

fn refuse_same_address(table: &Table<'_>, listener: &ListenerConfig, control: &ControlConfig) {
    let data = listener.address;
    if data.port() != 0 && control.address == ControlAddress::Tcp(data) {
        let problem = "`listener` and `control` have one address; each needs its own";
        let _: Option<()> = match table.node("address") {
            Some(node) => node.wrong(problem),
            None => table.wrong_but(problem, "\"127.0.0.1:9901\" is the control port's default"),
        };
    }
}

/// `[log]`.
fn log(table: &Table<'_>) -> LogConfig {
    const LEVELS: [(&str, &str); 4] =
        [("error", "error"), ("warn", "warn"), ("info", "info"), ("debug", "debug")];
    let access = |node: &Node<'_>| match node.text()?.strip_prefix("file:") {
        Some("") => node.wrong_but("the file's path is missing", "\"file:logs/access.jsonl\""),
        Some(path) => Some(AccessLog::File(node.resolved(path))),
        None => node.word(&[
            ("stdout", AccessLog::Stdout),
            ("off", AccessLog::Off),
            ("file:path", AccessLog::Off),
        ]),
    };
    LogConfig {
        access: table.read("access", access).unwrap_or(AccessLog::Stdout),
        level: table.read("level", |node| node.word(&LEVELS)).unwrap_or("info").into(),
    }
}

/// Blames a name that an earlier row has.
fn refuse_twice(seen: &mut HashSet<String>, name: &str, node: &Node<'_>) -> Option<()> {
    if !seen.insert(name.to_owned()) {
        return node.wrong(format!("another has the name {name:?}"));
    }
    Some(())
}

/// One of the names that were declared.
fn reference<'d>(node: &Node<'d>, what: &str, names: &[&str]) -> Option<&'d str> {
    let name = node.text()?;
    if names.contains(&name) {
        return Some(name);
    }
    let problem = format!("no {what} is named {}", quoted(name));
    match (nearest(name, names), names) {
        (Some(help), _) => node.wrong_but(problem, help),
        (None, []) => node.wrong_but(problem, format!("there is no {what} in the file")),
        (None, _) => node.wrong_but(problem, format!("there are: {}", shortened(names))),
    }
}

fn shortened(names: &[&str]) -> String {
    let shown: Vec<_> = names.iter().take(10).map(|name| quoted(name)).collect();
    let more = if names.len() > 10 { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}
