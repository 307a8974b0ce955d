//! Turn taking: who has the floor (design section 6). A pure machine with timestamps.
//!
//! The machine knows nothing of words, audio or vendors ([`Lexicon`] makes of words what it can use): it is told that the caller's voice began or ended, that something was
//! understood or not, that the agent's playout began or ended, and answers with effects. Timers are data.
//!
//! Invariant: while the conversation lasts, some timer runs in every state of a voice conversation, so that no vendor,
//! wire or brain that falls silent can hold the caller in it. The one exception is a caller who was asked nothing
//! ([`Silence::Unlimited`]).

mod endpointing;
mod gather;
mod hearing;
pub(crate) mod lexicon;
mod machine;
#[cfg(test)]
mod properties;
mod speaking;
mod state;
#[cfg(test)]
mod table;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod watchdog;

pub use endpointing::{Ending, Endpointing};
pub use gather::{GATHER_MAX, Gather};
pub use hearing::Hearing;
pub use lexicon::Lexicon;
pub use machine::TurnMachine;
pub use state::{Ask, Ignored, Sense, Silence, TurnEffect, TurnInput, TurnState};
