//! The admin key: shown once, stored as its SHA-256.

use std::fmt::Write as _;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tandem_contract::Private;
use tandem_contract::ports::StoreError;

use super::replace;

const FILE: &str = "keys.json";
/// Names the kind of secret to people and to scanners that look for leaked ones.
const PREFIX: &str = "tdm_";
/// 256 bits: beyond guessing, so that a plain hash is enough to store.
const SECRET_BYTES: usize = 32;

/// The keys that open the API.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    keys: Vec<StoredKey>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    name: String,
    /// SHA-256 of the key's text, lower-case hex.
    sha256: String,
    /// Milliseconds since 1970-01-01 UTC.
    created_at_ms: u64,
}

impl Keys {
    /// Reads `keys.json`. None: the folder has none yet.
    ///
    /// # Errors
    /// When the file cannot be read or understood.
    pub fn read(folder: &Path) -> Result<Option<Self>, StoreError> {
        let path = folder.join(FILE);
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|source| StoreError::Corrupt { path: path.display().to_string(), source }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Io { action: "read", path: path.display().to_string(), source }),
        }
    }

    /// Makes the first key and writes `keys.json`. The key is returned beside, to be shown at once: only its hash is kept.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create(folder: &Path) -> Result<(Self, Private<String>), StoreError> {
        let path = folder.join(FILE);
        let secret = new_secret();
        let keys = Self { keys: vec![StoredKey::new("admin", &secret)] };
        let json = serde_json::to_vec_pretty(&keys)
            .map_err(|source| StoreError::Corrupt { path: path.display().to_string(), source })?;
        replace(&path, &json)?;
        Ok((keys, Private::new(secret)))
    }

    /// Whether this is one of the keys. Takes the same time whichever character is wrong.
    pub fn opens(&self, presented: &str) -> bool {
        let digest = hash(presented);
        self.keys.iter().fold(false, |opened, key| opened | same(&digest, &key.sha256))
    }
}

impl StoredKey {
    fn new(name: &str, secret: &str) -> Self {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            name: name.into(),
            sha256: hash(secret),
            created_at_ms: u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

fn new_secret() -> String {
    format!("{PREFIX}{}", hex(&rand::random::<[u8; SECRET_BYTES]>()))
}

fn hash(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_shown_once_and_opens_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Keys::read(folder.path()).unwrap().is_none());
        let (keys, shown) = Keys::create(folder.path()).unwrap();
        let secret = shown.into_inner();
        assert_eq!(secret.len(), PREFIX.len() + 2 * SECRET_BYTES);
        assert!(keys.opens(&secret));
        let again = Keys::read(folder.path()).unwrap().unwrap();
        assert!(again.opens(&secret));
        assert!(!again.opens(&secret[..secret.len() - 1]));
        assert!(!again.opens(""));
        let stored = std::fs::read_to_string(folder.path().join("keys.json")).unwrap();
        assert!(!stored.contains(&secret) && !stored.contains(&secret[PREFIX.len()..]));
    }

    #[test]
    fn a_broken_file_is_an_error_and_no_reason_for_a_new_key() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("keys.json"), "{").unwrap();
        assert!(matches!(Keys::read(folder.path()), Err(StoreError::Corrupt { .. })));
    }
}
