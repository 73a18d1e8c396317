//! What the suites share: the real gateway on free ports, an issuer, a recording upstream, a client.

pub mod authority;
#[cfg(any(feature = "nats", feature = "postgres", feature = "redis"))]
pub mod brokers;
pub mod browser;
pub mod client;
pub mod documents;
pub mod eventually;
pub mod flask;
pub mod forge;
pub mod gateway;
pub mod h2;
pub mod held;
pub mod issuer;
pub mod jwks;
pub mod login;
pub mod nodes;
pub mod program;
pub mod provider;
pub mod python;
pub mod raw;
pub mod records;
pub mod servers;
pub mod upstream;
