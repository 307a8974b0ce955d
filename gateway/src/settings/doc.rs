//! `docs/settings.md`, written from the settings types.

use std::fmt::Write as _;

use serde_json::Value;

use super::load::variable;
use super::{Settings, load};

const HEAD: &str = "\
# Settings

<!-- Generated from the settings types: change gateway/src/settings/mod.rs, then run
     `TANDEM_TEST_UPDATE=1 cargo test -p tandem-gateway settings_page`. -->

Tandem needs no settings. What differs from the defaults comes from `tandem.toml` in the working folder (or the file
named by `--config`), and each key can be overridden by its environment variable. Everything is checked before a port is
bound; an unknown key or variable, or a bad value, is an error. `tandem check` shows what is in force.
";

const FOOT: &str = "
The keys of vendors are also read from the variables under which they are known everywhere, as the tables say.

Variables that start with `TANDEM_CI_`, `TANDEM_TEST_`, `TANDEM_SERVICE_` and `TANDEM_PORT_`, and `TANDEM_TOOLS` and `TANDEM_PORT`, are no
settings and are ignored: builds set those of `CI`, `TEST` and `TOOLS`, Kubernetes sets the others for a service named `tandem`.
";

/// The page as Markdown.
pub fn page() -> String {
    let generator = schemars::generate::SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
    let schema = generator.into_generator().into_root_schema_for::<Settings>().to_value();
    let mut page = HEAD.to_owned();
    let (sections, top): (Vec<_>, Vec<_>) = properties(&schema).partition(|(_, schema)| is_section(schema));
    heading(&mut page, "Top of the file", None);
    for (key, schema) in top {
        row(&mut page, &variable(key), key, schema, key);
    }
    for (section, schema) in sections {
        if named(schema).is_object() {
            tables(&mut page, section, named(schema));
            continue;
        }
        heading(&mut page, &format!("`[{section}]`"), description(schema));
        for (key, schema) in properties(schema) {
            let path = format!("{section}.{key}");
            row(&mut page, &variable(&path), key, schema, &path);
        }
    }
    page.push_str(FOOT);
    page
}

fn properties(schema: &Value) -> impl Iterator<Item = (&str, &Value)> {
    schema["properties"].as_object().into_iter().flatten().map(|(key, schema)| (key.as_str(), schema))
}

fn is_section(schema: &Value) -> bool {
    schema["properties"].is_object() || named(schema).is_object()
}

/// The form of each table of a section whose tables the operator names.
fn named(schema: &Value) -> &Value {
    &schema["additionalProperties"]
}

/// The first key of such a table is what its variable sets.
fn tables(page: &mut String, section: &str, schema: &Value) {
    heading(page, &format!("`[{section}.NAME]`"), description(schema));
    let prefix = format!("TANDEM_{}_NAME", section.trim_end_matches('s').to_uppercase());
    for (index, (key, schema)) in properties(schema).enumerate() {
        let variable = if index == 0 { prefix.clone() } else { format!("{prefix}_{}", key.to_uppercase()) };
        row(page, &variable, key, schema, key);
    }
}

fn description(schema: &Value) -> Option<String> {
    schema["description"].as_str().map(|text| text.replace('\n', " "))
}

fn heading(page: &mut String, title: &str, about: Option<String>) {
    let _ = write!(page, "\n## {title}\n\n");
    if let Some(about) = about {
        let _ = write!(page, "{about}\n\n");
    }
    page.push_str("| key | variable | default | meaning |\n|---|---|---|---|\n");
}

fn row(page: &mut String, variable: &str, key: &str, schema: &Value, path: &str) {
    let default = load::leaves().get(path).map_or_else(|| "\"\"".to_owned(), load::shown);
    let meaning = description(schema).unwrap_or_default();
    let values: Vec<_> = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let values = if values.is_empty() { String::new() } else { format!(" One of `{}`.", values.join("`, `")) };
    let _ = writeln!(page, "| `{key}` | `{variable}` | `{default}` | {meaning}{values} |");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Beside the crate, so that the test finds it from any working folder.
    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/settings.md");

    #[test]
    fn the_settings_page_is_what_the_types_say() {
        if std::env::var_os("TANDEM_TEST_UPDATE").is_some() {
            std::fs::write(PAGE, page()).unwrap();
        }
        let written = std::fs::read_to_string(PAGE).unwrap_or_default();
        assert!(written == page(), "docs/settings.md is stale; its head says how to write it anew");
    }

    #[test]
    fn every_setting_has_a_meaning() {
        let page = page();
        for key in load::leaves().keys() {
            let line = page.lines().find(|line| line.contains(&format!("`{}`", variable(key)))).unwrap_or_default();
            assert!(line.len() > line.find("` | ").unwrap_or(0) + 30 && !line.ends_with("|  |"), "{key}: {line:?}");
        }
    }
}
