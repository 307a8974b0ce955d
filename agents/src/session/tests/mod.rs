//! Conversations in virtual time, against a scripted world.

mod ahead;
mod attached;
mod broken_voice;
mod calls;
mod escalation;
mod failover;
mod farewell;
mod keys;
mod memory;
mod mixed;
mod model;
mod narrow;
mod noise;
mod opening;
mod policies;
mod soup;
mod spoken;
mod stages;
mod task;
mod tools;
mod watchdog;
mod world;
