//! Conversations in virtual time, against a scripted world.
