//! The integration tests: one binary, the real gateway on free ports, each module one topic.

mod support;
