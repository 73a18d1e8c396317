//! What an upstream connection wakes: the task of the request that uses it, except for what that task
//! does itself. hyper's parts wake each other; here one task polls them all, so such a wake only costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use futures_util::task::AtomicWaker;

/// A connection's own waker, the same for all its requests.
#[derive(Debug)]
pub(super) struct Ear {
    waker: Waker,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    task: AtomicWaker,
    deaf: AtomicBool,
}

// === impl Ear ===

impl Ear {
    pub(super) fn new() -> Self {
        let shared = Arc::new(Shared { task: AtomicWaker::new(), deaf: AtomicBool::new(false) });
        Self { waker: Waker::from(Arc::clone(&shared)), shared }
    }

    /// The waker to poll the connection with, on behalf of the task of `cx`.
    pub(super) fn listen(&self, cx: &Context<'_>) -> &Waker {
        self.shared.task.register(cx.waker());
        &self.waker
    }

    /// Wakes nobody until the next [`Self::listen`].
    pub(super) fn forget(&self) {
        drop(self.shared.task.take());
    }

    /// Runs `part`, of which nothing wakes the task. Whoever calls this polls the connection again
    /// before it waits, and all wakes of a connection come on its worker's thread: none is lost.
    pub(super) fn deaf<T>(&self, part: impl FnOnce() -> T) -> T {
        self.shared.deaf.store(true, Ordering::Relaxed);
        let result = part();
        self.shared.deaf.store(false, Ordering::Relaxed);
        result
    }
}

// === impl Shared ===

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.deaf.load(Ordering::Relaxed) {
            self.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_task_hears_others_and_not_itself() {
        let count = Arc::new(Count::default());
        let task = Waker::from(Arc::clone(&count));
        let ear = Ear::new();
        let waker = ear.listen(&Context::from_waker(&task)).clone();
        ear.deaf(|| waker.wake_by_ref());
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        waker.wake_by_ref();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        ear.listen(&Context::from_waker(&task));
        ear.forget();
        waker.wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }
}
