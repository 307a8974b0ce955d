//! Identifiers. Each is a type of its own, so that one cannot be passed for another.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

/// The node of a deployment that owns a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct NodeId(pub u16);

/// One conversation, whatever its door. A UUIDv7 (RFC 9562 section 5.7): ids sort by time. The node id sits in the
/// last 16 bits, so that any node can find the owner of a session by its id alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SessionId(Uuid);

impl SessionId {
    /// A new id: time and randomness from the system, node from the deployment.
    pub fn new(node: NodeId) -> Self {
        let mut bytes = *Uuid::now_v7().as_bytes();
        bytes[14..16].copy_from_slice(&node.0.to_be_bytes());
        Self(Uuid::from_bytes(bytes))
    }

    pub fn node(&self) -> NodeId {
        let bytes = self.0.as_bytes();
        NodeId(u16::from_be_bytes([bytes[14], bytes[15]]))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for SessionId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

/// The name by which a bot is called: the user part of its SIP URI and the stem of its file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct BotName(String);

/// Longest bot name: it has to fit a file name and a DNS label.
const BOT_NAME_MAX: usize = 63;

#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a bot name is 1 to 63 characters of a-z, 0-9, '-' and '_', and starts with a letter or a digit")]
pub struct BotNameError;

impl BotName {
    /// # Errors
    /// When the name has characters that a SIP user part or a file name would have to escape.
    pub fn new(name: impl Into<String>) -> Result<Self, BotNameError> {
        let name = name.into();
        let fits = (1..=BOT_NAME_MAX).contains(&name.len());
        let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
        if fits && starts_well && plain { Ok(Self(name)) } else { Err(BotNameError) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for BotName {
    type Error = BotNameError;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(name)
    }
}

impl From<BotName> for String {
    fn from(name: BotName) -> Self {
        name.0
    }
}

impl fmt::Display for BotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A version of a bot's config. Counts from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ConfigVersion(pub u32);

/// Generation number of the agent's reply. Work stamped with an older epoch than the session's is dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Epoch(pub u32);

impl Epoch {
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// One thing that one speaker said, numbered within its session from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct UtteranceId(pub u32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_ids_sort_by_time_and_name_their_node() {
        let first = SessionId::new(NodeId(7));
        let second = SessionId::new(NodeId(7));
        assert!(first < second);
        assert_eq!(first.node(), NodeId(7));
        assert_eq!(first.to_string().parse::<SessionId>().unwrap(), first);
    }

    #[test]
    fn bot_names_stay_plain() {
        assert!(BotName::new("demo").is_ok());
        assert!(BotName::new("front_desk-2").is_ok());
        for bad in ["", "Demo", "../x", "a b", "-x", &"x".repeat(64)] {
            assert!(BotName::new(bad).is_err(), "{bad:?}");
        }
    }
}
