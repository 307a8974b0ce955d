//! The doors: each turns its wire's request into a [`crate::answer::Request`] and its wire into a leg.

pub mod landing;
pub mod resumable;
pub mod sip;
mod socket;
mod stream_session;
pub mod twilio;
pub mod websocket;
