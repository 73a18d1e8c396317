//! Tests through the outside: the program and its sockets.

mod cli_alone;
mod cli_control;
