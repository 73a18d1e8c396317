//! Folding, in steps, broken off at any of them, against a plain map.

use std::collections::BTreeMap;
use std::ops::Bound;

use proptest::prelude::*;
use redb::{Durability, ReadableDatabase, ReadableTable};
use uuid::Uuid;

use super::fold::Round;
use super::*;
use crate::feed::embedded::block::Packer;
use crate::feed::embedded::entry;
use crate::feed::embedded::pending::number;
use crate::feed::embedded::schema::{BATCHES, ENTRIES, FLOOR, FOLDED, LEAVES, LOG_KEPT, META, ROW};
use crate::feed::embedded::view::visit_live;
use crate::revocation::{Name, Op, Revocation};

/// Entries that expire before it are dropped by a compaction; records are made after it.
const BEFORE: UnixTime = UnixTime::from_secs(50);
const MADE: UnixTime = UnixTime::from_secs(60);

#[derive(Clone, Debug)]
enum Act {
    Append(Vec<Revocation>),
    /// Begins a round, or goes on with one: so many steps.
    Fold(usize),
    /// The same of one that drops what has expired.
    Compact(usize),
    /// The process dies: a round under way is known from the file alone.
    Restart,
}

struct Case {
    database: Arc<Database>,
    head: u64,
    round: Option<Round>,
    model: BTreeMap<Name, Revocation>,
}

// === impl Case ===

impl Case {
    fn new() -> Self {
        let memory = redb::backends::InMemoryBackend::new();
        let database = Database::builder().create_with_backend(memory).expect("a database");
        open::found(&database).expect("a store");
        Self { database: Arc::new(database), head: 0, round: None, model: BTreeMap::new() }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Append(records) => self.append(records),
            Act::Fold(steps) => self.fold(steps, None),
            Act::Compact(steps) => self.fold(steps, Some(BEFORE)),
            Act::Restart => self.round = None,
        }
    }

    fn append(&mut self, records: Vec<Revocation>) {
        self.head = transaction::commit(&self.database, self.head, &[&packed(&records)])
            .expect("committed");
        for record in records {
            let name = record.name.clone();
            let old = self.model.remove(&name);
            if record.op == Op::Revoke {
                let new = match old {
                    Some(old) => old.followed_by(record),
                    None => record,
                };
                self.model.insert(name, new);
            }
        }
    }

    fn fold(&mut self, steps: usize, before: Option<UnixTime>) {
        for step in 0..steps {
            let durability = if step % 2 == 0 { Durability::None } else { Durability::Immediate };
            let round = match &mut self.round {
                Some(round) => round,
                None => self.round.insert(Round::begin(&self.database, before).expect("begun")),
            };
            if round.step(&self.database, Duration::ZERO, durability).expect("a step") {
                self.round = None;
            }
        }
    }

    /// What readers see; with what has expired, which a compaction may or may not have met.
    fn check(&self) {
        let live = self.live();
        let not_expired = |(name, entry): (&Name, &Revocation)| {
            (entry.expires_at >= BEFORE).then(|| (name.clone(), entry.clone()))
        };
        let want: BTreeMap<_, _> = self.model.iter().filter_map(not_expired).collect();
        let have: BTreeMap<_, _> = live.iter().filter_map(not_expired).collect();
        assert_eq!(have, want);
        let stray = live.iter().find(|(name, entry)| self.model.get(name) != Some(entry));
        assert_eq!(stray, None);
    }

    fn live(&self) -> BTreeMap<Name, Revocation> {
        let read = self.database.begin_read().expect("a snapshot");
        let mut live = Vec::new();
        visit_live(
            &read,
            &Bound::Unbounded,
            |_| true,
            |entry| {
                live.push(entry);
                true
            },
        )
        .expect("sound");
        assert!(live.windows(2).all(|pair| pair[0].name < pair[1].name), "out of order");
        live.into_iter().map(|entry| (entry.name.clone(), entry)).collect()
    }

    fn meta(&self, key: &'static str) -> u64 {
        let read = self.database.begin_read().expect("a snapshot");
        number(&read.open_table(META).expect("a table"), key).expect("a number")
    }
}

fn packed(records: &[Revocation]) -> Vec<u8> {
    let mut packer = Packer::with_capacity(0);
    let mut body = Vec::new();
    for record in records {
        let Name { issuer, claim, value } = &record.name;
        entry::write_body(&mut body, record);
        assert!(packer.push(&entry::key(issuer, claim, value), &body));
    }
    packer.finish()
}

fn record((number, op, expires, cutoff): (u8, u8, bool, Option<u8>)) -> Revocation {
    let claim = if number.is_multiple_of(3) { "sub" } else { "jti" };
    let expires = if expires { 100 } else { 10 };
    Revocation {
        token: None,
        id: Uuid::from_u128(u128::from(number)),
        op: if op == 0 { Op::Reinstate } else { Op::Revoke },
        name: Name { issuer: "i".into(), claim: claim.into(), value: number.to_string().into() },
        issued_before: cutoff.map(|cutoff| UnixTime::from_secs(cutoff.into())),
        expires_at: UnixTime::from_secs(expires),
        at: MADE,
        actor: Some("ops".into()),
        reason: None,
    }
}

fn records() -> impl Strategy<Value = Vec<Revocation>> {
    let one = (any::<u8>(), 0..4_u8, any::<bool>(), any::<Option<u8>>());
    prop::collection::vec(one.prop_map(record), 1..60)
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let one = prop_oneof![
        4 => records().prop_map(Act::Append),
        3 => (1..6_usize).prop_map(Act::Fold),
        2 => (1..6_usize).prop_map(Act::Compact),
        1 => Just(Act::Restart),
    ];
    prop::collection::vec(one, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn readers_see_every_record_once_however_far_the_folding_is(acts in acts()) {
        let mut case = Case::new();
        for act in acts {
            case.act(act);
            case.check();
        }
        case.round = None;
        case.fold(200, Some(BEFORE));
        case.fold(200, Some(BEFORE));
        case.model.retain(|_, entry| entry.expires_at >= BEFORE);
        prop_assert_eq!(&case.live(), &case.model);
        prop_assert_eq!(case.meta(ENTRIES), case.model.len() as u64);
    }
}

#[test]
fn folding_keeps_the_newest_of_the_log_and_leaves_of_a_size() {
    let mut case = Case::new();
    for batch in 0..20_u64 {
        let numbers = (0..8192_u64).map(|i| batch * 8192 + i);
        let one = |number: u64| {
            let value = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_string();
            let name = Name { issuer: "i".into(), claim: "jti".into(), value: value.into() };
            Revocation { name, ..record((1, 1, true, None)) }
        };
        let some: Vec<_> = numbers.map(one).collect();
        case.head =
            transaction::commit(&case.database, case.head, &[&packed(&some)]).expect("done");
        while case.meta(FOLDED) < case.head {
            let mut round = Round::begin(&case.database, None).expect("begun");
            while !round.step(&case.database, LONG_STEP, Durability::None).expect("a step") {}
        }
    }
    assert_eq!(case.head, 20 * 8192);
    assert_eq!(case.meta(FLOOR), case.head - LOG_KEPT);
    assert_eq!(case.meta(ENTRIES), case.head);
    let read = case.database.begin_read().expect("a snapshot");
    let batches = read.open_table(BATCHES).expect("a table");
    assert_eq!(batches.iter().expect("rows").count() as u64, LOG_KEPT / 8192);
    let leaves = read.open_table(LEAVES).expect("a table");
    let sizes = leaves.iter().expect("rows").map(|row| row.expect("a row").1.value().len());
    let sizes: Vec<usize> = sizes.collect();
    let fair = sizes.iter().filter(|size| (64..=700).contains(*size)).count();
    assert_eq!(fair, sizes.len(), "{sizes:?}");
}

#[test]
fn small_appends_share_a_row_and_a_large_one_is_not_torn() {
    let mut case = Case::new();
    let of = |numbers: std::ops::Range<u8>| {
        packed(&numbers.map(|number| record((number, 1, true, None))).collect::<Vec<_>>())
    };
    let appends = [of(0..2), of(2..4), of(4..4), of(4..100), of(100..102), of(102..104)];
    assert!(appends[3].len() > ROW && appends[0].len() * 4 < ROW);
    let rows: Vec<&[u8]> = appends.iter().map(Vec::as_slice).collect();
    case.head = transaction::commit(&case.database, 0, &rows).expect("committed");
    assert_eq!(transaction::commit(&case.database, 104, &[&of(0..0)]).expect("nothing"), 104);
    let read = case.database.begin_read().expect("a snapshot");
    let batches = read.open_table(BATCHES).expect("a table");
    let ends: Vec<u64> =
        batches.iter().expect("rows").map(|row| row.expect("a row").0.value()).collect();
    assert_eq!(ends, [4, 100, 104]);
    assert_eq!((case.head, case.live().len()), (104, 104));
}

#[test]
fn closing_folds_also_what_came_after_a_round_had_begun() {
    let records = |numbers: std::ops::Range<u8>| {
        numbers.map(|number| record((number, 1, true, None))).collect::<Vec<_>>()
    };
    let mut case = Case::new();
    case.append(records(0..100));
    case.fold(1, None);
    case.append(records(100..200));
    let mut begun = Round::begin(&case.database, None).expect("begun");
    assert!(
        !begun.step(&case.database, Duration::ZERO, Durability::Immediate).expect("a step"),
        "there is more to do"
    );
    case.append(records(200..250));
    let written = Folder::default().work(&case.database, case.head, Pace::Closing);
    assert!(written.expect("folded"));
    assert_eq!(case.meta(FOLDED), case.head);
    case.check();
}

#[test]
fn a_round_is_read_beside_the_writer_while_others_wait() {
    let mut case = Case::new();
    case.append((0..100).map(|number| record((number, 1, true, None))).collect());
    let mut folder = Folder::default();
    let mut work = |case: &Case, pace| {
        let written = folder.work(&case.database, case.head, pace).expect("worked");
        (written, folder.is_busy())
    };
    assert_eq!(work(&case, Pace::Between), (false, false), "nothing to do but to wait for it");
    case.append((100..200).map(|number| record((number, 1, true, None))).collect());
    let (written, mut busy) = work(&case, Pace::Idle);
    assert!(written, "who has time waits for it");
    while busy {
        case.check();
        busy = work(&case, Pace::Between).1;
    }
    assert_eq!(case.meta(FOLDED), 96, "as many as one round takes");
    case.check();
}

#[test]
fn a_part_that_is_folded_ends_between_two_names() {
    let mut case = Case::new();
    let one = |at: u8| record((at / 10, 1, true, Some(at)));
    case.append((0..80).map(one).collect());
    let mut round = Round::begin(&case.database, None).expect("begun");
    let mut parts = 1;
    while !round.step(&case.database, Duration::ZERO, Durability::Immediate).expect("a step") {
        case.check();
        parts += 1;
    }
    assert_eq!((parts, case.meta(ENTRIES)), (4, 8), "twenty records are two names'");
    case.check();
}

const LONG_STEP: Duration = Duration::from_secs(1);
