//! Redis that fails over: a primary, a replica that lags, and an address that leads to whichever is primary.

use std::net::TcpListener;

use super::Broker;
use crate::support::eventually::eventually;
use crate::support::servers::redis::{Keeps, RedisServer};
use crate::support::servers::switch::Switch;

/// Two servers, of which one is primary.
pub struct RedisPair {
    servers: [RedisServer; 2],
    ports: [u16; 2],
    primary: usize,
    /// Where the gateways connect.
    clients: Switch,
    /// Where the replica connects.
    link: Switch,
}

// === impl RedisPair ===

impl RedisPair {
    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("redis://{}", self.clients.address)
    }

    pub fn primary(&self) -> &RedisServer {
        &self.servers[self.primary]
    }

    /// The replica no longer hears of anything.
    pub fn lag(&self) {
        self.link.lead(None);
    }

    /// The replica has everything that the primary has by now.
    pub fn catch_up(&self) {
        self.link.lead(Some(self.ports[self.primary]));
        let replica = &self.servers[1 - self.primary];
        eventually("the replica is connected", || {
            let told = replica.cli(&["info", "replication"]);
            told.contains("master_link_status:up").then_some(())
        });
        eventually("its disk is of this primary, too", || {
            let told = replica.cli(&["info", "persistence"]);
            let busy = ["aof_rewrite_in_progress:1", "aof_rewrite_scheduled:1"];
            (!busy.iter().any(|word| told.contains(word))).then_some(())
        });
        let said = offset(self.primary(), "master_repl_offset:");
        eventually("the replica has it all", || {
            (offset(replica, "slave_repl_offset:") >= said).then_some(())
        });
    }

    /// The primary is gone, and the replica takes its place with what it has. The old primary comes back
    /// as the replica of the new one; what only it had is gone with that.
    pub fn fail_over(&mut self) {
        let (old, new) = (self.primary, 1 - self.primary);
        self.servers[old].kill();
        self.clients.lead(None);
        assert_eq!(self.servers[new].cli(&["replicaof", "no", "one"]).trim(), "OK");
        self.primary = new;
        self.servers[old].restart();
        self.follow(old);
        self.catch_up();
        self.lag();
        self.clients.lead(Some(self.ports[new]));
    }

    fn follow(&self, replica: usize) {
        let port = self.link.address.port().to_string();
        let told = self.servers[replica].cli(&["replicaof", "127.0.0.1", &port]);
        assert_eq!(told.trim(), "OK");
    }
}

impl Broker for RedisPair {
    fn start() -> Self {
        let ports = [free_port(), free_port()];
        let servers = ports.map(|port| {
            RedisServer::start_with(Keeps::All, |_| {
                let told = format!(
                    "--port {port} --bind 127.0.0.1 --repl-diskless-sync-delay 0 --repl-ping-replica-period 1"
                );
                told.split(' ').map(str::to_owned).collect()
            })
        });
        let [clients, link] = [Switch::to(ports[0]), Switch::to(ports[0])];
        let pair = Self { servers, ports, primary: 0, clients, link };
        pair.follow(1);
        pair.catch_up();
        pair
    }

    fn table(&self) -> String {
        format!("feed = \"redis\"\nredis = {{ url = \"{}\" }}", self.url())
    }

    fn kill(&mut self) {
        self.servers[self.primary].kill();
    }

    fn again(&mut self) {
        self.servers[self.primary].restart();
    }

    fn pause(&self) {
        self.primary().pause();
    }

    fn resume(&self) {
        self.primary().resume();
    }

    fn cut(&mut self) {
        self.clients.lead(Some(self.ports[self.primary]));
    }

    fn remember(&mut self) {
        self.catch_up();
        self.lag();
    }

    fn forget(&mut self) {
        self.fail_over();
    }

    fn empty(&mut self) {
        self.primary().cli(&["flushall"]);
    }
}

fn offset(server: &RedisServer, name: &str) -> u64 {
    let told = server.cli(&["info", "replication"]);
    let value = told.lines().find_map(|line| line.strip_prefix(name));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

/// Free now; the server takes it a moment later.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}
