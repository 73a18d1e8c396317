//! What operators see: metrics and the access log. Knows nobody.

pub mod access_log;
pub mod metrics;
pub mod sharded;

pub use access_log::{AccessLog, AccessRecord};
pub use metrics::Metrics;
