//! What a store must do with registered tokens, whichever it is.

use std::sync::Arc;

use portcullis::clock::UnixTime;
use portcullis::revocation::{
    Filter, Name, Op, REGISTERED, Revocation, RevocationFeed, RevocationLog, TokenDetails,
};

use super::Backend;
use crate::support::records::{append_each, next_record, reinstate, revoke};

/// Says of a token of that `jti` when it was first and last seen.
fn register(id: &str, seen: (u64, u64), expires: u64) -> Revocation {
    let time = |seconds| Some(UnixTime::from_secs(seconds));
    let details = TokenDetails {
        subject: Some("u".into()),
        token_type: Some("refresh".into()),
        issued_at: time(1),
        expires_at: time(expires - 1),
        first_seen: time(seen.0),
        last_seen: time(seen.1),
        claims: vec![("sid".into(), "s'\"\\é".into()), ("client_id".into(), "app".into())],
    };
    Revocation {
        op: Op::Register,
        name: Name::registered("i".into(), id.into()),
        reason: None,
        token: Some(Arc::new(details)),
        ..revoke(id, expires)
    }
}

/// Every live entry, in the order of names.
async fn live(backend: &impl Backend) -> Vec<Revocation> {
    let checkpoint = backend.feed().load().await.expect("a checkpoint");
    let mut live = checkpoint.live.collect().await.expect("all of it");
    live.sort_by(|one, other| one.name.cmp(&other.name));
    live
}

async fn listed(backend: &impl Backend, claim: Option<&str>) -> Vec<Revocation> {
    let filter = Filter { claim: claim.map(Into::into), ..Filter::default() };
    backend.log().list(filter, None, 10).await.expect("a page").items
}

pub(super) async fn a_registered_token_is_kept_with_its_details<B: Backend>() {
    let backend = B::start().await;
    let bare = Revocation { token: Some(Arc::default()), ..register("bare", (1, 1), 100) };
    let records = [bare, register("whole", (5, 9), 100)];
    append_each(&backend.log(), &records).await;
    assert_eq!(live(&backend).await, records);
    let backend = backend.restart().await;
    assert_eq!(live(&backend).await, records);
    assert_eq!(listed(&backend, Some(REGISTERED)).await, records);
    assert_eq!(listed(&backend, None).await, [], "no revocations");
}

pub(super) async fn a_registered_token_arrives_with_its_details<B: Backend>() {
    let backend = B::start().await;
    let mut feed = backend.feed();
    feed.load().await.expect("a checkpoint").live.collect().await.expect("all of it");
    let record = register("a", (5, 9), 100);
    let cursors = append_each(&backend.log(), std::slice::from_ref(&record)).await;
    assert_eq!(next_record(&mut feed).await, (record, cursors[0].clone()));
}

pub(super) async fn registrations_of_one_token_merge<B: Backend>() {
    let backend = B::start().await;
    let first = register("a", (5, 9), 100);
    let mut unseen = register("a", (0, 0), 70);
    let details = TokenDetails { subject: Some("u".into()), ..TokenDetails::default() };
    unseen.token = Some(Arc::new(details));
    let records = [first.clone(), register("a", (3, 7), 90), unseen, register("a", (8, 20), 80)];
    append_each(&backend.log(), &records).await;
    let merged = live(&backend).await;
    let [entry] = &merged[..] else { panic!("one entry, not {merged:?}") };
    let token = entry.token.as_deref().expect("details");
    let seen = (token.first_seen, token.last_seen);
    let time = |seconds| Some(UnixTime::from_secs(seconds));
    assert_eq!((seen, entry.expires_at), ((time(3), time(20)), UnixTime::from_secs(100)));
    assert_eq!(token.claims, first.token.as_deref().expect("details").claims);
}

pub(super) async fn a_registered_token_and_its_revocation_do_not_mix<B: Backend>() {
    let backend = B::start().await;
    let (known, revoked) = (register("a", (5, 9), 100), revoke("a", 60));
    append_each(&backend.log(), &[known.clone(), revoked.clone()]).await;
    assert_eq!(live(&backend).await, [revoked.clone(), known.clone()]);
    assert_eq!(listed(&backend, Some("jti")).await, std::slice::from_ref(&revoked));
    assert_eq!(listed(&backend, None).await, [revoked]);
    append_each(&backend.log(), &[reinstate("a")]).await;
    assert_eq!(live(&backend).await, [known]);
    let mut taken = reinstate("a");
    taken.name = Name::registered("i".into(), "a".into());
    assert!(backend.log().append(vec![taken]).await.is_err(), "a registration is not taken back");
}

pub(super) async fn an_expired_registration_is_forgotten<B: Backend>() {
    let backend = B::start().await;
    let records = [register("a", (1, 2), 99), register("b", (1, 2), 100)];
    append_each(&backend.log(), &records).await;
    let gone = backend.log().compact(UnixTime::from_secs(100)).await.expect("compacted");
    assert_eq!((gone, live(&backend).await), (1, records[1..].to_vec()));
}
