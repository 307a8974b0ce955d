//! What a rule may do.

/// What `unavailable_action` may be: the caller is told that somebody calls back, and the record says so.
pub const QUEUE_CALLBACK: &str = "queue_callback";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The caller goes to a person at once.
    Immediate,
    /// The agent offers a person.
    Suggest,
}

impl Action {
    pub const NAMES: [(&'static str, Self); 4] = [
        ("immediate_handoff", Self::Immediate),
        ("immediate_transfer", Self::Immediate),
        ("suggest_handoff", Self::Suggest),
        ("suggest_transfer", Self::Suggest),
    ];

    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, action)| *action)
    }
}
