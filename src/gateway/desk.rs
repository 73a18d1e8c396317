//! What the gateway has done elsewhere: whatever a request asks of the store. The request path never
//! waits on its own thread for one; `app` stands behind the desk.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

use crate::revocation::{Principal, Revocation};
use crate::self_service::{Call, CallError, Done};

/// An answer that is still being made, in the background.
pub type Pending<T> = Pin<Box<dyn Future<Output = Result<T, CallError>> + Send>>;

/// Who does what bearers ask for.
pub trait Desk: Debug + Send + Sync {
    /// Does it, whoever goes away meanwhile. Done means durable, and enforced on this node.
    fn serve(&self, call: Call, bearer: Principal) -> Pending<Done>;

    /// Records tokens that were issued. Done means durable, and known on this node.
    fn register(&self, records: Vec<Revocation>) -> Pending<()>;
}
