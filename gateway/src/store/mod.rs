//! Files as storage, behind the ports of `contract`: call records, the admin key, what models have cost, and the lock on the data folder.

pub mod calls;
pub mod key;
pub mod spending;

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use tandem_contract::ports::StoreError;

/// Records hold phone numbers and what was said: nobody else on the machine reads them.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Replaces a file by a rename, so that a reader sees the old content or the new, never half of it. It survives the end
/// of this process, however it comes; a power cut only after the system has written it back or somebody has synced it.
///
/// # Errors
/// When the folder cannot be written.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let temp = path.with_extension("tmp");
    let write = || {
        private(&temp)?.write_all(content)?;
        std::fs::rename(&temp, path)
    };
    write().map_err(failed("write", path))
}

/// [`replace`] for a file that is replaced again and again: the two files change places, and the older is written over the next
/// time. Nothing is made, removed or, as ext4 does for a file that a rename removes, sent to the disk at once.
/// It leaves a `.tmp` beside the file, which the next [`replace`] takes away. Who holds the file open sees the content after the
/// next come over it.
///
/// # Errors
/// When the folder cannot be written.
pub fn replace_again(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let temp = path.with_extension("tmp");
    let write = || {
        let mut file = open(&temp, false)?;
        file.write_all(content)?;
        file.set_len(content.len() as u64)?;
        // The first time there is nothing to change places with, and some file systems cannot.
        let exchanged = renameat_with(CWD, &temp, CWD, path, RenameFlags::EXCHANGE);
        exchanged.or_else(|_| std::fs::rename(&temp, path))
    };
    write().map_err(failed("write", path))
}

/// Writes a new file that survives a power cut from when this returns. One that is cut off before may be there in part.
///
/// # Errors
/// When the folder cannot be written.
pub fn keep(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let write = || {
        let mut file = private(path)?;
        file.write_all(content)?;
        file.sync_all()?;
        // Its name is the folder's.
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    write().map_err(failed("write", path))
}

/// An empty file for its owner alone.
fn private(path: &Path) -> std::io::Result<File> {
    open(path, true)
}

fn open(path: &Path, truncate: bool) -> std::io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(truncate).mode(FILE_MODE).open(path)
}

/// Makes a folder and those above it, for their owner alone. One that is there keeps its mode: somebody chose it.
///
/// # Errors
/// When the file system refuses.
pub fn make_folder(path: &Path) -> Result<(), StoreError> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path).map_err(failed("make the folder", path))
}

/// Does what waits for the disk where nobody else has to wait for it. `folder` is what an error names.
///
/// # Errors
/// Those of the work.
pub async fn on_blocking_pool<T: Send + 'static>(
    folder: &'static str,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let cut_off = |end| StoreError::Io { action: "use", path: folder.into(), source: std::io::Error::other(end) };
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|end| Err(cut_off(end)))
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
        let file = private(&path).map_err(failed("make", &path))?;
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
    fn folders_and_files_are_their_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let temp = tempfile::tempdir().unwrap();
        let (data, folder) = (temp.path().join("data"), temp.path().join("data/calls"));
        make_folder(&folder).unwrap();
        let _lock = FolderLock::take(&folder).unwrap();
        replace(&folder.join("a.json"), b"{}").unwrap();
        keep(&folder.join("b.json"), b"{}").unwrap();
        assert_eq!([mode(&data), mode(&folder)], [0o700; 2]);
        assert_eq!(["lock", "a.json", "b.json"].map(|name| mode(&folder.join(name))), [0o600; 3]);
    }

    #[test]
    fn a_file_is_replaced_again_and_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        for content in ["first", "the second", "3rd"] {
            replace_again(&path, content.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        }
        replace(&path, b"last").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "last");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
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
