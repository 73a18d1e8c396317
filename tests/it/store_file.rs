//! The embedded store's file, damaged in every way: it opens with everything that was acknowledged,
//! or says clearly why not. It never panics, never invents, never starts empty.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use portcullis::feed::embedded::EmbeddedStore;
use portcullis::revocation::{FeedError, RevocationLog};
use redb::{Database, TableDefinition};

use crate::support::records::{Entries, cut_off, entry, load, revoke};

struct Case {
    folder: tempfile::TempDir,
    /// The bytes of a sound store that was closed.
    sound: Vec<u8>,
    entries: Entries,
}

impl Case {
    async fn new() -> Self {
        Self::copied(true).await
    }

    /// A store as it is on the disk right after the last acknowledgement.
    async fn in_use() -> Self {
        Self::copied(false).await
    }

    async fn copied(closed: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sound");
        let records: Vec<_> = (0..300)
            .map(|i| revoke(&format!("token-{i}"), 1000 + i))
            .chain((0..20).map(|i| cut_off(&format!("user-{i}"), i, 2000)))
            .collect();
        let store = EmbeddedStore::open(&path).expect("a new store");
        let log = store.log();
        for some in records.chunks(40) {
            log.append(some.to_vec()).await.expect("appended");
        }
        let in_use = fs::read(&path).expect("the file");
        drop(store);
        let sound = if closed { fs::read(&path).expect("the file") } else { in_use };
        Self { folder, sound, entries: records.into_iter().map(entry).collect() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("damaged")
    }

    /// Opens these bytes as a store: true when it holds everything, false when it was refused.
    async fn opens(&self, bytes: &[u8], what: &str) -> bool {
        fs::write(self.path(), bytes).expect("written");
        match EmbeddedStore::open(self.path()) {
            Ok(store) => {
                let (live, _) = load(&mut store.feed()).await;
                assert!(live == self.entries, "{what}: opened with something else");
                true
            }
            Err(FeedError::Corrupt(reason)) => {
                assert!(reason.contains("damaged: "), "{what}: {reason}");
                false
            }
            Err(error) => panic!("{what}: {error}"),
        }
    }
}

fn refusal(path: &Path) -> FeedError {
    EmbeddedStore::open(path).expect_err("refused")
}

/// A cheap, repeatable spread of numbers below `end`.
fn spread(count: usize, end: usize) -> impl Iterator<Item = usize> {
    (0..count as u64).map(move |i| {
        let mixed = i.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
        usize::try_from(mixed % end as u64).expect("below end")
    })
}

#[tokio::test]
async fn a_sound_file_opens_with_everything() {
    let case = Case::new().await;
    assert!(case.opens(&case.sound, "sound").await);
}

#[tokio::test]
async fn a_file_cut_at_any_byte_is_refused_or_complete() {
    let case = Case::new().await;
    let small = 0..=600;
    let pages = (1..case.sound.len() / 4096).map(|page| page * 4096);
    let offsets = small.chain(pages).chain(spread(150, case.sound.len()));
    for end in offsets {
        case.opens(&case.sound[..end], &format!("cut at {end}")).await;
    }
}

#[tokio::test]
async fn a_flipped_bit_is_found_or_harmless() {
    let case = Case::new().await;
    // Every bit of the fields that say which commit counts, and one of each byte after them.
    let header = (0..64 * 8).chain((64..400_usize).map(|byte| byte * 8 + byte % 8));
    let offsets = header.chain(spread(300, case.sound.len() * 8));
    let mut refused = 0;
    for bit in offsets {
        let mut bytes = case.sound.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        refused += usize::from(!case.opens(&bytes, &format!("bit {bit} flipped")).await);
    }
    assert!(refused > 0, "not one flipped bit mattered");
}

#[tokio::test]
async fn a_file_in_use_that_was_cut_or_flipped_is_refused_or_complete() {
    let case = Case::in_use().await;
    assert!(case.opens(&case.sound, "as after a power cut").await);
    for end in spread(150, case.sound.len()) {
        case.opens(&case.sound[..end], &format!("cut at {end}")).await;
    }
    let header = (0..320_usize).map(|byte| byte * 8 + byte % 8);
    for bit in header.chain(spread(300, case.sound.len() * 8)) {
        let mut bytes = case.sound.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        case.opens(&bytes, &format!("bit {bit} flipped")).await;
    }
}

#[tokio::test]
async fn a_zeroed_page_is_found_or_harmless() {
    let case = Case::new().await;
    let mut refused = 0;
    for start in (0..case.sound.len()).step_by(4096).take(200) {
        let mut bytes = case.sound.clone();
        let end = bytes.len().min(start + 4096);
        bytes[start..end].fill(0);
        refused += usize::from(!case.opens(&bytes, &format!("page at {start} zeroed")).await);
    }
    assert!(refused > 0, "not one page mattered");
}

#[tokio::test]
async fn what_is_not_a_store_is_refused_and_left_alone() {
    let case = Case::new().await;
    for bytes in [&b""[..], b"r", b"some notes of mine\n", &[0; 8192]] {
        fs::write(case.path(), bytes).expect("written");
        let error = refusal(&case.path());
        assert!(matches!(error, FeedError::Corrupt(_)), "{error}");
        assert_eq!(fs::read(case.path()).expect("still there"), bytes);
    }
}

#[tokio::test]
async fn a_store_of_another_format_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("r.redb");
    drop(EmbeddedStore::open(&path).expect("a new store"));
    let meta: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
    {
        let database = Database::open(&path).expect("a database");
        let write = database.begin_write().expect("a transaction");
        let version = 3_u64.to_le_bytes();
        write.open_table(meta).expect("a table").insert("format", &version[..]).expect("inserted");
        write.commit().expect("committed");
    }
    let error = refusal(&path).to_string();
    assert!(error.contains("format 3"), "{error}");
}

#[tokio::test]
async fn another_kind_of_database_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("other.redb");
    drop(Database::create(&path).expect("a database"));
    let error = refusal(&path);
    assert!(matches!(error, FeedError::Corrupt(_)), "{error}");
}

#[tokio::test]
async fn a_place_that_can_not_hold_a_store_is_refused_with_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let absent = folder.path().join("no-such-folder/r.redb");
    for path in [folder.path(), &absent, Path::new("/proc/r.redb")] {
        let error = refusal(path);
        assert!(matches!(error, FeedError::Refused(_)), "{error}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
}

#[tokio::test]
async fn a_locked_store_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("r.redb");
    let store = EmbeddedStore::open(&path).expect("a new store");
    let error = refusal(&path);
    assert!(matches!(error, FeedError::Refused(_)), "{error}");
    assert!(error.to_string().contains("another process"), "{error}");
    drop(store);
    EmbeddedStore::open(&path).expect("free again");
}

#[tokio::test]
async fn a_new_store_is_the_owners_alone_and_leaves_nothing_beside_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("r.redb");
    let store = EmbeddedStore::open(&path).expect("a new store");
    let mode = fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    drop(store);
}
