//! The integration tests: one binary, the real gateway on free ports, each module one topic.

#![expect(unreachable_pub, reason = "a test binary has no interface")]
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

// By their names in the library, for the fake that its own tests have (`cli_control`).
use portcullis::{clock, control, gateway, observe, revocation};

mod access; // who is let through
mod at_once; // a revocation holds from its acknowledgement on
mod bodies; // credentials in bodies
#[cfg(any(feature = "nats", feature = "postgres", feature = "redis"))]
mod broker_away; // a broker that is dead or stands still, and nodes that start meanwhile
#[cfg(any(feature = "nats", feature = "postgres", feature = "redis"))]
mod broker_memory; // a broker that forgets, and nodes that do not
mod browser; // a real browser with cookies and CSRF
mod callback_examples; // the examples of callbacks, run
mod callback_faults; // callbacks that are down, slow, lying, flooding
mod callbacks; // somebody else asked about a token
mod cli_alone; // the program without a gateway
mod cli_control; // the program against a control port
#[cfg(all(feature = "redis", feature = "nats", feature = "postgres"))]
mod cluster_wait; // three gateways on each broker: who waits hears who has confirmed
mod control_attacks; // the control port under attack
mod crash; // kill -9 under a stream of revocations
mod credentials; // where and how a credential may stand
mod demo; // the README's first command
mod drain; // stopping while requests are in flight
mod events;
mod examples; // the applications of examples/flask behind their gateways
mod examples_older; // those of the library's version 3, asked by curl
mod explain; // why a token would be refused
#[cfg(feature = "redis")]
mod families; // refresh tokens and their access tokens
#[cfg(any(feature = "nats", feature = "postgres", feature = "redis"))]
mod faults; // three nodes, and a broker that things happen to
mod feed_contract; // what every store must do
#[cfg(feature = "redis")]
mod feed_redis; // what only Redis can do to a feed
mod flask; // a real application behind the gateway
mod h2_attacks; // HTTP/2 that is malformed or floods
mod hosts; // who is asked for
mod identity; // what the upstream is told of whom
mod issuers; // several issuers and their keys
mod keys; // key sets behind a URL
mod limits; // bounds that hold
mod methods; // methods and preflights
mod midway; // streams that outlive their token
#[cfg(all(feature = "redis", feature = "postgres"))]
mod moving; // another program's block list, read once or followed
#[cfg(feature = "nats")]
mod nats_access; // credentials, rights and TLS of a JetStream store
#[cfg(feature = "nats")]
mod nats_apps; // applications publish to a JetStream stream by themselves
#[cfg(feature = "nats")]
mod nats_gaps; // a JetStream stream that is purged, deleted, restored, killed
#[cfg(feature = "nats")]
mod nats_sweep; // how much of a JetStream stream sweeping and listing read
mod observed; // the log and the metrics
mod openid; // a real OpenID provider as the issuer
mod parity; // flask-jwt-extended and the gateway asked the same
mod paths; // paths that can be read in two ways
mod places; // cookies, queries, CSRF, fresh tokens, preflights
#[cfg(feature = "postgres")]
mod postgres_access; // credentials and TLS of a PostgreSQL store
#[cfg(feature = "postgres")]
mod postgres_faults; // PostgreSQL killed, paused, set back, emptied
#[cfg(feature = "postgres")]
mod postgres_fold; // what PostgreSQL folds by itself
#[cfg(feature = "postgres")]
mod postgres_order; // PostgreSQL's transactions in another order than their ids
#[cfg(feature = "postgres")]
mod postgres_table; // PostgreSQL's table: rights, set-up, foreign rows
#[cfg(feature = "redis")]
mod redis_failover; // a replica takes the primary's place
mod refused_bodies; // bodies of refused requests
mod register; // the allow-list, and who was given which tokens
mod registering; // tokens registered where they are handed out
mod reload; // another configuration while requests run
mod revocation_flow; // from the log through the follower into the set
mod self_service; // bearers look after their own tokens
mod self_tokens; // bearers list, revoke and reinstate their own
mod signals; // the program and what it is told by signals
mod store_file; // the embedded store's file: cut, flipped, foreign, locked
mod store_formats; // the embedded store's file as older versions wrote it
mod store_kill; // the embedded store's writer killed at random
mod support;
mod tokens; // tokens over the wire
mod tokens_claims; // claims that are odd
mod tokens_forged; // forged signatures
mod tokens_headers; // headers that are odd
