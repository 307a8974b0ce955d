//! Are the arguments what the tool's schema says? What is wrong is told to the model, field by field, so that it can mend it.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError};
use serde_json::Value;
use tandem_contract::ports::ToolError;

/// Faults that are told at once. A model mends these, and hears of the next ones then.
const TOLD_MAX: usize = 4;

/// Holds the arguments against the schema. A schema that is none lets everything pass: the check of bot files told so.
///
/// # Errors
/// The fields that do not fit, and why. No value is quoted: it may be the caller's.
pub(crate) fn check(tool: &str, schema: &Value, arguments: &Value) -> Result<(), ToolError> {
    let options = jsonschema::options().with_pattern_options(PatternOptions::regex());
    let Ok(validator) = options.build(schema) else { return Ok(()) };
    let mut faults = validator.iter_errors(arguments).map(|error| fault(&error)).take(TOLD_MAX);
    let Some((name, mut why)) = faults.next() else { return Ok(()) };
    for (name, more) in faults {
        why.push_str(&format!("; {name}: {more}"));
    }
    Err(ToolError::BadArgument { tool: tool.to_owned(), name, why })
}

fn fault(error: &ValidationError<'_>) -> (String, String) {
    let mut field = error.instance_path().as_str().trim_start_matches('/').to_owned();
    let mut why = error.masked().to_string();
    if let ValidationErrorKind::Required { property } = error.kind() {
        let property = property.as_str().unwrap_or_default();
        field = if field.is_empty() { property.to_owned() } else { format!("{field}/{property}") };
        why = "is missing".to_owned();
    }
    (if field.is_empty() { "(all)".to_owned() } else { field }, why)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(arguments: &Value) -> Option<String> {
        let schema = json!({
            "type": "object",
            "properties": {
                "day": { "type": "string", "enum": ["monday", "tuesday"] },
                "people": { "type": "integer", "minimum": 1 },
                "phone": { "type": "string", "pattern": "^[0-9]+$" },
                "who": { "type": "object", "required": ["name"] },
            },
            "required": ["day"],
            "additionalProperties": false,
        });
        check("book", &schema, arguments).err().map(|error| error.to_string())
    }

    #[test]
    fn each_fault_is_told_by_its_field_and_no_value_is_quoted() {
        assert_eq!(told(&json!({ "day": "monday", "people": 2, "phone": "123" })), None);
        let table = [
            (json!({}), "argument day of tool book: is missing"),
            (json!({ "day": "monday", "who": {} }), "argument who/name of tool book: is missing"),
            (json!({ "day": "secretday" }), "argument day of tool book: value is not one of"),
            (
                json!({ "day": "monday", "people": 0 }),
                "argument people of tool book: value is less than the minimum of 1",
            ),
            (json!({ "day": "monday", "phone": "secret" }), "argument phone of tool book: value does not match"),
            (
                json!({ "day": "monday", "x": 1 }),
                "argument (all) of tool book: Additional properties are not allowed ('x'",
            ),
            (json!("secret"), "argument (all) of tool book: value is not of type"),
        ];
        for (arguments, message) in table {
            let told = told(&arguments).unwrap_or_default();
            assert!(told.starts_with(message) && !told.contains("secret"), "{arguments}: {told}");
        }
        let both = told(&json!({ "people": "many" })).unwrap();
        assert!(both.contains("day: is missing") || both.contains("day of tool"), "{both}");
        assert!(both.contains("people"), "{both}");
    }

    #[test]
    fn a_schema_that_is_none_stops_nobody() {
        assert!(check("t", &json!({ "type": 7 }), &json!({})).is_ok());
    }
}
