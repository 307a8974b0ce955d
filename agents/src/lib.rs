//! The conversation: turn machine, ledger, brains, tools, and the session that ties them to a leg.

pub mod brain;
mod language;
pub mod ledger;
pub mod session;
pub mod tools;
pub mod turn;
pub mod wording;
mod words;
