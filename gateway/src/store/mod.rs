//! Files as storage, behind the ports of `contract`: call records, the admin key, and the lock on the data folder.

pub mod calls;
pub mod key;

use std::fs::{File, TryLockError};
use std::path::Path;

use tandem_contract::ports::StoreError;

/// Replaces a file by a rename, so that a reader sees the old content or the new, never half of it. It survives the end
/// of this process, however it comes; a power cut only after the system has written it back or somebody has synced it.
///
/// # Errors
/// When the folder cannot be written.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let temp = path.with_extension("tmp");
    std::fs::write(&temp, content).and_then(|()| std::fs::rename(&temp, path)).map_err(failed("write", path))
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
        for content in ["one", "two"] {
            replace(&path, content.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
