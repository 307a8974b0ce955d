//! Speech engines written in C, behind safe types: the only crate of the workspace that may be `unsafe`.
//!
//! Nothing is linked. Each engine is opened with `dlopen` when it is first asked for, so that the binary starts on a
//! machine that has none of them; a [`LoadError`] says which file is missing and which Debian package holds it. An engine
//! that was opened stays open for the life of the process: unloading C libraries with static state gains nothing.

pub mod flite;
mod library;
pub mod pocketsphinx;
mod speakable;

pub use library::LoadError;
