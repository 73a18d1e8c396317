//! A Unix socket that nobody else can reach, not even for the moment between `bind` and `chmod`.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// The socket's file; it goes when this is dropped, unless another took its place meanwhile.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

// === impl SocketFile ===

impl SocketFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Left behind, it would only be replaced at the next start.
        if inode(&self.path).is_ok_and(|inode| inode == self.inode) {
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Binds `path` with mode 0600. A socket that nobody answers is replaced; anything else is left alone.
pub(super) fn bind(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    if let Ok(metadata) = fs::symlink_metadata(path) {
        let live = !metadata.file_type().is_socket() || UnixStream::connect(path).is_ok();
        if live {
            let message = format!("{} is in use", path.display());
            return Err(io::Error::new(io::ErrorKind::AddrInUse, message));
        }
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    // Bound where only we can look, then moved: it is never there with another mode. The name is
    // short, since a socket's path may have 107 bytes only.
    let mut random = uuid::Uuid::new_v4().simple().to_string();
    random.truncate(6);
    let private = folder.join(format!(".p{random}"));
    DirBuilder::new().mode(0o700).create(&private)?;
    let bound = bind_in(&private, path);
    // Empty by now, or of no use.
    drop(fs::remove_dir_all(&private));
    bound
}

fn bind_in(private: &Path, path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let draft = private.join("s");
    let listener = UnixListener::bind(&draft)?;
    fs::set_permissions(&draft, Permissions::from_mode(0o600))?;
    let file = SocketFile { path: path.to_owned(), inode: inode(&draft)? };
    fs::rename(&draft, path)?;
    Ok((listener, file))
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn the_socket_is_private_and_a_dead_one_is_replaced() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("control.sock");
        let (dead, dead_file) = bind(&path).unwrap();
        drop(dead);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        let (_alive, alive_file) = bind(&path).unwrap();
        drop(dead_file);
        assert!(UnixStream::connect(&path).is_ok(), "who goes leaves his successor's file alone");
        let refused = bind(&path).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        assert!(UnixStream::connect(&path).is_ok(), "the live one still answers");
        drop(alive_file);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
    }

    #[test]
    fn a_file_in_the_way_is_left_alone() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("precious");
        fs::write(&path, "data").unwrap();
        assert_eq!(bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(fs::read(&path).unwrap(), b"data");
    }
}
