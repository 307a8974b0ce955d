//! What a condition may cost. CEL has no loops, but macros that walk lists, and a parser that follows nesting down.

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr};

use super::ConditionError;

/// Brackets inside brackets. The parser calls itself for each.
const NESTING_MAX: usize = 16;

/// Walks over lists. With one, an expression costs what it is long; each further one inside it multiplies that.
const WALKS_MAX: usize = 1;

/// Before the parser sees it. Brackets in texts count as well: nobody needs so many of them.
pub(crate) fn nesting(source: &str) -> Result<(), ConditionError> {
    let (mut depth, mut signs) = (0_usize, 0_usize);
    for byte in source.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        // `!!!!x` and `a?b:c?d:e` go down too.
        signs += usize::from(matches!(byte, b'!' | b'?' | b'-'));
        if depth > NESTING_MAX || signs > 2 * NESTING_MAX {
            return Err(ConditionError::TooMuchWork { what: "a bracket or a sign" });
        }
    }
    Ok(())
}

pub(crate) fn work(expression: &IdedExpr) -> Result<(), ConditionError> {
    let mut walks = 0;
    visit(expression, &mut |part, _| walks += usize::from(matches!(part, Expr::Comprehension(_))));
    if walks > WALKS_MAX { Err(ConditionError::TooMuchWork { what: "a walk over a list" }) } else { Ok(()) }
}

/// Names that the expression does not bind itself.
pub(crate) fn free_variables(expression: &IdedExpr) -> Vec<String> {
    let mut names = Vec::new();
    visit(expression, &mut |part, bound| {
        if let Expr::Ident(name) = part
            && !bound.contains(&name.as_str())
        {
            names.push(name.clone());
        }
    });
    names
}

type Seen<'s, 'e> = &'s mut dyn FnMut(&'e Expr, &[&'e str]);

fn visit<'e>(expression: &'e IdedExpr, seen: Seen<'_, 'e>) {
    descend(expression, &mut Vec::new(), seen);
}

fn descend<'e>(expression: &'e IdedExpr, bound: &mut Vec<&'e str>, seen: Seen<'_, 'e>) {
    seen(&expression.expr, bound);
    match &expression.expr {
        Expr::Call(call) => {
            for part in call.target.iter().map(Box::as_ref).chain(&call.args) {
                descend(part, bound, seen);
            }
        }
        Expr::Comprehension(walk) => {
            descend(&walk.iter_range, bound, seen);
            descend(&walk.accu_init, bound, seen);
            let outside = bound.len();
            bound.extend([walk.iter_var.as_str(), walk.accu_var.as_str()]);
            bound.extend(walk.iter_var2.as_deref());
            for part in [&walk.loop_cond, &walk.loop_step, &walk.result] {
                descend(part, bound, seen);
            }
            bound.truncate(outside);
        }
        Expr::List(list) => list.elements.iter().for_each(|part| descend(part, bound, seen)),
        Expr::Map(map) => map.entries.iter().for_each(|entry| entries(&entry.expr, bound, seen)),
        Expr::Struct(message) => message.entries.iter().for_each(|entry| entries(&entry.expr, bound, seen)),
        Expr::Select(select) => descend(&select.operand, bound, seen),
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
    }
}

fn entries<'e>(entry: &'e EntryExpr, bound: &mut Vec<&'e str>, seen: Seen<'_, 'e>) {
    match entry {
        EntryExpr::StructField(field) => descend(&field.value, bound, seen),
        EntryExpr::MapEntry(entry) => {
            descend(&entry.key, bound, seen);
            descend(&entry.value, bound, seen);
        }
    }
}
