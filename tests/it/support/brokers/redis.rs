//! Redis.

use super::Broker;
use crate::support::servers::redis::{Keeps, RedisServer};

impl Broker for RedisServer {
    fn start() -> Self {
        Self::start(Keeps::All)
    }

    fn table(&self) -> String {
        format!("feed = \"redis\"\nredis = {{ url = \"{}\" }}", self.url())
    }

    fn kill(&mut self) {
        self.kill();
    }

    fn again(&mut self) {
        self.restart();
    }

    fn pause(&self) {
        self.pause();
    }

    fn resume(&self) {
        self.resume();
    }

    fn forget(&mut self) {
        self.cli(&["flushall"]);
    }
}
