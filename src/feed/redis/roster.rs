//! Who follows the store: a hash of announcements, and pub/sub between the nodes.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use redis::Value;
use redis::aio::{PubSubSink, PubSubStream};
use tokio::sync::mpsc;
use tokio::time::{interval, timeout};
use uuid::Uuid;

use crate::revocation::{Audience, Ear, FeedError, LiveNode, NodeRoster, Presence};

use super::connection::{ANSWER, Link, failed, late};

/// The way to the other nodes; cheap to clone.
#[derive(Clone, Debug)]
pub struct RedisRoster {
    link: Arc<Link>,
}

/// How often a connection that hears nothing is asked whether it lives.
const PING: Duration = Duration::from_secs(2);

/// Node `ARGV[1]` says `ARGV[3]` for `ARGV[2]` milliseconds of the server's clock.
const ANNOUNCE: &str = "local time = redis.call('TIME') \
     local now = time[1] * 1000 + math.floor(time[2] / 1000) \
     local ends = now + tonumber(ARGV[2]) \
     redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f %.0f %s', now, ends, ARGV[3])) \
     return 1";

/// Milliseconds since it was said, and what, of each node whose time is not over; the others go.
const NODES: &str = "local time = redis.call('TIME') \
     local now = time[1] * 1000 + math.floor(time[2] / 1000) \
     local known = redis.call('HGETALL', KEYS[1]) \
     local live = {} \
     for i = 1, #known, 2 do \
       local at, ends, text = string.match(known[i + 1], '^(%d+) (%d+) (.*)$') \
       if at and now < tonumber(ends) then \
         live[#live + 1] = string.format('%.0f', math.max(now - at, 0)) \
         live[#live + 1] = text \
       else redis.call('HDEL', KEYS[1], known[i]) end \
     end \
     return live";

// === impl RedisRoster ===

impl RedisRoster {
    pub(super) const fn new(link: Arc<Link>) -> Self {
        Self { link }
    }

    /// One script over the hash.
    fn script(&self, text: &str, arguments: &[&str]) -> redis::Pipeline {
        let mut asking = redis::pipe();
        asking.cmd("EVAL").arg(text).arg(1).arg(&self.link.keys().nodes);
        for argument in arguments {
            asking.arg(*argument);
        }
        asking
    }
}

impl NodeRoster for RedisRoster {
    async fn announce(&self, presence: &Presence) -> Result<(), FeedError> {
        let (id, lasts) = (presence.node.id.to_string(), presence.lasts.to_string());
        let asking = self.script(ANNOUNCE, &[&id, &lasts, &presence.to_text()]);
        self.link.ask::<(u8,)>(&asking).await.map(drop)
    }

    async fn withdraw(&self, id: Uuid) -> Result<(), FeedError> {
        let mut asking = redis::pipe();
        asking.cmd("HDEL").arg(&self.link.keys().nodes).arg(id.to_string());
        self.link.ask::<(u8,)>(&asking).await.map(drop)
    }

    async fn nodes(&self) -> Result<Vec<LiveNode>, FeedError> {
        let (said,): (Vec<String>,) = self.link.ask(&self.script(NODES, &[])).await?;
        let live = said.chunks_exact(2).filter_map(|pair| {
            let seen = Duration::from_millis(pair[0].parse().ok()?);
            Some(LiveNode { presence: Presence::from_text(&pair[1])?, seen })
        });
        Ok(live.collect())
    }

    async fn tell(&self, to: Audience, message: Vec<u8>) -> Result<(), FeedError> {
        let mut asking = redis::pipe();
        asking.cmd("PUBLISH").arg(self.link.keys().channel(to)).arg(message);
        self.link.ask::<(u64,)>(&asking).await.map(drop)
    }

    async fn listen(&self, id: Uuid) -> Result<Ear, FeedError> {
        let keys = self.link.keys();
        let (mut sink, stream) = self.link.listen().await?.split();
        for channel in [keys.channel(Audience::All), keys.channel(Audience::Node(id))] {
            let subscribed = timeout(ANSWER, sink.subscribe(channel)).await;
            subscribed.map_err(|_elapsed| late())?.map_err(failed)?;
        }
        let (sender, ear) = Ear::channel();
        tokio::spawn(relay(sink, stream, sender));
        Ok(ear)
    }
}

/// Until the connection or the listener is gone.
async fn relay(mut sink: PubSubSink, mut stream: PubSubStream, out: mpsc::Sender<Vec<u8>>) {
    let mut pings = interval(PING);
    loop {
        tokio::select! {
            message = stream.next() => {
                let Some(message) = message else { return };
                if out.send(message.get_payload_bytes().to_vec()).await.is_err() {
                    return;
                }
            }
            _ = pings.tick() => {
                if !matches!(timeout(ANSWER, sink.ping::<Value>()).await, Ok(Ok(_))) {
                    return;
                }
            }
            () = out.closed() => return,
        }
    }
}
