//! Reads settings: file, then environment, then checks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tandem_models::resilient::FIRST_TOKEN_MS;
use thiserror::Error;
use toml::{Table, Value};

use super::Settings;

/// The file that is read when it is there and no other was named.
pub const DEFAULT_FILE: &str = "tandem.toml";
const PREFIX: &str = "TANDEM_";
/// Of the secrets, whose names are the operator's.
const SECRET_PREFIX: &str = "TANDEM_SECRET_";
/// What the names of secret settings hold: `api_key`, `auth_token`, `webhook_secret`.
const SECRET_NAMES: [&str; 3] = ["key", "token", "secret"];
/// Names under which keys are known everywhere, and the settings that they set. A `TANDEM_*` of the same setting counts more.
const USUAL: [(&str, &str); 17] = [
    ("OPENAI_API_KEY", "openai.api_key"),
    ("OPENAI_BASE_URL", "openai.base_url"),
    ("ANTHROPIC_API_KEY", "anthropic.api_key"),
    ("ANTHROPIC_BASE_URL", "anthropic.base_url"),
    ("GEMINI_API_KEY", "gemini.api_key"),
    ("GEMINI_BASE_URL", "gemini.base_url"),
    ("DEEPGRAM_API_KEY", "deepgram.api_key"),
    ("DEEPGRAM_BASE_URL", "deepgram.base_url"),
    ("ELEVENLABS_API_KEY", "elevenlabs.api_key"),
    ("ELEVENLABS_BASE_URL", "elevenlabs.base_url"),
    ("CARTESIA_API_KEY", "cartesia.api_key"),
    ("CARTESIA_BASE_URL", "cartesia.base_url"),
    ("TWILIO_AUTH_TOKEN", "twilio.auth_token"),
    ("TWILIO_ACCOUNT_SID", "twilio.account_sid"),
    ("CHATWOOT_API_KEY", "chatwoot.api_token"),
    ("CHATWOOT_BASE_URL", "chatwoot.base_url"),
    ("CHATWOOT_WEBHOOK_SECRET", "chatwoot.webhook_secret"),
];
/// Variables with our prefix that are no settings: builds and test runs set the first three, Kubernetes sets the others
/// for a service named `tandem`.
/// What ends with `_` stands for all that begin so.
const FOREIGN: [&str; 6] =
    ["TANDEM_CI_", "TANDEM_TEST_", "TANDEM_TOOLS", "TANDEM_SERVICE_", "TANDEM_PORT", "TANDEM_PORT_"];

/// Of a budget: more is a slip.
const MOST_DOLLARS: f64 = 1e9;

#[derive(Debug, Error)]
pub enum SettingsError {
    #[error("cannot read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Without the line itself, which may hold a secret: the source would show it.
    #[error("{path} is not TOML: line {line}, column {column}: {reason}")]
    Syntax { path: PathBuf, line: usize, column: usize, reason: String },
    #[error("{origin}: {key} = {value}: {reason}")]
    Value { origin: String, key: String, value: String, reason: String },
    #[error("there is no setting {name}{hint}")]
    UnknownVariable { name: String, hint: String },
}

/// Reads the file (or [`DEFAULT_FILE`], if it is there), lays the environment over it and checks the whole.
///
/// # Errors
/// The first thing that is wrong, with key, value and reason.
pub fn load(file: Option<&Path>, env: impl Iterator<Item = (String, String)>) -> Result<Settings, SettingsError> {
    let path = file.unwrap_or(Path::new(DEFAULT_FILE));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound && file.is_none() => String::new(),
        Err(source) => return Err(SettingsError::Read { path: path.into(), source }),
    };
    parse(path, &text, env)
}

/// As [`load`], with the file's text at hand.
///
/// # Errors
/// As [`load`].
pub fn parse(path: &Path, text: &str, env: impl Iterator<Item = (String, String)>) -> Result<Settings, SettingsError> {
    let mut table: Table = text.parse().map_err(|error| syntax(path, text, &error))?;
    // Checked alone first, so that an error of the file is not told as one of the environment.
    typed(&table, &|_| path.display().to_string())?;
    let overrides = overlay(&mut table, env)?;
    let origin = |key: &str| overrides.get(key).cloned().unwrap_or_else(|| path.display().to_string());
    let settings = typed(&table, &origin)?;
    check(&settings, &origin)?;
    Ok(settings)
}

fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> SettingsError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    SettingsError::Syntax { path: path.into(), line, column, reason: error.message().trim().replace('\n', ", ") }
}

fn typed(table: &Table, origin: &dyn Fn(&str) -> String) -> Result<Settings, SettingsError> {
    serde_path_to_error::deserialize(Value::Table(table.clone())).map_err(|error| {
        let key = error.path().to_string();
        let message = error.inner().message().trim().to_owned();
        let (value, reason) = match withheld(&key) {
            // It may be a secret whose name is misspelt; this message quotes names alone.
            _ if message.starts_with("unknown field") => ("[hidden]".to_owned(), message),
            Some(reason) => ("[hidden]".to_owned(), reason.to_owned()),
            None => (find(table, &key).map_or_else(|| "?".into(), shown), message),
        };
        SettingsError::Value { origin: origin(&key), key, value, reason }
    })
}

/// What is said of a key in whose place a secret may stand, instead of the message, which would quote the value.
fn withheld(key: &str) -> Option<&'static str> {
    match key.rsplit_once('.') {
        None if key == "secrets" => Some("tables [secrets.NAME] are wanted, with value and hosts"),
        Some(("secrets", _)) => Some("a table is wanted with value and hosts, and nothing else"),
        Some((section, "hosts")) if section.starts_with("secrets.") => {
            Some("hosts are wanted in quotes, commas between, such as \"api.crm.example\"")
        }
        Some((section, "value")) if section.starts_with("secrets.") => Some("a text in quotes is wanted"),
        Some((section, _)) if section.starts_with("secrets.") => Some("a secret has value and hosts, both in quotes"),
        Some((_, name)) if SECRET_NAMES.iter().any(|part| name.contains(part)) => Some("a text in quotes is wanted"),
        None if leaves().keys().any(|leaf| leaf.split_once('.').is_some_and(|(section, _)| section == key)) => {
            Some("a table is wanted, with settings in it")
        }
        _ => None,
    }
}

/// A value as one would write it in the file.
pub fn shown(value: &Value) -> String {
    match value {
        Value::Table(table) => format!("{{ {} }}", table.keys().cloned().collect::<Vec<_>>().join(", ")),
        plain => serde_json::to_string(plain).unwrap_or_default(),
    }
}

fn find<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    match key.split_once('.') {
        Some((section, rest)) => find(table.get(section)?.as_table()?, rest),
        None => table.get(key),
    }
}

/// Every setting, `section.key`, with its default.
pub fn leaves() -> BTreeMap<String, Value> {
    fn walk(prefix: &str, table: &Table, out: &mut BTreeMap<String, Value>) {
        for (key, value) in table {
            match value {
                Value::Table(inner) => walk(&format!("{prefix}{key}."), inner, out),
                leaf => drop(out.insert(format!("{prefix}{key}"), leaf.clone())),
            }
        }
    }
    let mut out = BTreeMap::new();
    if let Ok(Value::Table(table)) = Value::try_from(Settings::default()) {
        walk("", &table, &mut out);
    }
    out
}

/// The variable that overrides a key: `http.addr` by `TANDEM_HTTP_ADDR`.
pub fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_uppercase())
}

/// The key of a secret that a variable sets: `TANDEM_SECRET_CRM` and `TANDEM_SECRET_CRM_HOSTS`.
fn secret_key(variable: &str) -> Option<String> {
    let name = variable.strip_prefix(SECRET_PREFIX)?.to_lowercase();
    Some(match name.strip_suffix("_hosts") {
        Some(name) => format!("secrets.{name}.hosts"),
        None => format!("secrets.{name}.value"),
    })
}

/// Lays variables over the table; returns key -> variable for error messages.
fn overlay(
    table: &mut Table,
    env: impl Iterator<Item = (String, String)>,
) -> Result<BTreeMap<String, String>, SettingsError> {
    let known: BTreeMap<String, (String, Value)> =
        leaves().into_iter().map(|(key, default)| (variable(&key), (key, default))).collect();
    let mut overrides = BTreeMap::new();
    let (ours, others): (Vec<_>, Vec<_>) = env.partition(|(name, _)| name.starts_with(PREFIX));
    for (name, text) in others.into_iter().filter(|(_, text)| !text.trim().is_empty()) {
        if let Some((_, key)) = USUAL.iter().find(|(usual, _)| *usual == name) {
            set(table, key, Value::String(text.trim().into()));
            overrides.insert((*key).to_owned(), name);
        }
    }
    for (name, text) in ours {
        let is = |foreign: &&str| name == *foreign || foreign.ends_with('_') && name.starts_with(foreign);
        if FOREIGN.iter().any(is) {
            continue;
        }
        if let Some(key) = secret_key(&name) {
            set(table, &key, Value::String(text.trim().into()));
            overrides.insert(key, name);
            continue;
        }
        let Some((key, default)) = known.get(&name) else {
            return Err(SettingsError::UnknownVariable { hint: nearest(&name, known.keys()), name });
        };
        set(table, key, typed_like(default, &text));
        overrides.insert(key.clone(), name);
    }
    Ok(overrides)
}

/// The variable's text in the default's type where it fits; else as text, which the typed read then refuses.
fn typed_like(default: &Value, text: &str) -> Value {
    let text = text.trim();
    match default {
        Value::Integer(_) => text.parse().map_or_else(|_| Value::String(text.into()), Value::Integer),
        Value::Boolean(_) => text.parse().map_or_else(|_| Value::String(text.into()), Value::Boolean),
        Value::Float(_) => text.parse().map_or_else(|_| Value::String(text.into()), Value::Float),
        _ => Value::String(text.into()),
    }
}

fn set(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        Some((section, rest)) => {
            let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Some(inner) = inner.as_table_mut() {
                set(inner, rest, value);
            }
        }
        None => drop(table.insert(key.into(), value)),
    }
}

fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> String {
    let shared = |other: &str| name.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    known
        .max_by_key(|other| shared(other))
        .filter(|other| shared(other) > PREFIX.len())
        .map_or_else(String::new, |other| format!("; did you mean {other}?"))
}

/// What types alone cannot say.
fn check(settings: &Settings, origin: &dyn Fn(&str) -> String) -> Result<(), SettingsError> {
    let bad = |key: &str, value: String, reason: &str| {
        Err(SettingsError::Value { origin: origin(key), key: key.into(), value, reason: reason.into() })
    };
    if let Err(error) = tracing_subscriber::EnvFilter::try_new(&settings.log) {
        return bad("log", format!("{:?}", settings.log), &error.to_string());
    }
    if settings.node.max_sessions == 0 {
        return bad("node.max_sessions", "0".into(), "a node that takes no session is no use");
    }
    let (cert, key) = (&settings.tls.cert, &settings.tls.key);
    match (cert.as_os_str().is_empty(), key.as_os_str().is_empty()) {
        (true, false) => return bad("tls.cert", "\"\"".into(), "tls.key is set: its certificate is wanted too"),
        (false, true) => return bad("tls.key", "\"\"".into(), "tls.cert is set: its private key is wanted too"),
        _ => {}
    }
    let Settings { openai, anthropic, gemini, .. } = settings;
    for (key, url) in [
        ("openai.base_url", &openai.base_url),
        ("anthropic.base_url", &anthropic.base_url),
        ("gemini.base_url", &gemini.base_url),
    ] {
        if !(url.starts_with("https://") || url.starts_with("http://")) || url.contains('@') {
            let reason = "a URL without user and password is wanted, such as http://127.0.0.1:11434/v1";
            return bad(key, "[hidden]".into(), reason);
        }
    }
    let (url, account) = (&settings.chatwoot.base_url, &settings.chatwoot.account_id);
    if !url.is_empty() && !url.starts_with("https://") && !url.starts_with("http://") || url.contains('@') {
        let reason = "a URL without user and password is wanted, such as https://chatwoot.example.com";
        return bad("chatwoot.base_url", "[hidden]".into(), reason);
    }
    if !account.chars().all(|digit| digit.is_ascii_digit()) {
        return bad("chatwoot.account_id", format!("{account:?}"), "the number of an account is wanted, such as 1");
    }
    for (key, most) in [
        ("openai.max_concurrent", openai.max_concurrent),
        ("anthropic.max_concurrent", anthropic.max_concurrent),
        ("gemini.max_concurrent", gemini.max_concurrent),
    ] {
        if most == 0 {
            return bad(key, "0".into(), "an account that is never asked is no use; 1 asks it one question at a time");
        }
    }
    let models = &settings.models;
    if !FIRST_TOKEN_MS.contains(&models.first_token_ms) {
        let (least, most) = (FIRST_TOKEN_MS.start(), FIRST_TOKEN_MS.end());
        let reason = format!("milliseconds between {least} and {most} are wanted");
        return bad("models.first_token_ms", models.first_token_ms.to_string(), &reason);
    }
    for (key, dollars) in [
        ("models.budget_alert_usd", models.budget_alert_usd),
        ("models.budget_throttle_usd", models.budget_throttle_usd),
        ("models.budget_stop_usd", models.budget_stop_usd),
        ("models.session_stop_usd", models.session_stop_usd),
    ] {
        if !(0.0..MOST_DOLLARS).contains(&dollars) {
            return bad(key, dollars.to_string(), "an amount of US dollars is wanted, or 0 for no limit");
        }
    }
    if let Some((key, value, why)) = settings.deepgram.fault() {
        return bad(key, value, why);
    }
    for (key, most) in [
        ("deepgram.max_concurrent", settings.deepgram.max_concurrent),
        ("elevenlabs.max_concurrent", settings.elevenlabs.max_concurrent),
        ("cartesia.max_concurrent", settings.cartesia.max_concurrent),
    ] {
        if most == 0 {
            return bad(key, "0".into(), "a vendor that nobody may ask is no use: leave its key away instead");
        }
    }
    if let Some((key, why)) = settings.secrets.fault() {
        return bad(&key, "[hidden]".into(), &why);
    }
    if settings.data.dir.as_os_str().is_empty() {
        return bad("data.dir", "\"\"".into(), "a folder is wanted");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tandem_contract::ports::Secrets as _;

    use super::*;
    use crate::settings::PortRange;

    fn parse_with(text: &str, env: &[(&str, &str)]) -> Result<Settings, String> {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        parse(Path::new("tandem.toml"), text, env).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_at_all_gives_the_defaults() {
        assert_eq!(parse_with("", &[]).unwrap(), Settings::default());
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let file = "[http]\naddr = \"127.0.0.1:1\"\n[node]\nmax_sessions = 5\n";
        let env = [("TANDEM_HTTP_ADDR", "127.0.0.1:0"), ("TANDEM_RTP_PORTS", "30000-30010"), ("PATH", "/bin")];
        let settings = parse_with(file, &env).unwrap();
        assert_eq!(settings.http.addr.port(), 0);
        assert_eq!(settings.node.max_sessions, 5);
        assert_eq!(settings.rtp.ports, PortRange { first: 30_000, last: 30_010 });
    }

    #[test]
    fn keys_are_found_under_their_usual_names_and_shown_to_nobody() {
        let usual = [("OPENAI_API_KEY", "sk-1"), ("OPENAI_BASE_URL", " http://127.0.0.1:11434/v1 ")];
        let settings = parse_with("[openai]\nmodel = \"m\"\napi_key = \"sk-0\"", &usual).unwrap();
        assert_eq!(settings.openai.api_key.value(), Some("sk-1".to_owned().into()));
        assert_eq!(settings.openai.base_url, "http://127.0.0.1:11434/v1");
        let shown = format!("{settings:?} {}", serde_json::to_string(&settings).unwrap());
        assert!(!shown.contains("sk-"), "{shown}");
        let ours = [("TANDEM_OPENAI_API_KEY", "sk-2"), ("OPENAI_API_KEY", "sk-1")];
        assert_eq!(parse_with("", &ours).unwrap().openai.api_key.value(), Some("sk-2".to_owned().into()));
        assert!(!parse_with("", &[("OPENAI_API_KEY", "")]).unwrap().openai.is_set());
    }

    #[test]
    fn a_secret_is_set_by_file_or_variable_and_shown_to_nobody() {
        let file =
            "[secrets.crm]\nhosts = [\"api.crm.example\"]\n[secrets.erp]\nvalue = \"sk-0\"\nhosts = \"erp.example\"";
        let env =
            [("TANDEM_SECRET_CRM", "sk-1"), ("TANDEM_SECRET_NEW", "sk-2"), ("TANDEM_SECRET_NEW_HOSTS", "a.example")];
        let settings = parse_with(file, &env).unwrap();
        for (name, host, value) in
            [("crm", "api.crm.example", "sk-1"), ("erp", "erp.example", "sk-0"), ("new", "a.example", "sk-2")]
        {
            assert_eq!(settings.secrets.secret(name, host).unwrap().reveal(), value);
        }
        let shown = format!("{settings:?} {}", serde_json::to_string(&settings).unwrap());
        assert!(!shown.contains("sk-") && shown.contains("erp.example"), "{shown}");
        let error = parse_with("", &[("TANDEM_SECRET_CRM", "sk-1")]).unwrap_err();
        assert!(error.contains("TANDEM_SECRET_CRM_HOSTS") && !error.contains("sk-1"), "{error}");
    }

    #[test]
    fn every_setting_can_be_set_by_its_variable() {
        for (key, default) in leaves() {
            let text = default.as_str().map_or_else(|| shown(&default), str::to_owned);
            let settings = parse_with("", &[(&variable(&key), &text)]);
            assert_eq!(settings.as_ref(), Ok(&Settings::default()), "{key}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_key_value_and_reason() {
        let table = [
            (
                "[http]\naddr = \"here\"",
                "tandem.toml: http.addr = \"here\": an IP address and a port are wanted, such as 127",
            ),
            ("[node]\nmax_sessions = -1", "node.max_sessions = -1: "),
            ("[node]\nmax_sessions = 0", "node.max_sessions = 0: a node that takes no session"),
            ("[tls]\ncert = \"a.pem\"", "tls.key = \"\": tls.cert is set: its private key"),
            ("[tls]\nkey = \"a.pem\"", "tls.cert = \"\": tls.key is set: its certificate"),
            ("[rtp]\nports = \"200\"", "rtp.ports = \"200\": two ports with a dash are wanted, such as 20000-29999"),
            ("[rtp]\nports = \"1-99999\"", "rtp.ports = \"1-99999\": \"99999\" is no port; the highest is 65535"),
            ("[rtp]\nports = \"300-200\"", "rtp.ports = \"300-200\": the first port has to be"),
            ("log = \"x=y=z\"", "log = \"x=y=z\": "),
            ("log_format = \"xml\"", "log_format = \"xml\": unknown variant `xml`"),
            ("port = 1", "unknown field `port`"),
            ("[http]\nport = 1", "unknown field `port`"),
            ("[openai]\nbase_url = \"\"", "openai.base_url = [hidden]: a URL without user"),
            ("[openai]\nbase_url = \"http://a:b@c/v1\"", "openai.base_url = [hidden]: a URL without user"),
            ("[gemini]\nbase_url = \"x\"", "gemini.base_url = [hidden]: a URL without user"),
            ("[chatwoot]\nbase_url = \"chatwoot.example\"", "chatwoot.base_url = [hidden]: a URL without user"),
            ("[chatwoot]\naccount_id = \"me\"", "chatwoot.account_id = \"me\": the number"),
            ("[gemini]\nmax_concurrent = 0", "gemini.max_concurrent = 0: an account that is never asked"),
            ("[models]\nfirst_token_ms = 100", "models.first_token_ms = 100: milliseconds between 2000 and 15000"),
            ("[models]\nfirst_token_ms = 15001", "models.first_token_ms = 15001: milliseconds between"),
            ("[models]\nbudget_stop_usd = -1", "models.budget_stop_usd = -1: an amount of US dollars"),
            ("[models]\ncheap = \"gpt\"", "models.cheap = \"gpt\": \"gpt\" is no model"),
            ("[chatwoot]\nattachment_hosts = \"a:80\"", "chatwoot.attachment_hosts = \"a:80\": \"a:80\" is no host"),
            ("[tools]\nprivate_hosts = \"http://a\"", "tools.private_hosts = \"http://a\": \"http://a\" is no host"),
            ("[secrets.Crm]\nvalue = \"v\"\nhosts = \"a\"", "secrets.Crm = [hidden]: a name is lower-case"),
            ("[secrets.crm]\nvalue = \"v\"", "secrets.crm.hosts = [hidden]: say to which hosts"),
            (
                "[secrets.crm]\nhosts = \"a\"",
                "secrets.crm.value = [hidden]: a text is wanted; write it here, or set TANDEM_SECRET_CRM",
            ),
            ("[secrets.crm]\nvalue = 77", "secrets.crm.value = [hidden]: a text in quotes"),
            ("[secrets.crm]\nhost = \"a\"", "unknown field `host`"),
            ("[secrets.crm]\nhosts = \"http://a\"", "secrets.crm.hosts = [hidden]: hosts are wanted"),
            ("[[", "tandem.toml is not TOML"),
            ("log = \"info\"\n[secrets.crm]\nvalue = v", "tandem.toml is not TOML: line 3, column 9: "),
        ];
        for (text, message) in table {
            let error = parse_with(text, &[]).unwrap_err();
            assert!(error.contains(message), "{text:?} gave {error:?}");
        }
    }

    #[test]
    fn no_error_quotes_what_may_be_a_secret() {
        for (text, named) in [
            ("secrets = \"sk-live\"", "secrets = "),
            ("[secrets]\ncrm = \"sk-live\"", "secrets.crm"),
            ("[secrets]\ncrm = [\"sk-live\"]", "secrets.crm"),
            ("[secrets.crm]\ntoken = \"sk-live\"", "secrets.crm"),
            ("[secrets.crm]\nvalue = [\"sk-live\"]", "secrets.crm.value"),
            ("[secrets.crm]\nhosts = \"sk-live secret\"", "secrets.crm.hosts"),
            ("[secrets.crm]\nvalue = sk-live", "line 2"),
            ("[openai]\napi_key = \"sk-live", "line 2"),
            ("openai = \"sk-live\"", "openai = "),
            ("[openai]\nkey = \"sk-live\"", "openai"),
            ("[openai]\npassword = \"sk-live\"", "unknown field `password`"),
            ("openai_key = \"sk-live\"", "unknown field `openai_key`"),
        ] {
            let error = parse(Path::new("tandem.toml"), text, std::iter::empty()).unwrap_err();
            let told = format!("{error} {error:?} {:?}", std::error::Error::source(&error).map(ToString::to_string));
            assert!(told.contains(named) && !told.contains("sk-"), "{text:?} gave {told:?}");
        }
    }

    #[test]
    fn every_secret_setting_is_known_by_its_name() {
        let mut secrets = 0;
        for (key, _) in leaves() {
            let Some((section, name)) = key.rsplit_once('.') else { continue };
            let Ok(settings) = parse_with(&format!("[{section}]\n{name} = \"x\""), &[]) else { continue };
            if serde_json::to_string(&settings).unwrap().contains("[hidden]") {
                secrets += 1;
                let error = parse_with(&format!("[{section}]\n{name} = 77123"), &[]).unwrap_err();
                assert!(error.contains(&key) && !error.contains("77123"), "{error}");
            }
        }
        assert!(secrets >= 9, "{secrets}");
    }

    #[test]
    fn a_bad_variable_is_named_and_so_is_an_unknown_one() {
        let error = parse_with("", &[("TANDEM_NODE_MAX_SESSIONS", "many")]).unwrap_err();
        assert!(error.starts_with("TANDEM_NODE_MAX_SESSIONS: node.max_sessions = \"many\": "), "{error}");
        let error = parse_with("", &[("TANDEM_HTTP_PORT", "1")]).unwrap_err();
        assert_eq!(error, "there is no setting TANDEM_HTTP_PORT; did you mean TANDEM_HTTP_ADDR?");
        assert!(parse_with("", &[("TANDEM_PORT_8080_TCP", "tcp://10.0.0.1:8080")]).is_ok());
        assert!(parse_with("", &[("TANDEM_CI_TARGET", "/x"), ("TANDEM_TOOLS", "/y")]).is_ok());
        let hosts = parse_with("", &[("TANDEM_TOOLS_PRIVATE_HOSTS", "crm.internal, 10.0.0.5")]).unwrap();
        assert_eq!(hosts.tools.private_hosts.0.len(), 2);
        assert!(parse_with("", &[("TANDEM_TOOLS_HOSTS", "crm.internal")]).is_err());
    }

    #[test]
    fn when_flux_ends_a_turn_is_within_what_deepgram_takes() {
        for (settings, key) in [
            ("eot_threshold = 0.4", "deepgram.eot_threshold = 0.4"),
            ("eager_eot_threshold = 0.2", "deepgram.eager_eot_threshold = 0.2"),
            ("eager_eot_threshold = 0.8", "deepgram.eager_eot_threshold = 0.8"),
            ("eot_timeout_ms = 100", "deepgram.eot_timeout_ms = 100"),
            ("max_concurrent = 0", "deepgram.max_concurrent = 0"),
        ] {
            let error = parse_with(&format!("[deepgram]\n{settings}"), &[]).unwrap_err();
            assert!(error.contains(key), "{error}");
        }
        let strict = [("TANDEM_DEEPGRAM_EOT_THRESHOLD", "0.9"), ("TANDEM_DEEPGRAM_EAGER_EOT_THRESHOLD", "0.9")];
        let settings = parse_with("", &strict).unwrap();
        assert_eq!((settings.deepgram.eot_threshold, settings.deepgram.eager_eot_threshold), (0.9, 0.9));
        assert!(parse_with("[deepgram]\neager_eot_threshold = 0", &[]).is_ok());
    }

    #[test]
    fn a_named_file_has_to_be_there() {
        let missing = Path::new("/nowhere/tandem.toml");
        assert!(matches!(load(Some(missing), std::iter::empty()), Err(SettingsError::Read { .. })));
    }
}
