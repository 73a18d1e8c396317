//! Portcullis: the gate in front of your APIs that can take a token back.

pub mod access;
pub mod body;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod observe;
pub mod peer;
pub mod revocation;
pub mod route;
pub mod secret;
pub mod shutdown;
pub mod token;
