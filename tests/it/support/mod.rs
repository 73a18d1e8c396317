//! What the suites share: the real gateway on free ports, an issuer, a recording upstream, a client.

pub mod client;
pub mod eventually;
pub mod gateway;
pub mod issuer;
pub mod python;
pub mod records;
pub mod upstream;
