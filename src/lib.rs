//! Portcullis: the gate in front of your APIs that can take a token back.

pub mod access;
pub mod backoff;
pub mod body;
pub mod clock;
pub mod config;
pub mod deadline;
pub mod forward;
pub mod listen;
pub mod observe;
pub mod peer;
pub mod request;
pub mod revocation;
pub mod route;
pub mod secret;
pub mod shutdown;
pub mod token;
