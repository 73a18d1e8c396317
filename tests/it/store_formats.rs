//! Files that an older version wrote open with everything in them.

use std::path::Path;

use portcullis::clock::UnixTime;
use portcullis::feed::embedded::EmbeddedStore;
use portcullis::revocation::{Filter, RevocationLog};
use redb::{Database, TableDefinition};
use uuid::Uuid;

use crate::support::records::{append_each, entry, load, revoke};

/// Format 1, as it was written until 0.1.0: a row for each entry and each record.
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const LIVE: TableDefinition<'_, (&str, &str, &str), &[u8]> = TableDefinition::new("live");
const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");

/// An entry of format 1: version, id, expiry, when it was said, flags, then what the flags tell of.
fn first_format(expires: u64, cutoff: Option<u64>, actor: &str, reason: &str) -> Vec<u8> {
    let mut bytes = vec![1];
    bytes.extend_from_slice(&[7; 16]);
    bytes.extend_from_slice(&expires.to_le_bytes());
    bytes.extend_from_slice(&1_u64.to_le_bytes());
    bytes.push(if cutoff.is_some() { 7 } else { 6 });
    if let Some(cutoff) = cutoff {
        bytes.extend_from_slice(&cutoff.to_le_bytes());
    }
    for text in [actor, reason] {
        bytes.extend_from_slice(&(text.len() as u16).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

fn write_first_format(path: &Path, epoch: Uuid, entries: u64) {
    let database = Database::create(path).expect("a database");
    let write = database.begin_write().expect("a transaction");
    {
        let mut meta = write.open_table(META).expect("a table");
        let numbers = [("format", 1), ("head", entries + 1), ("floor", 3)];
        for (key, number) in numbers {
            meta.insert(key, &u64::to_le_bytes(number)[..]).expect("inserted");
        }
        meta.insert("epoch", &epoch.as_bytes()[..]).expect("inserted");
        let mut live = write.open_table(LIVE).expect("a table");
        for i in 0..entries {
            let entry = first_format(1000 + i, None, "ops", "lost");
            live.insert(("i", "jti", &*format!("token-{i}")), &*entry).expect("inserted");
        }
        let entry = first_format(5000, Some(77), "ops", "lost");
        live.insert(("i", "sub", "alice"), &*entry).expect("inserted");
        let mut log = write.open_table(LOG).expect("a table");
        for sequence in 4..=entries + 1 {
            log.insert(sequence, &b"{}"[..]).expect("inserted");
        }
    }
    write.commit().expect("committed");
}

#[tokio::test]
async fn a_file_of_the_first_format_opens_with_everything_and_goes_on() {
    for entries in [0, 1, 5000] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("r.redb");
        let epoch = Uuid::now_v7();
        write_first_format(&path, epoch, entries);
        let mut want: std::collections::BTreeMap<_, _> =
            (0..entries).map(|i| entry(revoke(&format!("token-{i}"), 1000 + i))).collect();
        let (alice, _) = entry(crate::support::records::cut_off("alice", 77, 5000));
        let cutoff = Some(UnixTime::from_secs(77));
        want.insert(alice, (cutoff, UnixTime::from_secs(5000)));

        let store = EmbeddedStore::open(&path).expect("the older file opens");
        assert_eq!(store.epoch().0, epoch);
        let (live, upto) = load(&mut store.feed()).await;
        assert!(live == want, "{entries} entries");
        let page = store.log().list(Filter::default(), None, 1).await.expect("a page");
        let first = &page.items[0];
        assert_eq!((first.actor.as_deref(), first.reason.as_deref()), (Some("ops"), Some("lost")));
        let cursors = append_each(&store.log(), &[revoke("later", 9000)]).await;
        assert!(cursors[0] > upto);
        drop(store);

        want.extend([entry(revoke("later", 9000))]);
        let store = EmbeddedStore::open(&path).expect("and again");
        assert_eq!(store.epoch().0, epoch);
        assert!(load(&mut store.feed()).await.0 == want, "{entries} entries, opened again");
    }
}
