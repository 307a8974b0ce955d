//! The machine by table and by random events. Whole conversations of the demo bot are in `tests/demo.rs`.
