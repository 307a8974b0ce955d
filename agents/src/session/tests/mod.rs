//! Conversations in virtual time, against a scripted world.

mod calls;
mod soup;
mod task;
mod world;
