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

    fn cut(&mut self) {
        self.cli(&["client", "kill", "type", "normal"]);
    }

    fn forget(&mut self) {
        self.cli(&["flushall"]);
    }
}
