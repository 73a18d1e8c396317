//! What a listing must do, whichever the store.

use portcullis::revocation::{Filter, Name, RevocationLog};

use super::Backend;
use crate::support::records::{append_each, cut_off, revoke};

pub(super) async fn a_listing_comes_in_pages_and_by_filter<B: Backend>() {
    let backend = B::start().await;
    let log = backend.log();
    let mut records: Vec<_> = (0..25).map(|i| revoke(&format!("{i:02}"), 100)).collect();
    records.extend((0..5).map(|i| cut_off(&format!("{i:02}"), 1, 100)));
    let mut foreign = revoke("07", 100);
    foreign.name.issuer = "another".into();
    records.push(foreign);
    append_each(&log, &records).await;
    let list = async |filter: &Filter, limit| {
        let (mut names, mut after) = (Vec::<Name>::new(), None);
        loop {
            let page = log.list(filter.clone(), after, limit).await.expect("a page");
            assert!(page.items.len() <= limit);
            names.extend(page.items.into_iter().map(|item| item.name));
            after = page.next;
            if after.is_none() {
                assert!(names.is_sorted());
                return names.len();
            }
        }
    };
    let filter = |issuer: &str, claim: &str, value: &str| {
        let part = |text: &str| Some(text).filter(|text| !text.is_empty()).map(Into::into);
        Filter { issuer: part(issuer), claim: part(claim), value: part(value) }
    };
    let table = [
        (("", "", ""), 31),
        (("i", "", ""), 30),
        (("i", "sub", ""), 5),
        (("i", "jti", "07"), 1),
        (("", "jti", ""), 26),
        (("", "jti", "07"), 2),
        (("", "", "03"), 2),
        (("another", "", ""), 1),
        (("nobody", "", ""), 0),
        (("i", "jti", "99"), 0),
    ];
    for ((issuer, claim, value), want) in table {
        for limit in [1, 7, 31, 100] {
            let found = list(&filter(issuer, claim, value), limit).await;
            assert_eq!(found, want, "{issuer} {claim} {value}, {limit} a page");
        }
    }
}
