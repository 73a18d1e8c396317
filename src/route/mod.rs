//! The route room: which route takes a request, and which requests can't be judged at all.
//!
//! Precedence, most telling first: an exact host before `*.host` (the longer first) before any host;
//! then an exact path before prefixes, longer prefixes first. Methods never send a request on to a
//! less telling path: the path is known and the method is not, so the answer is 405.

mod pattern;
mod table;
mod target;

pub use pattern::{HostPattern, MethodSet, PathPattern, PatternError, RoutePattern};
pub use table::{RouteConflict, RouteError, RouteTable};
pub use target::{TargetError, judge};
