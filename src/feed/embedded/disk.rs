//! The file as redb sees it, with a memory for failed syncs.

use std::fs::File;
use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::backends::FileBackend;
use redb::{BackendError, DatabaseError, StorageBackend};

/// What has happened to the file since the store was opened, however often it was opened again.
#[derive(Debug, Default)]
pub(super) struct DiskHealth {
    sync_failed: AtomicBool,
    #[cfg(test)]
    pub(super) faults: Faults,
}

/// Failures that a test asks for.
#[cfg(test)]
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Writes find no space.
    pub(super) full: AtomicBool,
    /// Syncs fail with an I/O error.
    pub(super) sync: AtomicBool,
}

/// The store's file.
#[derive(Debug)]
pub(super) struct StoreFile {
    file: FileBackend,
    health: Arc<DiskHealth>,
}

// === impl DiskHealth ===

impl DiskHealth {
    /// Whether a sync ever failed. The kernel reports such a failure once and then forgets it, so a
    /// later sync that works says nothing about what was lost.
    pub(super) fn sync_failed(&self) -> bool {
        self.sync_failed.load(Ordering::Acquire)
    }

    #[cfg(test)]
    fn fault_on_write(&self) -> io::Result<()> {
        if self.faults.full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "has a body in tests")]
    const fn fault_on_write(&self) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn fault_on_sync(&self) -> io::Result<()> {
        if self.faults.sync.load(Ordering::SeqCst) {
            return Err(io::Error::other("injected"));
        }
        Ok(())
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "has a body in tests")]
    const fn fault_on_sync(&self) -> io::Result<()> {
        Ok(())
    }
}

// === impl StoreFile ===

impl StoreFile {
    pub(super) fn new(file: File, health: Arc<DiskHealth>) -> Result<Self, DatabaseError> {
        Ok(Self { file: FileBackend::new(file)?, health })
    }
}

impl StorageBackend for StoreFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.health.fault_on_write()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let outcome = self.health.fault_on_sync().and_then(|()| self.file.sync_data());
        if outcome.is_err() {
            self.health.sync_failed.store(true, Ordering::Release);
        }
        outcome
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.health.fault_on_write()?;
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}
