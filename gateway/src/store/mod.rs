//! Files as storage, behind the ports of `contract`: call records, the admin key, and the lock on the data folder.

pub mod calls;
pub mod key;

use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::path::Path;

use tandem_contract::ports::StoreError;

/// How sure a write has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Survives the end of this process, however it comes.
    Process,
    /// Survives a power cut too: synced to the disk before it counts.
    Disk,
}

/// Replaces a file by a rename, so that a reader sees the old content or the new, never half of it.
///
/// # Errors
/// When the folder cannot be written.
pub fn replace(path: &Path, content: &[u8], durability: Durability) -> Result<(), StoreError> {
    let temp = path.with_extension("tmp");
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&temp)?;
        file.write_all(content)?;
        if durability == Durability::Disk {
            file.sync_all()?;
        }
        std::fs::rename(&temp, path)?;
        match path.parent() {
            Some(folder) if durability == Durability::Disk => File::open(folder)?.sync_all(),
            _ => Ok(()),
        }
    };
    write().map_err(failed("write", path))
}

/// Makes a folder and those above it.
///
/// # Errors
/// When the file system refuses.
pub fn make_folder(path: &Path) -> Result<(), StoreError> {
    std::fs::create_dir_all(path).map_err(failed("make the folder", path))
}

/// The one process that uses a data folder. The lock goes with the process, however it ends.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// # Errors
    /// When another process holds the folder, or it cannot be written.
    pub fn take(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join("lock");
        let file = File::create(&path).map_err(failed("make", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => {
                let held = std::io::Error::other("another tandem uses this data folder");
                Err(failed("lock", &path)(held))
            }
            Err(TryLockError::Error(error)) => Err(failed("lock", &path)(error)),
        }
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
    let path = path.display().to_string();
    move |source| StoreError::Io { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_user_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::take(folder.path()).unwrap();
        assert!(FolderLock::take(folder.path()).is_err());
        drop(first);
        assert!(FolderLock::take(folder.path()).is_ok());
    }

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        for (content, durability) in [("one", Durability::Process), ("two", Durability::Disk)] {
            replace(&path, content.as_bytes(), durability).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
