//! A deadline that moves often and seldom fires: the timer is touched only when it must be.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::instant::recent;

/// One timer for many deadlines in a row. Moving a deadline later costs nothing until the old one is
/// reached, so a kept-alive connection does not register a timer for every request.
#[derive(Debug)]
pub struct Deadline(Option<Pin<Box<Sleep>>>);

/// How long a wait has lasted, counted from its beginning and not from the last progress, so that time
/// spent waiting for the other side is not held against this one.
#[derive(Debug)]
pub struct Patience {
    limit: Duration,
    since: Option<Instant>,
}

// === impl Deadline ===

impl Deadline {
    /// A timer that is not armed yet.
    pub const fn new() -> Self {
        Self(None)
    }

    /// Ready once `deadline` has passed; wakes the task no later than shortly after it.
    pub fn poll_passed(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if deadline < sleep.deadline() {
            sleep.as_mut().reset(deadline);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

impl Default for Deadline {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Patience ===

impl Patience {
    /// Waits of at most `limit`.
    pub const fn new(limit: Duration) -> Self {
        Self { limit, since: None }
    }

    /// Something came: the next wait starts anew.
    pub const fn progress(&mut self) {
        self.since = None;
    }

    /// Nothing came. Ready when that has lasted too long.
    pub fn poll_lost(&mut self, cx: &mut Context<'_>, timer: &mut Deadline) -> Poll<()> {
        let since = *self.since.get_or_insert_with(recent);
        timer.poll_passed(cx, since + self.limit)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_moved_later_fires_at_the_later_time() {
        let start = Instant::now();
        let mut timer = Deadline::new();
        let first = start + Duration::from_secs(1);
        poll_fn(|cx| {
            assert!(timer.poll_passed(cx, first).is_pending());
            Poll::Ready(())
        })
        .await;
        let later = start + Duration::from_secs(5);
        poll_fn(|cx| timer.poll_passed(cx, later)).await;
        assert_eq!(start.elapsed().as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_moved_earlier_fires_at_the_earlier_time() {
        let start = Instant::now();
        let mut timer = Deadline::new();
        poll_fn(|cx| {
            assert!(timer.poll_passed(cx, start + Duration::from_secs(60)).is_pending());
            Poll::Ready(())
        })
        .await;
        poll_fn(|cx| timer.poll_passed(cx, start + Duration::from_secs(2))).await;
        assert_eq!(start.elapsed().as_secs(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn patience_counts_from_the_start_of_a_wait() {
        let start = Instant::now();
        let mut timer = Deadline::new();
        let mut patience = Patience::new(Duration::from_secs(3));
        tokio::time::sleep(Duration::from_secs(10)).await;
        poll_fn(|cx| patience.poll_lost(cx, &mut timer)).await;
        assert_eq!(start.elapsed().as_secs(), 13);
    }
}
