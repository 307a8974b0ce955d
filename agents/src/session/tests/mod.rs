//! Conversations in virtual time, against a scripted world.

mod ahead;
mod calls;
mod failover;
mod keys;
mod memory;
mod model;
mod policies;
mod soup;
mod task;
mod watchdog;
mod world;
