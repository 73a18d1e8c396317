//! `[upstreams.name]`: where requests can go.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::Uri;

use crate::config::raw::{NOT_YET, Node, Table};
use crate::config::units::{millis, seconds};
use crate::config::{Balance, ControlAddress, HealthConfig, UpstreamConfig};

pub(super) fn upstreams(rows: &[(&str, Node<'_>)]) -> Option<Vec<UpstreamConfig>> {
    let read: Vec<Option<UpstreamConfig>> =
        rows.iter().map(|(name, node)| upstream(name, node)).collect();
    read.into_iter().collect()
}

/// A request must not come round again, nor through the data listener to the control port.
pub(super) fn refuse_loops(rows: &[(&str, Node<'_>)], data: SocketAddr, control: &ControlAddress) {
    let endpoints = rows.iter().filter_map(|(_, row)| row.peek_list("endpoints")).flatten();
    for node in endpoints {
        let uri = node.plain_text().and_then(|text| text.parse::<Uri>().ok());
        let Some(address) = uri.as_ref().and_then(socket_address) else { continue };
        let same = |own: SocketAddr| {
            let reached = own.ip() == address.ip()
                || (own.ip().is_unspecified() && address.ip().is_loopback());
            own.port() != 0 && own.port() == address.port() && reached
        };
        if same(data) {
            let _: Option<()> = node.wrong("is this gateway's own listener");
        } else if matches!(control, ControlAddress::Tcp(control) if same(*control)) {
            let _: Option<()> = node.wrong("is this gateway's own control port");
        }
    }
}

fn socket_address(uri: &Uri) -> Option<SocketAddr> {
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    let host = if host == "localhost" { "127.0.0.1" } else { host };
    Some(SocketAddr::new(host.parse::<IpAddr>().ok()?, uri.port_u16().unwrap_or(80)))
}

fn upstream(name: &str, node: &Node<'_>) -> Option<UpstreamConfig> {
    node.refuse_unless_label(name);
    let table = node.table()?;
    let endpoints = table.require("endpoints", "such as [\"http://127.0.0.1:9000\"]", |node| {
        node.distinct(endpoint)
    });
    let timeouts = table.section("timeouts");
    let time = |key, range, default| timeouts.read(key, |n| n.duration(range)).unwrap_or(default);
    let health = table.read("health", |node| health(&node.table()?));
    let attempts = table.section("retries").read("attempts", |node| node.integer(0..=3));
    Some(UpstreamConfig {
        name: Arc::from(name),
        balance: table.read("balance", balance).unwrap_or(Balance::LeastRequests),
        connect_timeout: time("connect", millis(10)..=seconds(60), seconds(1)),
        response_timeout: time("response", millis(10)..=seconds(3600), seconds(30)),
        idle_timeout: time("idle", seconds(1)..=seconds(3600), seconds(60)),
        retries: attempts.and_then(|attempts| u32::try_from(attempts).ok()).unwrap_or(1),
        health,
        endpoints: endpoints?,
    })
}

fn endpoint(node: &Node<'_>) -> Option<Uri> {
    const FORM: &str = "such as \"http://127.0.0.1:9000\"";
    let text = node.text()?;
    let Some(uri) = text.parse::<Uri>().ok().filter(|uri| uri.host().is_some()) else {
        node.hide();
        return node.wrong_but("expected a URL of scheme, host and port", FORM);
    };
    let authority = uri.authority().map_or("", http::uri::Authority::as_str);
    if authority.contains('@') {
        node.hide();
        return node.wrong("a URL with a user or password is not taken");
    }
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => {
            return node.wrong_but(format!("https upstreams: {NOT_YET}"), "this version has http");
        }
        _ => return node.wrong_but("expected an http URL", FORM),
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() || text.contains('#') {
        return node.wrong_but("an endpoint has no path and no query", "requests keep their own");
    }
    if authority.ends_with(':') || uri.port_u16() == Some(0) {
        return node.wrong_but("the port is missing", FORM);
    }
    Some(uri)
}

fn balance(node: &Node<'_>) -> Option<Balance> {
    match node.text()?.strip_prefix("hash:") {
        Some("") => node.wrong_but("the claim is missing", "\"hash:sub\""),
        Some(claim) => Some(Balance::Hash(claim.into())),
        None => node.word(&[
            ("least-requests", Balance::LeastRequests),
            ("round-robin", Balance::RoundRobin),
            ("hash:claim", Balance::Hash("claim".into())),
        ]),
    }
}

fn health(table: &Table<'_>) -> Option<HealthConfig> {
    let path = table.require("path", "such as \"/healthz\"", |node| {
        let text = node.text()?;
        match text.parse() {
            Ok(path) if text.starts_with('/') && !text.contains('#') => Some(path),
            _ => node.wrong("expected a path that begins with \"/\""),
        }
    });
    let count = |key, default| {
        let count = table.read(key, |node| node.integer(1..=100));
        count.and_then(|count| u32::try_from(count).ok()).unwrap_or(default)
    };
    let interval = table.read("interval", |node| node.duration(millis(100)..=seconds(3600)));
    let (unhealthy_after, healthy_after) = (count("unhealthy_after", 3), count("healthy_after", 2));
    let interval = interval.unwrap_or(seconds(5));
    Some(HealthConfig { path: path?, interval, unhealthy_after, healthy_after })
}
