//! Does the file have the form of the schema? All deviations, in words for people who never saw the schema.

use std::sync::LazyLock;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use serde_json::Value;
use tandem_contract::bot::Wording;

use super::{Findings, did_you_mean, token};

static SCHEMA: LazyLock<Value> = LazyLock::new(|| tandem_contract::bot::schema().to_value());

#[expect(clippy::expect_used, reason = "the schema is made from our own types; the tests of this crate build it")]
static VALIDATOR: LazyLock<Validator> =
    LazyLock::new(|| jsonschema::validator_for(&SCHEMA).expect("the schema of BotConfig is a JSON Schema"));

pub(super) fn check(value: &Value, findings: &mut Findings) {
    for error in VALIDATOR.iter_errors(value) {
        describe(&error, findings);
    }
    // The schema of a map leaves its keys open.
    for when in value.get("wording").and_then(Value::as_object).into_iter().flat_map(|own| own.keys()) {
        if serde_json::from_value::<Wording>(when.as_str().into()).is_err() {
            let known: Vec<String> = Wording::ALL
                .iter()
                .filter_map(|when| Some(serde_json::to_value(when).ok()?.as_str()?.to_owned()))
                .collect();
            let hint = did_you_mean(when, known.iter().map(String::as_str));
            let hint = if hint.is_empty() { format!("; write one of {}", known.join(", ")) } else { hint };
            findings.error(format!("/wording/{}", token(when)), format!("there is no such key{hint}"));
        }
    }
}

fn describe(error: &ValidationError<'_>, findings: &mut Findings) {
    let place = error.instance_path().to_string();
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            for key in unexpected {
                let known = keyword_parent(error).and_then(|schema| schema.get("properties")?.as_object());
                let hint = did_you_mean(key, known.into_iter().flatten().map(|(key, _)| key.as_str()));
                let hint = if hint.is_empty() { "; remove it, or start its name with _".to_owned() } else { hint };
                findings.error(format!("{place}/{}", token(key)), format!("there is no such key{hint}"));
            }
        }
        ValidationErrorKind::Required { property } => {
            findings.error(place, format!("the key {property} is missing; add it"))
        }
        ValidationErrorKind::Type { kind } => {
            let found = kind_of(error.instance());
            findings.error(place, format!("{found} stands here; it has to be {}", expected(kind)));
        }
        ValidationErrorKind::Enum { options } => one_of(place, error.instance(), options.as_array(), findings),
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            branches(error, &place, context, findings);
        }
        ValidationErrorKind::MinLength { .. } | ValidationErrorKind::MaxLength { .. } => {
            findings.error(place, format!("{} has to be one character", error.instance()));
        }
        _ => findings.error(place, error.to_string()),
    }
}

/// The value may have several forms: the one that was meant is the one whose errors lie deepest.
fn branches(
    error: &ValidationError<'_>,
    place: &str,
    context: &[Vec<ValidationError<'static>>],
    findings: &mut Findings,
) {
    let depth = |error: &ValidationError<'_>| match error.kind() {
        // Not this form at all.
        ValidationErrorKind::Type { .. }
        | ValidationErrorKind::Constant { .. }
        | ValidationErrorKind::Required { .. }
            if error.instance_path().as_str() == place =>
        {
            0
        }
        ValidationErrorKind::AdditionalProperties { .. } if error.instance_path().as_str() == place => 1,
        _ => 1 + error.instance_path().as_str().len(),
    };
    let no_null = |errors: &&Vec<ValidationError<'static>>| !errors.iter().all(is_null);
    let forms_left: Vec<_> = context.iter().filter(no_null).collect();
    let meant = match forms_left.as_slice() {
        [only] => Some(*only),
        several => {
            let near = several.iter().filter(|errors| errors.iter().all(|error| depth(error) > 0));
            near.max_by_key(|errors| errors.iter().map(depth).max()).copied()
        }
    };
    if let Some(errors) = meant {
        return errors.iter().for_each(|error| describe(error, findings));
    }
    let forms: Vec<Value> = keyword(error).and_then(Value::as_array).into_iter().flatten().flat_map(forms).collect();
    if forms.is_empty() {
        let kinds: Vec<&str> = context.iter().flatten().filter_map(type_error).collect();
        return findings
            .error(place, format!("{} stands here; it has to be {}", kind_of(error.instance()), kinds.join(" or ")));
    }
    let meant =
        error.instance().as_object().and_then(|object| object.keys().next()).map(|key| Value::from(key.as_str()));
    one_of(place.to_owned(), meant.as_ref().unwrap_or(error.instance()), Some(&forms), findings);
}

fn one_of(place: String, found: &Value, options: Option<&Vec<Value>>, findings: &mut Findings) {
    let names: Vec<&str> = options.into_iter().flatten().filter_map(Value::as_str).collect();
    let hint = found.as_str().map(|found| did_you_mean(found, names.iter().copied())).unwrap_or_default();
    findings.error(place, format!("{found} is none of {}{hint}", names.join(", ")));
}

/// The names by which a form of an enum is known: its word, or its only key.
fn forms(branch: &Value) -> Vec<Value> {
    let words = branch.get("enum").or_else(|| branch.get("required")).and_then(Value::as_array).cloned();
    words.unwrap_or_else(|| branch.get("const").cloned().into_iter().collect())
}

/// The part of the schema that holds the failed keyword.
fn keyword_parent(error: &ValidationError<'_>) -> Option<&'static Value> {
    SCHEMA.pointer(error.schema_path().as_str().rsplit_once('/')?.0)
}

fn keyword(error: &ValidationError<'_>) -> Option<&'static Value> {
    SCHEMA.pointer(error.schema_path().as_str())
}

/// The form `null` of an optional key: nobody means it.
fn is_null(error: &ValidationError<'static>) -> bool {
    matches!(error.kind(), ValidationErrorKind::Type { kind: TypeKind::Single(kind) } if kind.to_string() == "null")
}

fn type_error(error: &ValidationError<'static>) -> Option<&'static str> {
    match error.kind() {
        ValidationErrorKind::Type { kind: TypeKind::Single(kind) } => Some(article(&kind.to_string())),
        _ => None,
    }
}

fn expected(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(kind) => article(&kind.to_string()).to_owned(),
        TypeKind::Multiple(kinds) => {
            let kinds: Vec<String> = kinds.iter().map(|kind| kind.to_string()).filter(|kind| kind != "null").collect();
            kinds.iter().map(|kind| article(kind)).collect::<Vec<_>>().join(" or ")
        }
    }
}

fn article(kind: &str) -> &'static str {
    match kind {
        "string" => "a text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "an object",
        _ => "null",
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
