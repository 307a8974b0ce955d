//! Conversations in virtual time, against a scripted world.

mod ahead;
mod attached;
mod calls;
mod escalation;
mod failover;
mod keys;
mod memory;
mod mixed;
mod model;
mod narrow;
mod opening;
mod policies;
mod soup;
mod spoken;
mod task;
mod tools;
mod watchdog;
mod world;
