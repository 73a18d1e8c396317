//! Redis under faults.

use super::{Broker, Fault};
use crate::support::servers::redis::{Keeps, RedisServer};

impl Broker for RedisServer {
    fn start() -> Self {
        Self::start(Keeps::All)
    }

    fn table(&self) -> String {
        format!("feed = \"redis\"\nredis = {{ url = \"{}\" }}", self.url())
    }

    fn strike(&mut self, fault: Fault) {
        match fault {
            Fault::Kill => self.kill(),
            Fault::Pause => self.pause(),
            Fault::Cut => drop(self.cli(&["client", "kill", "type", "normal"])),
        }
    }

    fn heal(&mut self, fault: Fault) {
        match fault {
            Fault::Kill => self.restart(),
            Fault::Pause => self.resume(),
            Fault::Cut => {}
        }
    }
}

#[test]
fn three_nodes_on_redis_agree_whatever_happens_to_it() {
    super::run::<RedisServer>();
}
