//! Conversations in virtual time, against a scripted world.

mod calls;
mod escalation;
mod mixed;
mod model;
mod policies;
mod soup;
mod task;
mod watchdog;
mod world;
