//! `[listener]`: where clients connect, and the bounds.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::config::raw::{Node, Table};
use crate::config::units::{millis, seconds};
use crate::config::{Limits, ListenerConfig, TlsConfig};
use crate::peer::TrustedProxies;

pub(super) fn listener(table: &Table<'_>) -> ListenerConfig {
    let default = SocketAddr::from(([127, 0, 0, 1], 8080));
    let proxies = table.read("trusted_proxies", |node| node.distinct_or_none(proxy));
    let tls = table.read("tls", |node| tls(&node.table()?));
    let workers = table.read("workers", |node| node.integer(1..=1024));
    let drain = |node: &Node<'_>| node.duration(seconds(0)..=seconds(3600));
    ListenerConfig {
        address: table.read("address", socket_address).unwrap_or(default),
        tls,
        trusted_proxies: TrustedProxies::new(proxies.unwrap_or_default()),
        limits: limits(&table.section("limits")),
        workers: workers.and_then(|n| usize::try_from(n).ok()).unwrap_or_else(processors),
        drain_timeout: table.read("drain_timeout", drain).unwrap_or(seconds(30)),
    }
}

/// An IP address and port.
pub(super) fn socket_address(node: &Node<'_>) -> Option<SocketAddr> {
    let text = node.text()?;
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let problem = "expected an IP address and a port";
    match text.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>())) {
        Some(("", Ok(port))) => {
            node.wrong_but(problem, format!("all addresses: \"0.0.0.0:{port}\""))
        }
        Some(("localhost", Ok(port))) => {
            node.wrong_but(problem, format!("this machine alone: \"127.0.0.1:{port}\""))
        }
        _ => node.wrong_but(problem, "such as \"127.0.0.1:8080\" or \"[::1]:8080\""),
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn tls(table: &Table<'_>) -> Option<TlsConfig> {
    let file = |key, help| table.require(key, help, Node::file);
    let certificate = file("certificate", "the certificate chain in PEM");
    let private_key = file("private_key", "the certificate's key in PEM");
    let client_ca = table.read("client_ca", Node::file);
    Some(TlsConfig { certificate: certificate?, private_key: private_key?, client_ca })
}

fn limits(table: &Table<'_>) -> Limits {
    const KIB: u64 = 1 << 10;
    let size = |key, range, default| table.read(key, |node| node.size(range)).unwrap_or(default);
    let number = |key, most, default| table.read(key, |n| n.integer(1..=most)).unwrap_or(default);
    let time = |key, range, default| table.read(key, |n| n.duration(range)).unwrap_or(default);
    let usize = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let limits = Limits {
        header_bytes: usize(size("header_bytes", KIB..=KIB * KIB, 32 * KIB)),
        headers: usize(number("headers", 1000, 100)),
        target_bytes: usize(size("target_bytes", 256..=64 * KIB, 8 * KIB)),
        body_bytes: size("body_bytes", 1..=1 << 40, 10 << 20),
        header_timeout: time("header_timeout", millis(100)..=seconds(300), seconds(10)),
        idle_timeout: time("idle_timeout", seconds(1)..=seconds(3600), seconds(75)),
        connections: usize(number("connections", 1_000_000, 10_000)),
        streams: u32::try_from(number("streams", 10_000, 100)).unwrap_or(100),
        requests_per_connection: table
            .read("requests_per_connection", |node| node.integer(1..=1_000_000_000)),
        connection_age: table
            .read("connection_age", |node| node.duration(seconds(1)..=seconds(30 * 86_400))),
    };
    if limits.target_bytes > limits.header_bytes {
        let key = if table.has("target_bytes") { "target_bytes" } else { "header_bytes" };
        let problem = "a target of `target_bytes` does not fit into a head of `header_bytes`";
        let _: Option<()> = table.read(key, |node| node.wrong(problem));
    }
    limits
}

/// A network whose forwarding fields are believed.
fn proxy(node: &Node<'_>) -> Option<IpNet> {
    let text = node.text()?;
    let network = match (text.parse::<IpAddr>(), text.parse::<IpNet>()) {
        (Ok(address), _) => IpNet::from(address.to_canonical()),
        (_, Ok(network)) => network,
        _ => return node.wrong("expected an address or a network such as \"10.0.0.0/8\""),
    };
    if network.prefix_len() == 0 {
        let problem = "would believe what every client says of itself";
        return node.wrong_but(problem, "name the networks of your own proxies");
    }
    if network.trunc() != network {
        let problem = "has bits beyond its prefix";
        return node.wrong_but(problem, format!("did you mean \"{}\"?", network.trunc()));
    }
    if let IpNet::V6(mapped) = network
        && mapped.addr().to_ipv4_mapped().is_some()
    {
        return node.wrong("write an IPv4 network as such: \"10.0.0.0/8\"");
    }
    Some(network)
}
