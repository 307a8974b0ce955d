//! The conversation: turn machine, ledger, brains, tools, and the session that ties them to a leg.

pub mod brain;
pub mod ledger;
pub mod session;
pub mod tools;
pub mod turn;
mod words;
