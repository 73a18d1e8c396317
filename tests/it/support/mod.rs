//! What the suites share: the real gateway on free ports, an issuer, a recording upstream, a client.

pub mod client;
pub mod documents;
pub mod eventually;
pub mod gateway;
pub mod issuer;
pub mod records;
pub mod servers;
pub mod upstream;
