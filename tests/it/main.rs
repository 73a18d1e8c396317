//! Tests through the public interface, in one binary.

mod feed_contract; // what every store must do
mod revocation_flow; // from the log through the follower into the set
mod store_file; // the embedded store's file: cut, flipped, foreign, locked
mod store_kill; // the embedded store's writer killed at random
mod support;
