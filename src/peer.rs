//! Who is at the other end of a connection, and whom we believe about it.

use std::net::{IpAddr, SocketAddr};

use http::HeaderValue;
use ipnet::IpNet;

/// The two ends of an accepted connection and how it is spoken; made once a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The address the connection came from.
    pub client: SocketAddr,
    /// The address it came to.
    pub local: SocketAddr,
    /// Whether TLS was used.
    pub scheme: Scheme,
    /// The client's address as a field's value.
    pub address: HeaderValue,
    /// The port it came to, as a field's value.
    pub port: HeaderValue,
}

/// The scheme of the connection, not of the request's target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain text.
    Http,
    /// TLS.
    Https,
}

/// Networks whose `Forwarded` and `X-Forwarded-*` fields are believed. None by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

// === impl Peer ===

impl Peer {
    /// A connection from `client` to `local`.
    pub fn new(client: SocketAddr, local: SocketAddr, scheme: Scheme) -> Self {
        let address = HeaderValue::try_from(client.ip().to_canonical().to_string());
        // An address is at most 45 characters, all of them visible.
        let address = address.unwrap_or_else(|_| HeaderValue::from_static("unknown"));
        Self { client, local, scheme, address, port: HeaderValue::from(local.port()) }
    }
}

// === impl Scheme ===

impl Scheme {
    /// `http` or `https`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

// === impl TrustedProxies ===

impl TrustedProxies {
    /// Trusts exactly these networks.
    pub const fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// The networks.
    pub fn iter(&self) -> impl Iterator<Item = &IpNet> {
        self.0.iter()
    }

    /// Whether what `address` says about others is believed.
    pub fn contains(&self, address: IpAddr) -> bool {
        // An IPv4 peer on a dual-stack socket shows as ::ffff:a.b.c.d.
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}
