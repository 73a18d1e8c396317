//! All live entries in one pass: what applications say first, then what the nodes say, folded by name.
//!
//! In this order nothing falls between: a revocation that is folded into a node's entry meanwhile is
//! seen in one of the two. Only applications' subjects are held in memory; sweeping keeps them few.

use std::collections::{HashMap, VecDeque, hash_map};
use std::sync::Arc;
use std::vec;

use tokio::task::{JoinHandle, spawn_blocking};

use crate::revocation::wire::Decoder;
use crate::revocation::{FeedError, Name, Revocation};

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
    /// Messages that were read and are being understood, in order.
    decoding: VecDeque<JoinHandle<Vec<(Entry, Message)>>>,
    ready: vec::IntoIter<Folded>,
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

/// Names in one part of a pass, at the most.
const PART: usize = 2048;
/// Parts that are decoded while the next is read.
const DECODING: usize = 2;
/// Applications' messages that are sooner read a second time than filtered away: for a filter the servers
/// look at every message of the stream before they send the first.
const FEW: usize = 1024;

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
        let apps = read_apps(broker, goal, only).await?;
        let entries = match only {
            Some(name) => Reader::open(broker, subject::entry(&broker.name, name), from).await?,
            None if apps.len() > FEW => {
                Reader::open(broker, subject::entries(&broker.name), from).await?
            }
            None => {
                let all = Reader::open(broker, String::new(), from).await?;
                all.up_to_last(subject::entries(&broker.name))
            }
        };
        Ok(Self {
            broker,
            apps,
            entries: Some(entries),
            goal,
            decoding: VecDeque::new(),
            ready: Vec::new().into_iter(),
            rest: HashMap::new().into_iter(),
        })
    }

    /// The next name; `None` at the end. An entry that is written over during the pass may come twice.
    pub(super) async fn next(&mut self) -> Result<Option<Folded>, FeedError> {
        loop {
            if let Some(folded) = self.ready.next() {
                return Ok(Some(folded));
            }
            match self.next_part().await? {
                part if part.is_empty() => return Ok(None),
                part => self.ready = part.into_iter(),
            }
        }
    }

    /// The next names, many at once; none at the end.
    pub(super) async fn next_part(&mut self) -> Result<Vec<Folded>, FeedError> {
        while let Some(entries) = self.next_entries().await? {
            // All of them may have been something else.
            if !entries.is_empty() {
                return Ok(entries.into_iter().map(|entry| self.fold(entry)).collect());
            }
        }
        if !self.apps.is_empty() {
            self.rest = std::mem::take(&mut self.apps).into_iter();
        }
        let left = self.rest.by_ref().filter(|(_, apps)| !apps.given).take(PART);
        Ok(left.map(|(name, apps)| Folded { name, entry: None, apps: apps.said }).collect())
    }

    async fn next_entries(&mut self) -> Result<Option<Vec<(Entry, Message)>>, FeedError> {
        while self.decoding.len() < DECODING && self.entries.is_some() {
            let (part, stream) = (self.read_part().await?, Arc::clone(&self.broker.name));
            self.decoding.push_back(spawn_blocking(move || entries(&stream, part)));
        }
        let Some(part) = self.decoding.pop_front() else { return Ok(None) };
        let panicked = |_| FeedError::Corrupt("a message can't be read".to_owned());
        part.await.map(Some).map_err(panicked)
    }

    async fn read_part(&mut self) -> Result<Vec<Message>, FeedError> {
        let mut part = Vec::with_capacity(PART);
        while part.len() < PART
            && let Some(reader) = &mut self.entries
        {
            match reader.next_waiting(self.broker, self.goal).await? {
                Some(message) => part.push(message),
                None => {
                    if let Some(reader) = self.entries.take() {
                        reader.close(self.broker).await;
                    }
                }
            }
        }
        Ok(part)
    }

    fn fold(&mut self, (entry, message): (Entry, Message)) -> Folded {
        let name = entry.record.name.clone();
        let apps = match self.apps.get_mut(&name) {
            Some(apps) => {
                apps.given = true;
                apps.said.clone()
            }
            None => Vec::new(),
        };
        Folded { name, entry: Some((entry, message)), apps }
    }
}

// === impl Folded ===

impl Folded {
    /// Where the name was last reinstated.
    pub(super) fn since(&self) -> u64 {
        self.entry.as_ref().map_or(0, |(entry, _)| entry.since)
    }

    /// Like [`Folded::live`], without a copy where only the nodes have spoken.
    pub(super) fn into_live(self) -> Option<Revocation> {
        if !self.apps.is_empty() {
            return self.live();
        }
        let (entry, _) = self.entry?;
        (!entry.is_tombstone()).then_some(entry.record)
    }

    /// What all of it comes to; `None`: nothing is revoked.
    pub(super) fn live(&self) -> Option<Revocation> {
        let since = self.since();
        let entry = self.entry.as_ref().filter(|(entry, _)| !entry.is_tombstone());
        let entry = entry.map(|(entry, _)| (entry.sequence, &entry.record));
        let apps = self.apps.iter().filter(|app| app.sequence > since);
        let mut records: Vec<_> = apps.map(|app| (app.sequence, &app.record)).collect();
        records.extend(entry);
        records.sort_by_key(|(sequence, _)| *sequence);
        let mut records = records.into_iter().map(|(_, record)| record);
        let first = records.next()?.clone();
        Some(records.fold(first, |so_far, later| so_far.followed_by(later.clone())))
    }
}

async fn read_apps(
    broker: &Broker,
    goal: u64,
    only: Option<&Name>,
) -> Result<HashMap<Name, Apps>, FeedError> {
    let (mut apps, mut decoder) = (HashMap::<Name, Apps>::new(), Decoder::default());
    let filter = subject::apps(&broker.name);
    // Mostly there is none, and one question cheaper than a consumer.
    let asking = broker.asking(&filter).await?;
    if !broker.has_after(&asking, &filter, 0).await? {
        return Ok(apps);
    }
    let mut reader = Reader::open_on(broker, asking, filter, 0).await?;
    while let Some(message) = reader.next_waiting(broker, goal).await? {
        if let Said::App(record) = message.read(&broker.name, &mut decoder)
            && only.is_none_or(|only| *only == record.name)
        {
            let app = App { sequence: message.sequence, record };
            apps.entry(app.record.name.clone()).or_default().said.push(app);
        }
    }
    reader.close(broker).await;
    Ok(apps)
}

/// What the nodes say among these messages.
fn entries(stream: &str, messages: Vec<Message>) -> Vec<(Entry, Message)> {
    let mut decoder = Decoder::default();
    let entry = |message: Message| match message.read(stream, &mut decoder) {
        Said::Entry(entry) => Some((entry, message)),
        _ => None,
    };
    messages.into_iter().filter_map(entry).collect()
}
