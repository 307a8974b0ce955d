//! What models have cost: `spending.json`, all accounts but those of sessions.

use std::path::{Path, PathBuf};

use tandem_contract::ports::StoreError;
use tandem_models::budget::Account;
use tandem_models::spending::Scope;

use super::replace;

const FILE: &str = "spending.json";

pub fn path_in(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// Nothing where there is no file.
///
/// # Errors
/// When the file cannot be read or understood: budgets that begin anew in silence are none.
pub fn read(path: &Path) -> Result<Vec<(Scope, Account)>, StoreError> {
    let shown = || path.display().to_string();
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|source| StoreError::Corrupt { path: shown(), source }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(StoreError::Io { action: "read", path: shown(), source }),
    }
}

/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, statements: &[(Scope, Account)]) -> Result<(), StoreError> {
    let corrupt = |source| StoreError::Corrupt { path: path.display().to_string(), source };
    replace(path, &serde_json::to_vec_pretty(statements).map_err(corrupt)?)
}

#[cfg(test)]
mod tests {
    use tandem_models::budget::Budget;
    use tandem_models::spending::Organization;

    use super::*;

    #[test]
    fn what_was_written_is_read_and_what_is_broken_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_in(folder.path());
        assert_eq!(read(&path).unwrap(), []);
        let whose = Scope::Organization { organization: Organization("demo".into()) };
        let statements = vec![(whose, Account::new(Budget::default()))];
        write(&path, &statements).unwrap();
        assert_eq!(read(&path).unwrap(), statements);
        std::fs::write(&path, "{").unwrap();
        assert!(matches!(read(&path), Err(StoreError::Corrupt { .. })));
    }
}
