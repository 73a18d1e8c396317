//! Boxes of answered requests' futures, for the next requests of the same worker: such a future is
//! kilobytes long, which malloc neither finds nor takes back quickly.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// Empty boxes of one worker.
#[derive(Debug)]
pub(super) struct Spares<F>(RefCell<Vec<Slot<F>>>);

/// A future in such a box; the box goes back when the future has ended or is dropped.
#[derive(Debug)]
pub(super) struct Boxed<F> {
    /// Gone once it was given back.
    slot: Option<Slot<F>>,
    spares: Rc<Spares<F>>,
}

type Slot<F> = Pin<Box<Option<F>>>;

/// Empty boxes that are kept, at most.
const KEPT: usize = 64;

// === impl Spares ===

impl<F> Spares<F> {
    /// None yet.
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self(RefCell::default()))
    }

    /// Puts a future into a box.
    pub(super) fn put(self: &Rc<Self>, future: F) -> Boxed<F> {
        let slot = match self.0.borrow_mut().pop() {
            Some(mut slot) => {
                slot.set(Some(future));
                slot
            }
            None => Box::pin(Some(future)),
        };
        Boxed { slot: Some(slot), spares: Rc::clone(self) }
    }
}

// === impl Boxed ===

impl<F> Boxed<F> {
    fn give_back(&mut self) {
        let Some(mut slot) = self.slot.take() else { return };
        // Its end may answer nobody, but never borrows the spares.
        slot.set(None);
        let mut spares = self.spares.0.borrow_mut();
        if spares.len() < KEPT {
            spares.push(slot);
        }
    }
}

impl<F: Future> Future for Boxed<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let future = self.slot.as_mut().and_then(|slot| slot.as_mut().as_pin_mut());
        let Some(future) = future else {
            // Polled after its end, which hyper does not do.
            return Poll::Pending;
        };
        let output = ready!(future.poll(cx));
        self.give_back();
        Poll::Ready(output)
    }
}

impl<F> Drop for Boxed<F> {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_box_is_used_again_after_an_answer_and_after_a_client_that_left() {
        let spares = Spares::new();
        let place = |boxed: &Boxed<_>| std::ptr::from_ref(&**boxed.slot.as_ref().unwrap());
        let (held, end) = (Rc::new(()), |held: &Rc<()>| ready(Rc::clone(held)));
        let first = spares.put(end(&held));
        let used = place(&first);
        assert_eq!(first.now_or_never(), Some(Rc::clone(&held)));
        let second = spares.put(end(&held));
        assert_eq!((place(&second), Rc::strong_count(&held)), (used, 2));
        drop(second);
        assert_eq!((spares.0.borrow().len(), Rc::strong_count(&held)), (1, 1));
    }

    #[test]
    fn only_so_many_are_kept() {
        let spares = Spares::new();
        let all: Vec<_> = (0..KEPT + 5).map(|_| spares.put(pending::<()>())).collect();
        drop(all);
        assert_eq!(spares.0.borrow().len(), KEPT);
    }
}
