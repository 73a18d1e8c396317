//! The parts that need no server.

use super::*;
