//! Virtual time: no clock, no socket, no sleep.

mod hold;
mod hostile;
mod pacing;
mod rig;
mod stream;
mod telephone;
