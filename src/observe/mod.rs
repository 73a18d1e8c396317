//! What operators see: metrics and the access log. Knows nobody.

pub mod metrics;

pub use metrics::Metrics;
