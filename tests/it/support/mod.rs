//! What several tests share.

pub mod records;
