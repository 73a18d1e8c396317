//! Questions that are out, one a token: whoever asks the same meanwhile waits for the same answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch::{Receiver, Sender, channel};

use crate::access::Verdict;

use super::CallbackError;

/// What came of a question.
pub(super) type Outcome = Result<Verdict, CallbackError>;
/// Where it will be told.
pub(super) type Waiting = Receiver<Option<Outcome>>;

/// All questions that are out.
pub(super) struct Flights {
    out: Mutex<HashMap<Arc<str>, Waiting>>,
    most: usize,
}

/// One of them; gone from the rest when it is dropped, whatever became of it.
#[derive(Debug)]
pub(super) struct Flight {
    flights: Arc<Flights>,
    token: Token,
    tell: Sender<Option<Outcome>>,
    landed: bool,
}

/// What whoever wants to ask finds.
#[derive(Debug)]
pub(super) enum Seat {
    /// The verdict came just now.
    Known(Verdict),
    /// The question is out.
    Joined(Waiting),
    /// It is his to ask.
    First(Flight, Waiting),
    /// Too many are out.
    Full,
}

/// A token's text that is not printed.
struct Token(Arc<str>);

// === impl Flights ===

impl Flights {
    pub(super) fn new(most: usize) -> Self {
        Self { out: Mutex::default(), most }
    }

    /// Joins the token's question or begins it. `known` is asked once more in here: an answer is kept
    /// before its question is over, so no answer falls between the two.
    pub(super) fn board(
        self: &Arc<Self>,
        token: &str,
        known: impl FnOnce() -> Option<Verdict>,
    ) -> Seat {
        let mut out = self.lock();
        if let Some(waiting) = out.get(token) {
            return Seat::Joined(waiting.clone());
        }
        if let Some(verdict) = known() {
            return Seat::Known(verdict);
        }
        if out.len() >= self.most {
            return Seat::Full;
        }
        let token: Arc<str> = token.into();
        let (tell, waiting) = channel(None);
        out.insert(Arc::clone(&token), waiting.clone());
        drop(out);
        let (flights, token) = (Arc::clone(self), Token(token));
        Seat::First(Flight { flights, token, tell, landed: false }, waiting)
    }

    /// How many are out.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Waiting>> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Flights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Flights(..)")
    }
}

// === impl Flight ===

impl Flight {
    /// The token's text.
    pub(super) fn token(&self) -> &str {
        &self.token.0
    }

    /// Tells everybody who waits.
    pub(super) fn land(mut self, outcome: Outcome) {
        // Before anybody knows: whoever asks from then on begins anew, or finds what was kept.
        self.flights.lock().remove(&self.token.0);
        self.landed = true;
        self.tell.send_replace(Some(outcome));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        // After landing the next one may be out.
        if !self.landed {
            self.flights.lock().remove(&self.token.0);
        }
    }
}

// === impl Token ===

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}
