//! How the running parts are told to stop: drain first, then end.

use tokio::sync::watch;

/// The side that tells. Dropping it without a word also stops everyone.
#[derive(Debug)]
pub struct Shutdown(watch::Sender<bool>);

/// The side that is told; cheap to clone.
#[derive(Clone, Debug)]
pub struct Drain(watch::Receiver<bool>);

// === impl Shutdown ===

impl Shutdown {
    /// A teller and its first listener.
    pub fn new() -> (Self, Drain) {
        let (tell, told) = watch::channel(false);
        (Self(tell), Drain(told))
    }

    /// Tells every [`Drain`] to finish what it has and take nothing new.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }
}

// === impl Drain ===

impl Drain {
    /// Whether the word has been given.
    pub fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for the word. Cancel-safe.
    pub async fn begun(&mut self) {
        // An error means that the teller is gone, which is the word too.
        drop(self.0.wait_for(|begun| *begun).await);
    }
}
