//! What operators see: metrics, the access log and diagnostics. Knows nobody.

pub mod access_log;
pub mod diagnostics;
pub mod metrics;
pub mod sharded;

pub use access_log::{AccessLog, AccessRecord};
pub use diagnostics::Diagnostics;
pub use metrics::Metrics;
