//! Conditions of a bot's rules: CEL expressions (the Common Expression Language) over a listed set of variables.
//!
//! A crate of its own: the parser under it is large, and both the check of bot files and the brains need it.

mod actions;
mod limits;
mod variables;

use std::fmt;

use cel::{Context, ExecutionError, Program, Value};
use thiserror::Error;

pub use actions::{Action, QUEUE_CALLBACK};
pub use variables::{Facts, VARIABLES};

/// Longest condition, bytes. A rule that needs more is several rules; the parser's stack and work are bounded by it.
pub const LENGTH_MAX: usize = 500;

/// Rules of a bot. Each costs an evaluation a turn.
pub const RULES_MAX: usize = 50;

/// A condition that was understood.
pub struct Condition(Program);

/// Why a condition can never be evaluated.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ConditionError {
    #[error("is longer than {LENGTH_MAX} bytes; make it several rules")]
    TooLong,
    /// Both count from 1; the column in characters.
    #[error("line {line}, column {column}: {why}")]
    NotCel { line: usize, column: usize, why: String },
    #[error("{what} inside another of its kind, or one too many; use all, exists, exists_one, map and filter once")]
    TooMuchWork { what: &'static str },
}

/// Why a condition neither holds nor does not.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Undecided {
    /// A slot that is not filled. `has(slots.day)` asks without it.
    #[error("there is no {0}")]
    NoSuchKey(String),
    #[error("is no condition: it is neither true nor false")]
    NotBoolean,
    #[error("{0}")]
    Failed(String),
}

impl Condition {
    /// # Errors
    /// Where it is no CEL, or more work than a rule may cause.
    pub fn new(source: &str) -> Result<Self, ConditionError> {
        if source.len() > LENGTH_MAX {
            return Err(ConditionError::TooLong);
        }
        limits::nesting(source)?;
        let program = Program::compile(source).map_err(|errors| first(source, &errors.errors))?;
        limits::work(program.expression())?;
        Ok(Self(program))
    }

    /// The variables that it names and nobody knows; sorted. What is unknown is not false: such a condition is never
    /// evaluated.
    pub fn unknown(&self) -> Vec<String> {
        let mut unknown: Vec<String> = limits::free_variables(self.0.expression())
            .into_iter()
            .filter(|name| !VARIABLES.contains(&name.as_str()))
            .collect();
        unknown.sort_unstable();
        unknown.dedup();
        unknown
    }

    /// The words of the variables that it names: `emergency_keywords_detected` has three.
    pub fn words(&self) -> Vec<String> {
        let names = limits::free_variables(self.0.expression());
        names.iter().flat_map(|name| name.split('_')).map(str::to_lowercase).collect()
    }

    /// # Errors
    /// Where the facts do not decide it.
    pub fn holds(&self, facts: &Facts<'_>) -> Result<bool, Undecided> {
        let mut context = Context::default();
        for (name, value) in facts.values() {
            context.add_variable_from_value(name, value);
        }
        match self.0.execute(&context) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(_) => Err(Undecided::NotBoolean),
            Err(ExecutionError::NoSuchKey(key)) => Err(Undecided::NoSuchKey(key.to_string())),
            // What it says of values may be a caller's words: the kind of the failure is enough.
            Err(ExecutionError::UndeclaredReference(name)) => Err(Undecided::Failed(format!("there is no {name}()"))),
            Err(ExecutionError::NoSuchOverload(_) | ExecutionError::ValuesNotComparable(..)) => {
                Err(Undecided::Failed("an operator or a function does not fit its values".to_owned()))
            }
            Err(_) => Err(Undecided::Failed("it cannot be computed".to_owned())),
        }
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.0.source_info().source).finish()
    }
}

fn first(source: &str, errors: &[cel::ParseError]) -> ConditionError {
    let Some(error) = errors.first() else {
        return ConditionError::NotCel { line: 1, column: 1, why: "cannot be read".to_owned() };
    };
    let number = |n: isize| usize::try_from(n).unwrap_or(0).max(1);
    let why = match error.msg.is_empty() || source.trim().is_empty() {
        true => "an expression is missing".to_owned(),
        false => error.msg.clone(),
    };
    ConditionError::NotCel { line: number(error.pos.0), column: number(error.pos.1), why }
}

#[cfg(test)]
mod tests;
