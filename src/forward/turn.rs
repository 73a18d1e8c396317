//! Letting the worker's other tasks go first.

use std::future::poll_fn;
use std::task::Poll;

/// Lets the tasks that are ready now go first, once: what they and this one send then goes out in a row, and
/// the upstream is woken less often (BENCHMARKS.md, "Waking the other processor"). tokio's `yield_now` asks
/// the system for news before, which costs what it gains.
pub(super) async fn others_first() {
    let mut went = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut went, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use tokio::task::{LocalSet, spawn_local};

    use super::*;

    #[tokio::test]
    async fn the_tasks_that_are_ready_go_first_and_once() {
        let went = Rc::new(RefCell::new(Vec::new()));
        let tasks = ["first", "second"].map(|name| {
            let went = Rc::clone(&went);
            async move {
                went.borrow_mut().push((name, "reads"));
                others_first().await;
                went.borrow_mut().push((name, "sends"));
            }
        });
        let all = async {
            for task in tasks.map(spawn_local) {
                task.await.unwrap();
            }
        };
        LocalSet::new().run_until(all).await;
        let turn = |what| [("first", what), ("second", what)];
        assert_eq!(*went.borrow(), [turn("reads"), turn("sends")].concat());
    }
}
