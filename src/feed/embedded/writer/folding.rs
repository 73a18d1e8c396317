//! When to fold: seldom enough that each pass is worth it, often enough that little is unfolded.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use redb::{Database, Durability, Error, ReadableDatabase};

use crate::clock::UnixTime;
use crate::feed::embedded::pending::number;
use crate::feed::embedded::schema::{ENTRIES, FOLDED, META};
use crate::revocation::FeedError;

use super::fold::Round;
use super::{Answer, Pace, refusal};

/// The round under way, and who waits for one.
#[derive(Debug, Default)]
pub(super) struct Folder {
    round: Option<Round>,
    /// The next round, being read on a thread of its own: nobody waits for it.
    beginning: Option<JoinHandle<Result<Round, Error>>>,
    answer: Option<Answer<usize>>,
    asked: Vec<(UnixTime, Answer<usize>)>,
    /// The last known number of records that the leaves hold, and of entries.
    folded: Option<(u64, u64)>,
    /// After a failure not before this moment.
    rest: Option<Instant>,
}

/// Unfolded records at which a round begins while others wait.
const MANY: u64 = if cfg!(test) { 64 } else { 262_144 };
/// The same when nobody does.
const SOME: u64 = if cfg!(test) { 8 } else { 1024 };
/// One step's time while others wait: they wait so much longer.
const SHORT: Duration = Duration::from_millis(3);
/// The same when nobody does yet.
const LONG: Duration = Duration::from_millis(25);
/// After a failure.
const REST: Duration = Duration::from_secs(30);

// === impl Folder ===

impl Folder {
    /// Whether there is something to do at once.
    pub(super) const fn is_busy(&self) -> bool {
        self.round.is_some() || self.beginning.is_none() && !self.asked.is_empty()
    }

    /// Drops what has expired before that time, when it comes to it.
    pub(super) fn compact(&mut self, before: UnixTime, answer: Answer<usize>) {
        self.asked.push((before, answer));
    }

    /// The file failed: nothing is asked of it for a while.
    pub(super) fn fail(&mut self, error: &FeedError) {
        if self.round.is_none() && self.beginning.is_none() && self.asked.is_empty() {
            return;
        }
        // It holds the file, which is to be opened again.
        drop(self.beginning.take().map(JoinHandle::join));
        (self.round, self.folded) = (None, None);
        self.rest = Some(Instant::now() + REST);
        let asked = self.asked.drain(..).map(|(_, answer)| answer);
        for answer in self.answer.take().into_iter().chain(asked) {
            // Who asked may be gone.
            drop(answer.send(Err(refusal(error))));
        }
    }

    /// A step, or at the end all of them, also of what has come since a round began; whether anything was
    /// written.
    pub(super) fn work(
        &mut self,
        database: &Arc<Database>,
        head: u64,
        pace: Pace,
    ) -> Result<bool, Error> {
        let mut written = false;
        while self.round.is_some() || self.begin(database, head, pace)? {
            self.step(database, pace)?;
            written = true;
            if pace != Pace::Closing {
                break;
            }
        }
        Ok(written)
    }

    fn step(&mut self, database: &Database, pace: Pace) -> Result<(), Error> {
        // The commit that others wait for comes next, and syncs this too.
        let (budget, durability) = match pace {
            Pace::Between => (SHORT, Durability::None),
            Pace::Alone | Pace::Idle | Pace::Closing => (LONG, Durability::Immediate),
        };
        if let Some(round) = &mut self.round
            && round.step(database, budget, durability)?
        {
            self.finish();
        }
        Ok(())
    }

    fn begin(&mut self, database: &Arc<Database>, head: u64, pace: Pace) -> Result<bool, Error> {
        if let Some(beginning) = self.beginning.take() {
            return self.go_on(beginning, pace);
        }
        if let Some((before, answer)) = self.asked.pop() {
            let round = Round::begin(database, Some(before))?;
            if round.compacts() {
                self.answer = Some(answer);
            } else {
                // One that was broken off comes first.
                self.asked.push((before, answer));
            }
            self.round = Some(round);
            return Ok(true);
        }
        if self.rest.is_some_and(|until| Instant::now() < until)
            || !self.is_worth(database, head, pace)?
        {
            return Ok(false);
        }
        let beginning = if pace == Pace::Between { begin_beside(database) } else { None };
        match beginning {
            Some(beginning) => self.beginning = Some(beginning),
            None => self.round = Some(Round::begin(database, None)?),
        }
        Ok(self.round.is_some())
    }

    /// With the round that is being read, if it is; waits for it only when nobody else waits.
    fn go_on(
        &mut self,
        beginning: JoinHandle<Result<Round, Error>>,
        pace: Pace,
    ) -> Result<bool, Error> {
        if pace == Pace::Between && !beginning.is_finished() {
            self.beginning = Some(beginning);
            return Ok(false);
        }
        self.round = Some(beginning.join().unwrap_or_else(|panic| resume_unwind(panic))?);
        Ok(true)
    }

    fn is_worth(&mut self, database: &Database, head: u64, pace: Pace) -> Result<bool, Error> {
        let (folded, entries) = match self.folded {
            Some(known) => known,
            None => *self.folded.insert(read(database)?),
        };
        let unfolded = head.saturating_sub(folded);
        Ok(match pace {
            Pace::Between | Pace::Alone => unfolded >= MANY.max(entries / 4),
            Pace::Idle | Pace::Closing => unfolded >= SOME.max(entries / 64),
        })
    }

    fn finish(&mut self) {
        self.folded = None;
        let gone = self.round.take().map_or(0, |round| round.gone);
        if let Some(answer) = self.answer.take() {
            // Who asked may be gone.
            drop(answer.send(Ok(gone)));
        }
    }
}

/// Reads what a round folds, which takes a while, beside the writer; `None` when there is no thread to be had.
fn begin_beside(database: &Arc<Database>) -> Option<JoinHandle<Result<Round, Error>>> {
    let database = Arc::clone(database);
    let begin = move || Round::begin(&database, None);
    thread::Builder::new().name("revocation-fold".to_owned()).spawn(begin).ok()
}

fn read(database: &Database) -> Result<(u64, u64), Error> {
    let read = database.begin_read()?;
    let meta = read.open_table(META)?;
    Ok((number(&meta, FOLDED)?, number(&meta, ENTRIES)?))
}
