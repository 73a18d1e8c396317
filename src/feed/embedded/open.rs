//! Opening and making the file: a sound store, or a clear reason why not.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError};
use uuid::Uuid;

use crate::revocation::{Epoch, FeedError};

use super::disk::{DiskHealth, StoreFile};
use super::migrate;
use super::schema::{
    BATCHES, ENTRIES, EPOCH, FLOOR, FOLDED, FORMAT, FORMAT_VERSION, HEAD, LEAVES, META,
};

/// A store whose every page was read and found sound.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) database: Database,
    pub(super) epoch: Epoch,
    /// The sequence of the last record.
    pub(super) head: u64,
}

enum OpenError {
    Absent,
    Because(FeedError),
}

/// The first bytes of every redb file.
const MAGIC: &[u8; 9] = b"redb\x1A\x0A\xA9\x0D\x0A";

/// For what one transaction writes. Reading goes once through everything: the kernel's own cache of the
/// file does for the rest.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

/// Opens the file at `path`; makes it first when there is none.
pub(super) fn open_or_create(path: &Path, disk: &Arc<DiskHealth>) -> Result<Opened, FeedError> {
    match open_existing(path, disk) {
        Err(OpenError::Absent) => {}
        Err(OpenError::Because(reason)) => return Err(reason),
        Ok(opened) => return Ok(opened),
    }
    create(path, disk).map_err(|error| refused(path, &error))?;
    match open_existing(path, disk) {
        Err(OpenError::Absent) => Err(refused(path, &"it vanished while it was being made")),
        Err(OpenError::Because(reason)) => Err(reason),
        Ok(opened) => Ok(opened),
    }
}

/// Opens a file that must be there.
pub(super) fn reopen(path: &Path, disk: &Arc<DiskHealth>) -> Result<Opened, FeedError> {
    match open_existing(path, disk) {
        Ok(opened) => Ok(opened),
        Err(OpenError::Because(reason)) => Err(reason),
        Err(OpenError::Absent) => Err(corrupt(path, &"it is gone")),
    }
}

fn open_existing(path: &Path, disk: &Arc<DiskHealth>) -> Result<Opened, OpenError> {
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(OpenError::Absent),
        Err(error) => return Err(OpenError::Because(refused(path, &error))),
    };
    check_magic(path, &mut file).map_err(OpenError::Because)?;
    // redb may panic on a file that was altered; that must be a message too.
    let opened = catch_unwind(AssertUnwindSafe(|| open_file(path, file, disk)));
    opened
        .unwrap_or_else(|_| Err(corrupt(path, &"its structure is broken")))
        .map_err(OpenError::Because)
}

fn check_magic(path: &Path, file: &mut File) -> Result<(), FeedError> {
    let mut first = [0; MAGIC.len()];
    match file.read_exact(&mut first) {
        Ok(()) if first == *MAGIC => Ok(()),
        Ok(()) => Err(corrupt(path, &"it is not a revocation store")),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            Err(corrupt(path, &"it is cut off at the start, and a store is never empty"))
        }
        Err(error) => Err(refused(path, &error)),
    }
}

fn open_file(path: &Path, file: File, disk: &Arc<DiskHealth>) -> Result<Opened, FeedError> {
    let file = StoreFile::new(file, Arc::clone(disk)).map_err(|error| unopened(path, error))?;
    let database = builder().create_with_backend(file).map_err(|error| unopened(path, error))?;
    if read_format(&database) == Some(migrate::BEFORE) {
        tracing::info!(path = %path.display(), "the revocation store is of an older format; writing it anew");
        migrate::migrate(&database).map_err(|error| unmigrated(path, error))?;
    }
    let (epoch, head) = read_meta(&database).map_err(|problem| corrupt(path, &problem))?;
    Ok(Opened { database, epoch, head })
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    // Every page's checksum is verified: a flipped bit is found now, and not when it has spread.
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    builder
}

/// What the file says that it is, if anything.
fn read_format(database: &Database) -> Option<u64> {
    let meta = database.begin_read().ok()?.open_table(META).ok()?;
    let format = meta.get(FORMAT).ok()??;
    format.value().try_into().ok().map(u64::from_le_bytes)
}

/// What the file says it is, or what is wrong with it.
fn read_meta(database: &Database) -> Result<(Epoch, u64), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let read = database.begin_read().map_err(|error| text(&error))?;
    let meta = read.open_table(META).map_err(|error| text(&error))?;
    let bytes = |key: &'static str| {
        let value = meta.get(key).map_err(|error| text(&error))?;
        value.map(|value| value.value().to_vec()).ok_or_else(|| format!("`{key}` is missing"))
    };
    let number = |key| {
        let bytes: [u8; 8] =
            bytes(key)?.try_into().map_err(|_length| format!("`{key}` is no number"))?;
        Ok::<_, String>(u64::from_le_bytes(bytes))
    };
    let format = number(FORMAT)?;
    if format != FORMAT_VERSION {
        return Err(format!("it is of format {format}, and this version reads {FORMAT_VERSION}"));
    }
    let epoch = bytes(EPOCH)?.try_into().map_err(|_length| "`epoch` is no UUID".to_owned())?;
    let (head, floor, folded) = (number(HEAD)?, number(FLOOR)?, number(FOLDED)?);
    if folded < floor || folded > head {
        return Err(format!("it is folded up to {folded}, outside of its log"));
    }
    let log = read.open_table(BATCHES).map_err(|error| text(&error))?;
    read.open_table(LEAVES).map_err(|error| text(&error))?;
    let last = log.last().map_err(|error| text(&error))?.map_or(floor, |(last, _)| last.value());
    if last != head {
        return Err(format!("its log ends at {last} and should end at {head}"));
    }
    Ok((Epoch(Uuid::from_bytes(epoch)), head))
}

/// Makes the file under another name and gives it its own when it is complete, so that a store that
/// is there is never half made.
fn create(path: &Path, disk: &Arc<DiskHealth>) -> io::Result<()> {
    let unfinished = beside(path)?;
    let made = fill(&unfinished, disk).and_then(|()| {
        // Unlike a rename, a link does not replace what another process has made meanwhile.
        fs::hard_link(&unfinished, path).or_else(|error| match error.kind() {
            ErrorKind::AlreadyExists => Ok(()),
            ErrorKind::Unsupported | ErrorKind::PermissionDenied => fs::rename(&unfinished, path),
            _ => Err(error),
        })
    });
    // Left behind it would be clutter, no harm.
    drop(fs::remove_file(&unfinished));
    made?;
    sync_folder(path)
}

fn beside(path: &Path) -> io::Result<PathBuf> {
    let mut name = path.file_name().ok_or(ErrorKind::InvalidFilename)?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    Ok(path.with_file_name(name))
}

fn fill(path: &Path, disk: &Arc<DiskHealth>) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let file = StoreFile::new(file, Arc::clone(disk)).map_err(io::Error::other)?;
    let database = Builder::new().create_with_backend(file).map_err(io::Error::other)?;
    found(&database)?;
    drop(database);
    File::open(path)?.sync_all()
}

/// Makes an empty database a store without a record.
pub(super) fn found(database: &Database) -> io::Result<()> {
    let write = database.begin_write().map_err(io::Error::other)?;
    {
        let mut meta = write.open_table(META).map_err(io::Error::other)?;
        let epoch = Uuid::now_v7();
        let zero = 0_u64.to_le_bytes();
        let rows: [(&str, &[u8]); 6] = [
            (FORMAT, &FORMAT_VERSION.to_le_bytes()),
            (EPOCH, epoch.as_bytes()),
            (HEAD, &zero),
            (FLOOR, &zero),
            (FOLDED, &zero),
            (ENTRIES, &zero),
        ];
        for (key, value) in rows {
            meta.insert(key, value).map_err(io::Error::other)?;
        }
        write.open_table(LEAVES).map_err(io::Error::other)?;
        write.open_table(BATCHES).map_err(io::Error::other)?;
    }
    write.commit().map_err(io::Error::other)
}

/// A new name is durable only when its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

fn unopened(path: &Path, error: DatabaseError) -> FeedError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => {
            refused(path, &"another process has it open; use that one's control port")
        }
        DatabaseError::Storage(StorageError::Io(error))
            if error.kind() == ErrorKind::UnexpectedEof =>
        {
            corrupt(path, &"it is cut off")
        }
        DatabaseError::Storage(StorageError::Io(error))
            if error.kind() == ErrorKind::InvalidData =>
        {
            corrupt(path, &error)
        }
        DatabaseError::Storage(StorageError::Io(error)) => refused(path, &error),
        error => corrupt(path, &error),
    }
}

/// A full disk is no damage: the file is as it was.
fn unmigrated(path: &Path, error: redb::Error) -> FeedError {
    match error {
        redb::Error::Corrupted(_) => corrupt(path, &error),
        error => refused(path, &error),
    }
}

fn refused(path: &Path, reason: &dyn std::fmt::Display) -> FeedError {
    FeedError::Refused(format!("{}: {reason}", path.display()))
}

fn corrupt(path: &Path, reason: &dyn std::fmt::Display) -> FeedError {
    FeedError::Corrupt(format!("{}: {reason}", path.display()))
}
