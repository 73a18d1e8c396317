//! The route room: which route takes a request.

mod pattern;

pub use pattern::{HostPattern, MethodSet, PathPattern, PatternError, RoutePattern};
