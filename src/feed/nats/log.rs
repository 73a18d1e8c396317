//! The writing side: merge with what is there, write if nobody wrote meanwhile, else merge again.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::join_all;

use crate::clock::UnixTime;
use crate::feed::listing;
use crate::revocation::{
    Cursor, FeedError, Filter, Name, Op, Page, Revocation, RevocationLog, wire,
};

use super::agenda::Agenda;
use super::broker::{Broker, PublishRefusal};
use super::listing::Listed;
use super::memory;
use super::said::{Entry, Said};
use super::subject;
use super::sweep;

/// The way to write to the stream and to list it; cheap to clone.
///
/// JetStream has no transactions: a batch is checked whole before anything is written, but when the
/// servers go away in its midst, some records may have been kept although the answer is an error.
/// Never the other way round. Saying all of it again is harmless.
#[derive(Clone, Debug)]
pub struct NatsLog {
    broker: Arc<Broker>,
    agenda: Arc<tokio::sync::Mutex<Agenda>>,
    listed: Arc<Mutex<Option<Listed>>>,
}

/// Records of one batch that are on their way at once.
const AT_ONCE: usize = 256;
/// How often an entry is merged anew before we give up.
const ATTEMPTS: usize = 64;

// === impl NatsLog ===

impl NatsLog {
    pub(super) fn new(broker: Arc<Broker>) -> Self {
        Self { broker, agenda: Arc::default(), listed: Arc::default() }
    }

    /// Writes them at the same time: no two may have the same name.
    async fn put_together(&self, records: &[Revocation]) -> Result<u64, FeedError> {
        let answers = join_all(records.iter().map(|record| put(&self.broker, record))).await;
        let mut last = 0;
        for sequence in answers {
            last = last.max(sequence?);
        }
        Ok(last)
    }
}

impl RevocationLog for NatsLog {
    async fn append(&self, records: Vec<Revocation>) -> Result<Cursor, FeedError> {
        for record in &records {
            wire::check(record).map_err(|error| FeedError::Refused(error.to_string()))?;
        }
        let canonical = |record: Revocation| {
            let name = record.name.canonical();
            Revocation { name, ..record }
        };
        let records: Vec<_> = records.into_iter().map(canonical).collect();
        self.broker.connected_soon().await?;
        let mut last = 0;
        for together in parts(&records) {
            last = last.max(self.put_together(together).await?);
        }
        if records.is_empty() {
            last = memory::recall(&self.broker).await?.last;
        }
        Ok(subject::cursor(last))
    }

    async fn list(
        &self,
        filter: Filter,
        after: Option<Name>,
        limit: usize,
    ) -> Result<Page, FeedError> {
        let limit = limit.max(1);
        let filter = listing::canonical(&filter);
        {
            let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
            listed.take_if(|listed| listed.is_over());
            let further = listed.as_ref().zip(after.as_ref());
            let page = further.and_then(|(listed, after)| listed.page(&filter, after, limit));
            if let Some(page) = page {
                return Ok(page);
            }
        }
        let listed = Listed::read(&self.broker, filter, after, limit).await?;
        let page = listed.first(limit);
        if page.next.is_some() {
            *self.listed.lock().unwrap_or_else(PoisonError::into_inner) = Some(listed);
        }
        Ok(page)
    }

    async fn compact(&self, now: UnixTime) -> Result<usize, FeedError> {
        sweep::sweep(&self.broker, &mut *self.agenda.lock().await, now).await
    }
}

/// In order, as many at once as have different names.
pub(super) fn parts(records: &[Revocation]) -> Vec<&[Revocation]> {
    let mut parts = Vec::new();
    let mut names = HashSet::new();
    let mut begin = 0;
    for (at, record) in records.iter().enumerate() {
        if names.len() >= AT_ONCE || !names.insert(&record.name) {
            parts.push(&records[begin..at]);
            names.clear();
            names.insert(&record.name);
            begin = at;
        }
    }
    if begin < records.len() {
        parts.push(&records[begin..]);
    }
    parts
}

/// Writes one record over what the nodes said before; answers with its sequence.
pub(super) async fn put(broker: &Broker, record: &Revocation) -> Result<u64, FeedError> {
    let subject = subject::entry(&broker.name, &record.name);
    // A new name is the common case: then this is one round trip.
    let mut expected = 0;
    let mut said = None;
    for _ in 0..ATTEMPTS {
        let (merged, since) = after(said.as_ref(), record);
        let payload = Bytes::from(wire::encode(&merged));
        match broker.publish(subject.clone(), payload, since, expected).await {
            Ok(sequence) => return Ok(sequence),
            Err(PublishRefusal::Overtaken) => {}
            Err(PublishRefusal::NoStream) => drop(memory::recall(broker).await?),
            Err(refusal) => return Err(refusal.into_feed_error()),
        }
        let last = broker.last(&subject).await?;
        expected = last.as_ref().map_or(0, |message| message.sequence);
        said = last.and_then(|message| match message.said(&broker.name) {
            Said::Entry(entry) => Some(entry),
            _ => None,
        });
    }
    Err(PublishRefusal::Overtaken.into_feed_error())
}

/// What an entry becomes by a record, and where its name was last reinstated.
pub(super) fn after(said: Option<&Entry>, record: &Revocation) -> (Revocation, u64) {
    let Some(said) = said else { return (record.clone(), 0) };
    if said.record.op == Op::Reinstate || record.op == Op::Reinstate {
        return (record.clone(), said.since);
    }
    (said.record.followed_by(record.clone()), said.since)
}
