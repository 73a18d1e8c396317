//! Behind the data plane's desk: what bearers ask for, done on the background runtime.

use std::future::{Future, ready};
use std::sync::{Arc, Weak};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::runtime::Handle;

use crate::control::Gatehouse;
use crate::gateway::{Desk, Pending};
use crate::revocation::{Draft, Filter, Making, Principal, Registered, Revocation, TokenFilter};
use crate::self_service::{Call, CallError, Done};

use super::House;

/// Takes what is asked to the background. The gateway holds it and the house holds the gateway.
#[derive(Debug)]
pub(super) struct BackgroundDesk {
    house: Weak<House>,
    runtime: Handle,
}

// === impl BackgroundDesk ===

impl BackgroundDesk {
    pub(super) fn new(house: &Arc<House>, runtime: Handle) -> Self {
        Self { house: Arc::downgrade(house), runtime }
    }

    /// In a task of its own: a client that leaves does not tear it.
    fn spawn<T, F>(&self, work: impl FnOnce(Arc<House>) -> F) -> Pending<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, CallError>> + Send + 'static,
    {
        let Some(house) = self.house.upgrade() else {
            return Box::pin(ready(Err(CallError::NotRecorded)));
        };
        let task = self.runtime.spawn(work(house));
        Box::pin(async move { task.await.unwrap_or(Err(CallError::NotRecorded)) })
    }
}

impl Desk for BackgroundDesk {
    fn serve(&self, call: Call, bearer: Principal) -> Pending<Done> {
        self.spawn(|house| async move { house.serve(call, &bearer).await })
    }

    fn register(&self, records: Vec<Revocation>) -> Pending<()> {
        self.spawn(|house| async move { house.append_told(records).await })
    }
}

// === impl House ===

impl House {
    async fn serve(&self, call: Call, bearer: &Principal) -> Result<Done, CallError> {
        match call {
            Call::Logout { everywhere: false } => {
                self.take_back([token_of(bearer)], "logged out", bearer).await?;
                Ok(Done::LoggedOut)
            }
            Call::Logout { everywhere: true } => {
                // The token too: an issuer whose clock is ahead gave it an `iat` after the cut-off.
                let wanted = [subject_of(bearer)?, token_of(bearer)];
                self.take_back(wanted, "logged out everywhere", bearer).await?;
                Ok(Done::LoggedOutEverywhere)
            }
            Call::List => Ok(Done::Listed(self.tokens_of(bearer)?)),
            Call::Revoke(id) => {
                let token = self.own_token(&id, bearer)?;
                // Saying it again would make another's revocation look like the bearer's own.
                if !token.revoked {
                    let (actor, reason) = (Some(actor(bearer)), Some(REVOKED.into()));
                    let record = token.revocation(actor, reason, self.clock().now());
                    self.append_told(vec![record]).await?;
                }
                Ok(Done::Revoked(id))
            }
            Call::Reinstate(id) => {
                let token = self.own_token(&id, bearer)?;
                if token.revoked {
                    self.give_back(&token, bearer).await?;
                }
                Ok(Done::Reinstated(id))
            }
        }
    }

    fn tokens_of(&self, bearer: &Principal) -> Result<Vec<Registered>, CallError> {
        let revocations = self.gateway().revocations();
        if !revocations.has_register() {
            return Err(CallError::NoRegister);
        }
        let filter = TokenFilter {
            issuer: Some(Arc::clone(bearer.verified().scope())),
            subject: Some(subject(bearer)?.into()),
        };
        Ok(revocations.tokens(&filter, None, MOST_LISTED, self.clock().now()).items)
    }

    /// Another's token is as unknown as none.
    fn own_token(&self, id: &str, bearer: &Principal) -> Result<Registered, CallError> {
        let revocations = self.gateway().revocations();
        if !revocations.has_register() {
            return Err(CallError::NoRegister);
        }
        let (subject, scope) = (subject(bearer)?, bearer.verified().scope());
        let found = revocations.find_tokens(Some(scope), id, self.clock().now());
        let own = |token: &Registered| token.subject.as_deref() == Some(subject);
        found.into_iter().find(own).ok_or(CallError::NoSuchToken)
    }

    /// Only what its bearer took away, and by itself.
    async fn give_back(&self, token: &Registered, bearer: &Principal) -> Result<(), CallError> {
        let actor = actor(bearer);
        let filter = Filter {
            issuer: Some(Arc::clone(&token.issuer)),
            claim: Some("jti".into()),
            value: Some(Arc::clone(&token.token_id)),
        };
        let page = self.list(filter, None, 1).await.map_err(|error| {
            tracing::warn!(%error, "the store can't tell who took a token back");
            CallError::NotRecorded
        })?;
        if page.items.first().is_none_or(|entry| entry.actor.as_ref() != Some(&actor)) {
            return Err(CallError::TakenByOthers);
        }
        let now = self.clock().now();
        let record = token.reinstatement(Some(actor), Some(REINSTATED.into()), now);
        self.append_told(vec![record]).await?;
        let (id, scope) = (&token.token_id, &token.issuer);
        let left = self.gateway().revocations().find_tokens(Some(scope), id, now);
        // A session or all of a subject may be taken back besides.
        if left.iter().any(|token| token.revoked) {
            return Err(CallError::TakenByOthers);
        }
        Ok(())
    }

    async fn take_back(
        &self,
        wanted: impl IntoIterator<Item = Draft>,
        reason: &str,
        bearer: &Principal,
    ) -> Result<(), CallError> {
        let enforceable = self.enforceable();
        let mut making = Making::begin(self.clock().now(), Some(actor(bearer)));
        let complete = |draft: Draft| {
            let draft = Draft { reason: Some(reason.into()), ..draft };
            draft.complete(&enforceable.1, &mut making)
        };
        let records: Result<Vec<Revocation>, _> = wanted.into_iter().map(complete).collect();
        let records = records.map_err(|error| {
            // Such as an `iss` or `jti` that no record can hold.
            tracing::warn!(%error, "a bearer's token can't be revoked by what it says");
            CallError::NotRecorded
        })?;
        self.append_told(records).await
    }

    /// The diagnostic log names the records; their values may be personal and stay in the store.
    async fn append_told(&self, records: Vec<Revocation>) -> Result<(), CallError> {
        let told: Vec<_> =
            records.iter().map(|it| (it.id, it.op, Arc::clone(&it.name.claim))).collect();
        match self.append(records).await {
            Ok(_cursor) => {
                for (id, op, claim) in told {
                    tracing::info!(%id, ?op, %claim, "recorded for a bearer");
                }
                Ok(())
            }
            Err(error) => {
                tracing::warn!(%error, "what a bearer asked for was not recorded");
                Err(CallError::NotRecorded)
            }
        }
    }
}

/// The presented token: by `jti` if it has one, else by its digest.
fn token_of(bearer: &Principal) -> Draft {
    let (verified, claims) = (bearer.verified(), bearer.claims());
    let (claim, value) = match claims.token_id() {
        Some(id) if !id.is_empty() => ("jti", id.to_owned()),
        _ => ("token", URL_SAFE_NO_PAD.encode(verified.digest())),
    };
    draft(bearer, claim, value, Some(verified.valid_until()))
}

/// Everything of the bearer's subject that was issued until now.
fn subject_of(bearer: &Principal) -> Result<Draft, CallError> {
    Ok(draft(bearer, "sub", subject(bearer)?.to_owned(), None))
}

fn subject(bearer: &Principal) -> Result<&str, CallError> {
    let subject = bearer.claims().subject().filter(|subject| !subject.is_empty());
    subject.ok_or(CallError::NoSubject)
}

fn draft(
    bearer: &Principal,
    claim: &str,
    value: String,
    expires_at: Option<crate::clock::UnixTime>,
) -> Draft {
    Draft {
        issuer: Some(Arc::clone(bearer.verified().scope())),
        claim: claim.into(),
        value: value.into(),
        issued_before: None,
        expires_at,
        reason: None,
    }
}

/// In the audit trail: no control credential has a colon in its name.
fn actor(bearer: &Principal) -> Arc<str> {
    let subject = bearer.claims().subject().unwrap_or_default();
    let mut actor = format!("{ACTOR}{}", subject.replace(char::is_control, ""));
    actor.truncate(actor.floor_char_boundary(LONGEST_ACTOR));
    actor.into()
}

/// What a bearer's name in the audit trail begins with.
const ACTOR: &str = "self-service:";
const REVOKED: &str = "revoked by its bearer";
const REINSTATED: &str = "reinstated by its bearer";
/// A subject with more live tokens than this is no person.
const MOST_LISTED: usize = 1000;
/// In bytes; the longest that every store keeps.
const LONGEST_ACTOR: usize = 256;
