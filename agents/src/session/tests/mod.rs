//! Conversations in virtual time, against a scripted world.

mod calls;
mod model;
mod policies;
mod soup;
mod spoken;
mod task;
mod watchdog;
mod world;
