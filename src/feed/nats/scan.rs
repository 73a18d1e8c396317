//! All live entries in one pass: what applications say first, then what the nodes say, folded by name.
//!
//! In this order nothing falls between: a revocation that is folded into a node's entry meanwhile is
//! seen in one of the two. Only applications' subjects are held in memory; sweeping keeps them few.

use std::collections::{HashMap, hash_map};

use crate::revocation::{FeedError, Name, Op, Revocation};

use super::broker::Broker;
use super::reader::Reader;
use super::said::{Entry, Message, Said};
use super::subject;

/// A pass.
pub(super) struct Scan<'b> {
    broker: &'b Broker,
    apps: HashMap<Name, Apps>,
    entries: Option<Reader>,
    /// The stream's end before the pass.
    goal: u64,
    /// Names that only applications speak of, once the nodes' entries are through.
    rest: hash_map::IntoIter<Name, Apps>,
}

/// What applications say about one name, and whether it was part of an answer already.
#[derive(Default)]
struct Apps {
    said: Vec<App>,
    given: bool,
}

/// One record by an application.
#[derive(Clone, Debug)]
pub(super) struct App {
    pub(super) sequence: u64,
    pub(super) record: Revocation,
}

/// Everything that is said about one name.
#[derive(Clone, Debug)]
pub(super) struct Folded {
    pub(super) name: Name,
    /// The nodes' word, and the message it came in.
    pub(super) entry: Option<(Entry, Message)>,
    /// The applications', in order.
    pub(super) apps: Vec<App>,
}

// === impl Scan ===

impl<'b> Scan<'b> {
    /// Begins a pass over everything, or over one name alone, `goal` being the stream's end by now: all
    /// that applications say, and what the nodes say from the sequence on.
    pub(super) async fn begin(
        broker: &'b Broker,
        goal: u64,
        only: Option<&Name>,
        from: u64,
    ) -> Result<Self, FeedError> {
        let mut reader = Reader::open(broker, subject::apps(&broker.name), 0).await?;
        let mut apps = HashMap::<Name, Apps>::new();
        while let Some(message) = reader.next_waiting(broker, goal).await? {
            if let Said::App(record) = message.said(&broker.name)
                && only.is_none_or(|only| *only == record.name)
            {
                let app = App { sequence: message.sequence, record };
                apps.entry(app.record.name.clone()).or_default().said.push(app);
            }
        }
        reader.close(broker).await;
        let filter = match only {
            Some(name) => subject::entry(&broker.name, name),
            None => subject::entries(&broker.name),
        };
        let entries = Some(Reader::open(broker, filter, from).await?);
        Ok(Self { broker, apps, entries, goal, rest: HashMap::new().into_iter() })
    }

    /// The next name; `None` at the end. An entry that is written over during the pass may come twice.
    pub(super) async fn next(&mut self) -> Result<Option<Folded>, FeedError> {
        while let Some(reader) = &mut self.entries {
            let Some(message) = reader.next_waiting(self.broker, self.goal).await? else {
                if let Some(reader) = self.entries.take() {
                    reader.close(self.broker).await;
                }
                self.rest = std::mem::take(&mut self.apps).into_iter();
                break;
            };
            if let Said::Entry(entry) = message.said(&self.broker.name) {
                let name = entry.record.name.clone();
                let apps = self.apps.get_mut(&name).map(|apps| {
                    apps.given = true;
                    apps.said.clone()
                });
                let apps = apps.unwrap_or_default();
                return Ok(Some(Folded { name, entry: Some((entry, message)), apps }));
            }
        }
        let left = self.rest.find(|(_, apps)| !apps.given);
        Ok(left.map(|(name, apps)| Folded { name, entry: None, apps: apps.said }))
    }
}

// === impl Folded ===

impl Folded {
    /// Where the name was last reinstated.
    pub(super) fn since(&self) -> u64 {
        self.entry.as_ref().map_or(0, |(entry, _)| entry.since)
    }

    /// What all of it comes to; `None`: nothing is revoked.
    pub(super) fn live(&self) -> Option<Revocation> {
        let since = self.since();
        let entry = self.entry.as_ref().map(|(entry, _)| (entry.sequence, &entry.record));
        let apps = self.apps.iter().filter(|app| app.sequence > since);
        let mut records: Vec<_> = apps.map(|app| (app.sequence, &app.record)).collect();
        records.extend(entry.filter(|(_, record)| record.op != Op::Reinstate));
        records.sort_by_key(|(sequence, _)| *sequence);
        let mut records = records.into_iter().map(|(_, record)| record);
        let first = records.next()?.clone();
        Some(records.fold(first, |so_far, later| so_far.followed_by(later.clone())))
    }
}
