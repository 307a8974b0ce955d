//! The binary `tandem`.

mod admission;
mod answer;
mod public_errors;
mod settings;
mod state;
mod store;

fn main() {}
