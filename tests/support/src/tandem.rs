//! The binary under test, on ports of its own and an empty data folder.
