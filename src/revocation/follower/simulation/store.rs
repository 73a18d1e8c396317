//! The simulated store: a log, its prefix that can be seen, and every way to forget.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::{Random, START};
use crate::clock::UnixTime;
use crate::revocation::{Cursor, Epoch, Name, Op, Revocation};

/// One place of the log.
#[derive(Clone)]
pub(super) struct Said {
    pub(super) record: Revocation,
    /// The order in which things were said, across all memories.
    pub(super) order: u64,
    pub(super) damaged: bool,
}

/// What a store holds, and how it can be reached.
pub(super) struct Store {
    began: Instant,
    pub(super) epoch: u128,
    /// What the store held when the epoch began: nobody who knows of the epoch holds less.
    since: usize,
    /// Counts whenever the store came back as another one, whether it says so or not.
    pub(super) incarnation: u64,
    pub(super) log: Vec<Said>,
    /// Up to here the log was cut off.
    pub(super) floor: usize,
    /// How much of the log is shown; less than all by a replica that is behind.
    pub(super) shown: usize,
    pub(super) away: bool,
    pub(super) hung: bool,
    pub(super) calm: bool,
    pub(super) clock_offset: i64,
    /// The shortest that the log has been since it was loaded from.
    pub(super) shortest: usize,
    /// The last reinstatement of each value, in any memory.
    pub(super) reinstated: BTreeMap<&'static str, u64>,
    order: u64,
}

pub(super) const VALUES: [&str; 4] = ["a", "b", "c", "d"];

// === impl Store ===

impl Store {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            epoch: 1,
            since: 0,
            incarnation: 0,
            log: Vec::new(),
            floor: 0,
            shown: 0,
            away: false,
            hung: false,
            calm: false,
            clock_offset: 0,
            shortest: usize::MAX,
            reinstated: BTreeMap::new(),
            order: 0,
        }
    }

    /// The true time.
    pub(super) fn now(&self) -> UnixTime {
        UnixTime::from_secs(START + self.began.elapsed().as_secs())
    }

    pub(super) fn revoke(&mut self, random: &mut Random) {
        let cutoff = (!random.once_in(2)).then(|| UnixTime::from_secs(10 * random.below(4)));
        let life = if random.once_in(4) { 1 + random.below(5) } else { 10_000 };
        let expires_at = self.now().saturating_add(Duration::from_secs(life));
        self.say(random, Op::Revoke, cutoff, expires_at);
    }

    pub(super) fn reinstate(&mut self, random: &mut Random) {
        self.say(random, Op::Reinstate, None, self.now());
    }

    fn say(
        &mut self,
        random: &mut Random,
        op: Op,
        issued_before: Option<UnixTime>,
        expires_at: UnixTime,
    ) {
        self.order += 1;
        let value = VALUES[usize::try_from(random.below(4)).expect("small")];
        let name = name(value);
        let (id, at) = (Uuid::from_u128(u128::from(self.order)), self.now());
        let (actor, reason, token) = (None, None, None);
        let record =
            Revocation { id, op, name, issued_before, expires_at, at, actor, reason, token };
        if op == Op::Reinstate {
            self.reinstated.insert(value, self.order);
        }
        self.push(Said { record, order: self.order, damaged: false });
    }

    /// A node says again what it knows.
    pub(super) fn repeat(&mut self, record: Revocation) {
        let order = u64::try_from(record.id.as_u128()).expect("an order");
        self.push(Said { record, order, damaged: false });
    }

    /// Somebody publishes what can't be decoded.
    pub(super) fn damage(&mut self) {
        let record = Revocation {
            id: Uuid::nil(),
            op: Op::Reinstate,
            name: name("a"),
            issued_before: None,
            expires_at: self.now(),
            at: self.now(),
            actor: None,
            reason: None,
            token: None,
        };
        self.push(Said { record, order: self.order, damaged: true });
    }

    fn push(&mut self, said: Said) {
        let all = self.shown == self.log.len();
        self.log.push(said);
        self.shown += usize::from(all);
    }

    pub(super) fn truncate(&mut self, random: &mut Random) {
        let more = random.below((self.shown - self.floor) as u64 + 1);
        self.floor += usize::try_from(more).expect("small");
    }

    /// The end of the log is gone; as an older backup, or as an empty store with another epoch.
    pub(super) fn forget(&mut self, random: &mut Random, new_epoch: bool) {
        let kept = if random.once_in(3) { 0 } else { random.below(self.log.len() as u64 + 1) };
        let mut kept = usize::try_from(kept).expect("small");
        if new_epoch {
            self.log.truncate(kept);
            self.begin_epoch();
        }
        kept = kept.max(self.since);
        self.log.truncate(kept);
        self.floor = self.floor.min(kept);
        self.shown = kept;
        self.shortest = self.shortest.min(kept);
        self.incarnation += 1;
    }

    pub(super) fn begin_epoch(&mut self) {
        self.epoch += 1;
        self.since = self.log.len();
        self.shown = self.log.len();
    }

    /// Another server answers, which is behind; or it has caught up.
    pub(super) fn replica(&mut self, random: &mut Random) {
        if self.shown < self.log.len() {
            self.shown += usize::try_from(random.below((self.log.len() - self.shown) as u64 + 1))
                .expect("small");
            return;
        }
        let back = random.below(self.log.len() as u64 + 1);
        self.shown = (self.log.len() - usize::try_from(back).expect("small")).max(self.since);
        self.floor = self.floor.min(self.shown);
        self.incarnation += 1;
    }

    /// No more faults.
    pub(super) fn heal(&mut self) {
        (self.away, self.hung, self.calm) = (false, false, true);
        self.shown = self.log.len();
        self.clock_offset = 0;
    }

    /// The merged live entries up to a position, each with the order of its last record.
    pub(super) fn live(&self, upto: usize) -> BTreeMap<Arc<str>, (Revocation, u64)> {
        let mut live: BTreeMap<Arc<str>, (Revocation, u64)> = BTreeMap::new();
        for said in self.log[..upto].iter().filter(|said| !said.damaged) {
            let old = live.remove(&said.record.name.value);
            if said.record.op == Op::Revoke {
                let merged = match old {
                    Some((old, _)) => old.followed_by(said.record.clone()),
                    None => said.record.clone(),
                };
                live.insert(Arc::clone(&said.record.name.value), (merged, said.order));
            }
        }
        live
    }
}

pub(super) fn name(value: &str) -> Name {
    Name { issuer: "i".into(), claim: "jti".into(), value: value.into() }
}

pub(super) fn cursor(at: usize) -> Cursor {
    Cursor::of_number(at as u64)
}

pub(super) fn epoch(number: u128) -> Epoch {
    Epoch(Uuid::from_u128(number))
}
