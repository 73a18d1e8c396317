//! The integration tests: one binary, the real gateway on free ports, each module one topic.

#![expect(unreachable_pub, reason = "a test binary has no interface")]

mod access;
mod at_once;
mod cli_alone;
mod cli_control;
mod crash;
mod flask;
mod support;
