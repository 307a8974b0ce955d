//! HTTPS and WSS at the HTTP server, where the settings name a certificate and its key.
//!
//! [`Certificates`] holds what is presented, and takes a renewed certificate from its files while the node runs;
//! [`TlsListener`] shakes hands beside the accepting of others, so that nobody waits for a client that does not go on.

mod certificates;
mod listener;
#[cfg(test)]
mod tests;

pub use certificates::Certificates;
pub use listener::TlsListener;
