//! Portcullis: the gate in front of your APIs that can take a token back.
//!
//! A request's path, room by room: [`listen`] accepts it, [`request`] refuses what has more than one
//! meaning, [`route`] finds who takes it, [`token`] verifies its bearer, [`revocation`] looks whether that
//! was taken back, [`access`] asks whether it suffices, [`callback`] asks somebody else where the route says so,
//! [`forward`] sends it on; [`reject`] is the one way out. [`gateway`] tells that story in one function.
//! `ARCHITECTURE.md` has the layers and the invariants.

pub mod access;
pub mod app;
pub mod backoff;
pub mod body;
pub mod callback;
pub mod cli;
pub mod clock;
pub mod code;
pub mod config;
pub mod control;
pub mod deadline;
pub mod demo;
pub mod feed;
pub mod forward;
pub mod gateway;
pub mod instant;
pub mod listen;
pub mod observe;
pub mod outbound;
pub mod peer;
pub mod reject;
pub mod request;
pub mod revocation;
pub mod route;
pub mod secret;
pub mod self_service;
pub mod shutdown;
pub mod snapshot;
pub mod token;
