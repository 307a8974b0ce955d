//! Where the calendar is kept between calls.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use tandem_contract::ports::StoreError;

use super::calendar::Calendar;

/// Keeps the calendar. Blocking: called from the calendar's own thread only.
pub(super) trait CalendarStore: Send + 'static {
    /// What was saved last; empty when nothing was.
    fn load(&self) -> Result<Calendar, StoreError>;
    /// Durable when it returns; a process killed in the middle leaves the calendar before or the one after.
    fn save(&self, calendar: &Calendar) -> Result<(), StoreError>;
}

/// `appointments.json` in the data folder.
pub(super) struct FileStore {
    path: PathBuf,
}

impl FileStore {
    pub(super) fn new(data: PathBuf) -> Self {
        Self { path: data.join("appointments.json") }
    }

    fn failed(&self, action: &'static str, source: io::Error) -> StoreError {
        StoreError::Io { action, path: self.path.display().to_string(), source }
    }

    fn corrupt(&self, source: serde_json::Error) -> StoreError {
        StoreError::Corrupt { path: self.path.display().to_string(), source }
    }

    /// Write beside it, flush to the disk, rename over it, and flush the folder that holds the name.
    fn replace(&self, text: &[u8]) -> io::Result<()> {
        let beside = self.path.with_extension("json.new");
        // Names and times of callers: for the owner of the data folder alone.
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)?;
        self.path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }
}

impl CalendarStore for FileStore {
    fn load(&self) -> Result<Calendar, StoreError> {
        match fs::read(&self.path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|source| self.corrupt(source)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Calendar::default()),
            Err(error) => Err(self.failed("read", error)),
        }
    }

    fn save(&self, calendar: &Calendar) -> Result<(), StoreError> {
        let text = serde_json::to_vec_pretty(calendar).map_err(|source| self.corrupt(source))?;
        self.replace(&text).map_err(|error| self.failed("write", error))
    }
}
