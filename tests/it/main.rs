//! Tests through the outside: the program and its sockets.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod cli_alone;
mod cli_control;
