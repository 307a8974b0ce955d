//! Conversations in virtual time, against a scripted world.

mod calls;
mod model;
mod soup;
mod task;
mod world;
