//! x
/// x
pub struct KeyRefresher;
