//! An answered call: the machine that decides (`machine`) and the task that carries its decisions out (`task`).

pub mod machine;
pub(crate) mod task;

#[cfg(test)]
mod tests;
