//! Real servers that a test starts, kills, pauses and starts again.

pub mod nats;
