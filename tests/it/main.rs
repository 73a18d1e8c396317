//! The integration tests: one binary, the real gateway on free ports, each module one topic.

#![expect(unreachable_pub, reason = "a test binary has no interface")]
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod access; // who is let through
mod at_once; // a revocation holds from its acknowledgement on
mod cli_alone; // the program without a gateway
mod cli_control; // the program against a control port
mod crash; // kill -9 under a stream of revocations
mod examples; // the applications of examples/flask behind their gateways
mod feed_contract; // what every store must do
mod flask; // a real application behind the gateway
mod parity; // flask-jwt-extended and the gateway asked the same
mod places; // cookies, queries, CSRF, fresh tokens, preflights
mod revocation_flow; // from the log through the follower into the set
mod store_file; // the embedded store's file: cut, flipped, foreign, locked
mod store_kill; // the embedded store's writer killed at random
mod support;
