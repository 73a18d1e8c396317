//! The control port over real sockets, before an in-memory gateway.

mod calls;
mod docs;
mod events;
mod explain;
mod fake;
mod hostile;
mod import;
mod openapi;
mod revocations;
mod roles;
mod wire;
