//! Virtual time: no clock, no socket, no sleep.

mod hostile;
mod pacing;
mod rig;
mod stream;
mod telephone;
