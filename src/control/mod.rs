//! The control port: revoke, reinstate, register, list, look, reload. Never on the data listener.
//!
//! A call passes `guard` (where it was sent to, who sent it, what he may do), then its handler.
//! What the running gateway does for it is behind [`Gatehouse`]; [`calls::CALLS`] names every call.

mod attempts;
mod calls;
mod credentials;
mod entry;
mod error;
mod events;
mod explain;
mod export;
mod guard;
mod host;
mod import;
mod lines;
mod openapi;
mod operate;
mod ports;
mod query;
mod revocations;
mod server;
mod socket;
mod stall;
mod tokens;

#[cfg(test)]
mod tests;

pub use calls::{CALLS, Call, CallName, Needs};
pub(crate) use credentials::read_credential;
pub use credentials::{Caller, CredentialError, Credentials};
pub use entry::MAX_REASON;
pub use error::ControlError;
pub use ports::{Ask, AskError, Gatehouse, Nodes, RegisterAsk, ReloadReport, SeenNode, Wait};
pub use server::{BindError, BoundAddress, BoundControl, Control};
