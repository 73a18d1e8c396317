//! The integration tests: one binary, the real gateway on free ports, each module one topic.

#![expect(unreachable_pub, reason = "a test binary has no interface")]

mod access;
mod at_once;
mod control_attacks;
mod crash;
mod credentials;
mod drain;
mod flask;
mod h2_attacks;
mod hosts;
mod identity;
mod issuers;
mod keys;
mod limits;
mod methods;
mod observed;
mod paths;
mod refused_bodies;
mod reload;
mod support;
mod tokens;
mod tokens_claims;
mod tokens_forged;
mod tokens_headers;
