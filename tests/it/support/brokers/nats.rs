//! JetStream.

use async_nats::jetstream;

use super::Broker;
use crate::support::servers::nats::NatsServer;

impl Broker for NatsServer {
    fn start() -> Self {
        Self::start()
    }

    fn table(&self) -> String {
        format!("feed = \"nats\"\nnats = {{ url = \"{}\" }}", self.url())
    }

    fn kill(&mut self) {
        self.kill();
    }

    fn again(&mut self) {
        self.start_again();
    }

    fn pause(&self) {
        self.pause();
    }

    fn resume(&self) {
        self.go_on();
    }

    fn forget(&mut self) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let client = async_nats::connect(self.url()).await.expect("connected");
            jetstream::new(client).delete_stream("REVOCATIONS").await.expect("deleted");
        });
    }
}
