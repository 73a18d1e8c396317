//! Following a block list in Redis while its program still writes it: every change is revoked here.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::Write;
use std::time::Duration;

use anyhow::{Context, anyhow};
use futures_util::StreamExt;
use redis::aio::PubSubStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::backoff::Backoff;
use crate::clock::{Clock, SystemClock, UnixTime};

use super::delivery::{Blocked, Change, Delivery, Read};
use super::redis::{Found, Source};
use crate::cli::Failure;
use crate::cli::args::FollowArgs;
use crate::cli::output::{out, plain, wrote};

/// What goes on between Redis and the gateway.
struct Following<'a> {
    args: &'a FollowArgs,
    delivery: Delivery<'a>,
    /// What the gateway has been told, and until when it holds.
    known: HashMap<String, UnixTime>,
    /// What was complained of, once each.
    complained: HashSet<String>,
    begun: bool,
}

/// How often all keys are looked at although Redis tells of changes: its word can be lost.
const SWEEP: Duration = Duration::from_secs(60);
/// Changes that come so close together are told in one call.
const GATHER: Duration = Duration::from_millis(5);
/// As many at once.
const MOST: usize = 1000;
/// Lives are read by two clocks.
const DRIFT: Duration = Duration::from_secs(2);
/// Complaints that are remembered.
const COMPLAINTS: usize = 10_000;

/// `portcullis follow`. Ends with an interrupt.
pub(super) async fn follow(args: &FollowArgs) -> Result<(), Failure> {
    let delivery = Delivery::new(&args.reach, &args.source, "followed in Redis");
    let (known, complained) = (HashMap::new(), HashSet::new());
    let mut following = Following { args, delivery, known, complained, begun: false };
    let mut terminated = signal(SignalKind::terminate()).context("no signals")?;
    let ended = tokio::select! {
        ended = following.run() => ended,
        _ = tokio::signal::ctrl_c() => Ok(()),
        _ = terminated.recv() => Ok(()),
    };
    ended?;
    let tally = &following.delivery.tally;
    wrote(writeln!(out(), "stopped: {} accepted, {} refused", tally.accepted, tally.refused))
}

// === impl Following ===

impl Following<'_> {
    /// Goes on when Redis or the gateway was away; what was not confirmed is told again.
    async fn run(&mut self) -> Result<(), Failure> {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        loop {
            let begun = Instant::now();
            let Err(failure) = self.session().await;
            if !self.begun || matches!(failure, Failure::Usage(_) | Failure::Closed) {
                return Err(failure);
            }
            if begun.elapsed() > SWEEP {
                backoff.reset();
            }
            complain(&format!("{failure}; trying again"));
            sleep(backoff.next_delay()).await;
        }
    }

    async fn session(&mut self) -> Result<std::convert::Infallible, Failure> {
        let mut source = Source::connect(&self.args.source, &self.args.redis).await?;
        // First: what changes during the sweep is told.
        let mut told = source.notifications().await?;
        self.sweep(&mut source).await?;
        if !self.begun {
            self.begun = true;
            let way = match told {
                Some(_) => "as Redis tells of changes".to_owned(),
                None => format!("every {:?} (notify-keyspace-events is off)", self.args.interval),
            };
            let known = self.known.len();
            wrote(writeln!(out(), "following {}, {way}; {known} revoked", source.shown))?;
        }
        loop {
            match &mut told {
                Some(changes) => self.listen(&mut source, changes).await?,
                None => sleep(self.args.interval).await,
            }
            self.sweep(&mut source).await?;
        }
    }

    /// Looks at all keys, and for those that are no longer there.
    async fn sweep(&mut self, source: &mut Source) -> Result<(), Failure> {
        let now = SystemClock.now();
        self.known.retain(|_, end| *end > now);
        let mut missing: HashSet<String> = self.known.keys().cloned().collect();
        let mut cursor = Some(0);
        while let Some(at) = cursor {
            let (next, found) = source.page(at).await?;
            for (jti, _) in &found {
                missing.remove(jti);
            }
            self.apply(found).await?;
            cursor = next;
        }
        let missing: Vec<String> = missing.into_iter().collect();
        for some in missing.chunks(MOST) {
            let keys = some.iter().map(|jti| source.key(jti)).collect();
            let found = source.look(keys).await?;
            self.apply(found).await?;
        }
        Ok(())
    }

    /// Follows Redis' word until the next sweep is due.
    async fn listen(
        &mut self,
        source: &mut Source,
        changes: &mut PubSubStream,
    ) -> Result<(), Failure> {
        let channel = source.channel();
        let due = Instant::now() + SWEEP;
        loop {
            let Ok(first) = timeout_at(due, changes.next()).await else { return Ok(()) };
            let mut next = first;
            let mut keys = BTreeSet::new();
            loop {
                let Some(message) = next else {
                    return Err(Failure::Failed(anyhow!("Redis: the connection ended")));
                };
                let name: Vec<u8> = message.get_channel().map_err(super::redis::failed)?;
                keys.extend(name.strip_prefix(channel.as_bytes()).map(<[u8]>::to_vec));
                let more = timeout(GATHER, changes.next());
                match if keys.len() < MOST { more.await.ok() } else { None } {
                    Some(message) => next = message,
                    None => break,
                }
            }
            let found = source.look(keys.into_iter().collect()).await?;
            self.apply(found).await?;
        }
    }

    /// Tells the gateway what it does not know.
    async fn apply(&mut self, found: Vec<Found>) -> Result<(), Failure> {
        let mut changes = Vec::new();
        for (jti, read) in found {
            match read {
                Some(Read::Blocked(blocked)) if !self.knows(&blocked) => {
                    changes.push(Change::Revoke(blocked));
                }
                None | Some(Read::Allowed) if self.gives_back(&jti) => {
                    changes.push(Change::Reinstate(jti));
                }
                Some(Read::Bad(problem)) => self.complain_of(jti, problem),
                _ => {}
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        let before = self.delivery.tally.accepted;
        self.delivery.send(&changes).await?;
        for (jti, problem) in std::mem::take(&mut self.delivery.tally.named) {
            complain(&format!("{}: {}", plain(&jti), plain(&problem)));
        }
        for change in changes {
            match change {
                Change::Revoke(Blocked { jti, expires_at }) => {
                    self.known.insert(jti, expires_at.unwrap_or(UnixTime::MAX));
                }
                Change::Reinstate(jti) => drop(self.known.remove(&jti)),
            }
        }
        if !self.begun {
            return Ok(());
        }
        wrote(writeln!(out(), "{} followed", self.delivery.tally.accepted - before))
    }

    /// A key without a life of its own counts from when it was first seen.
    fn knows(&self, blocked: &Blocked) -> bool {
        let end = blocked.expires_at.unwrap_or(UnixTime::MAX);
        let later = |known: &UnixTime| end.since(*known) > DRIFT;
        self.known
            .get(&blocked.jti)
            .is_some_and(|known| !later(known) || self.args.source.expires_in.is_some())
    }

    /// Whether its being gone means that it counts again: only where that was asked for, only what we
    /// have revoked, and not when its time is over.
    fn gives_back(&self, jti: &str) -> bool {
        let Some(end) = self.known.get(jti) else { return false };
        self.args.reinstate && *end > SystemClock.now().saturating_add(DRIFT)
    }

    fn complain_of(&mut self, key: String, problem: &str) {
        if self.complained.len() < COMPLAINTS && !self.complained.contains(&key) {
            self.delivery.tally.refused += 1;
            complain(&format!("{}: {problem}", plain(&key)));
            self.complained.insert(key);
        }
    }
}

/// A line on standard error.
fn complain(text: &str) {
    // There is nowhere left to say that it could not be said.
    drop(writeln!(anstream::stderr(), "{text}"));
}
