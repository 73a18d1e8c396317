//! Keeps asking, while an answer streams, whether its token still holds: what was revoked or has
//! expired midway is cut off within a second.
//!
//! A short answer ends before the first question and pays for none of it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::clock::Clock;
use crate::instant::recent;
use crate::revocation::{Named, Revocations, WhenStale};
use crate::token::TokenTypes;

/// Who can tell whether a token still holds.
#[derive(Debug)]
pub(super) struct Judge {
    pub(super) revocations: Arc<Revocations>,
    pub(super) clock: Arc<dyn Clock>,
}

/// Over one answer's body.
#[derive(Debug)]
pub(super) struct Vigil {
    judge: Arc<Judge>,
    check: TokenTypes,
    next: Instant,
    /// Made when the body has to be waited for.
    timer: Option<Pin<Box<Sleep>>>,
}

/// Half of what is promised: a record may come just after a question.
const EVERY: Duration = Duration::from_millis(500);

// === impl Judge ===

impl Judge {
    /// Why the token no longer holds. A state that has become stale takes nothing from what was
    /// admitted while it was fresh.
    fn objection(&self, named: &Arc<Named>, check: TokenTypes) -> Option<&'static str> {
        let now = self.clock.now();
        if named.verified().is_current(now).is_err() {
            return Some(EXPIRED);
        }
        self.revocations.admit(named, check, WhenStale::Allow, now).is_err().then_some(REVOKED)
    }
}

/// The token's time ran out while the answer streamed.
pub(super) const EXPIRED: &str = "expired_midway";
/// The token was revoked while the answer streamed.
pub(super) const REVOKED: &str = "revoked_midway";

// === impl Vigil ===

impl Vigil {
    /// Begins with the answer. `check` are the kinds of token whose revocation the route asks for.
    pub(super) fn new(judge: Arc<Judge>, check: TokenTypes) -> Self {
        Self { judge, check, next: recent() + EVERY, timer: None }
    }

    /// Whether the answer must end now, and why. `waiting`: nothing else will wake the task.
    pub(super) fn objection(
        &mut self,
        named: &Arc<Named>,
        waiting: bool,
        cx: &mut Context<'_>,
    ) -> Option<&'static str> {
        let now = recent();
        if now >= self.next {
            if let Some(reason) = self.judge.objection(named, self.check) {
                return Some(reason);
            }
            self.next = now + EVERY;
        }
        if waiting {
            self.wake_in_time(cx);
        }
        None
    }

    fn wake_in_time(&mut self, cx: &mut Context<'_>) {
        let next = self.next;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(next)));
        if timer.deadline() != next {
            timer.as_mut().reset(next);
        }
        if let Poll::Ready(()) = timer.as_mut().poll(cx) {
            // It was due just now: the next poll asks.
            cx.waker().wake_by_ref();
        }
    }
}
