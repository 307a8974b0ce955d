//! A wrapper that keeps private values out of logs.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A phone number, a transcript or another private value. `Debug` and `Display` hide it; serialisation
/// (call records, the owner's own API) shows it. Read it with [`Private::reveal`], which is easy to search for.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Private<T>(T);

impl<T> Private<T> {
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Never pass it to a log macro.
    pub fn reveal(&self) -> &T {
        &self.0
    }

    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> From<T> for Private<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> fmt::Debug for Private<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[private]")
    }
}

impl<T> fmt::Display for Private<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[private]")
    }
}

#[cfg(test)]
mod tests {
    use super::Private;

    #[test]
    fn hides_itself_but_serialises() {
        let number = Private::new("+4915112345678".to_owned());
        assert_eq!(format!("{number:?} {number}"), "[private] [private]");
        assert_eq!(serde_json::to_string(&number).unwrap(), "\"+4915112345678\"");
    }
}
