//! JetStream under faults.

use super::{Broker, Fault};
use crate::support::servers::nats::NatsServer;

impl Broker for NatsServer {
    fn start() -> Self {
        Self::start()
    }

    fn table(&self) -> String {
        format!("feed = \"nats\"\nnats = {{ url = \"{}\" }}", self.url())
    }

    fn strike(&mut self, fault: Fault) {
        match fault {
            Fault::Kill => self.kill(),
            Fault::Pause => self.pause(),
            // It has no command that cuts connections; a restart does.
            Fault::Cut => {
                self.kill();
                self.start_again();
            }
        }
    }

    fn heal(&mut self, fault: Fault) {
        match fault {
            Fault::Kill => self.start_again(),
            Fault::Pause => self.go_on(),
            Fault::Cut => {}
        }
    }
}

#[test]
fn three_nodes_on_jetstream_agree_whatever_happens_to_it() {
    super::run::<NatsServer>();
}
