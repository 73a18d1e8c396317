//! The one body that is read before a request is judged: where the route looks for credentials in bodies.

use std::time::Duration;

use http::request::Parts;
use hyper::body::Incoming;

use crate::forward::{ForwardError, read_whole};
use crate::snapshot::Route;
use crate::token::TokenSource;

/// Reads the body where a credential of this request may stand in it; it is then among the head's
/// extensions.
pub(super) async fn read_body(
    route: &Route,
    head: &mut Parts,
    body: &mut Option<Incoming>,
    patience: Duration,
) -> Result<(), ForwardError> {
    let Some(rule) = route.access.rule() else { return Ok(()) };
    if rule.exempts(&head.method) {
        return Ok(());
    }
    // What does not go on must be found, whether or not it is the one that counts.
    let all = !route.forward.token;
    let limit = TokenSource::wants_body(&rule.token_from, rule.reading, head, all);
    if let (Some(limit), Some(whole)) = (limit, body.take_if(|_| limit.is_some())) {
        head.extensions.insert(read_whole(whole, limit, patience).await?);
    }
    Ok(())
}
