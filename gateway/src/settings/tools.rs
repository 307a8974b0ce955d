//! What the tools of bots may reach, and what they may send.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tandem_contract::Private;
use tandem_contract::ports::{NoSecret, Secrets};
use tandem_tools::Egress;
use thiserror::Error;

use super::Secret;
use super::costs::Listed;

/// Where the own tools of bots (`http`, MCP) may go. Public addresses are open; redirects and proxies are not followed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ToolsSettings {
    /// Hosts that they may reach though their addresses are of this machine or its network, commas between: `crm.internal,
    /// 10.0.0.5`. A name opens no link-local address, which is where clouds keep credentials.
    #[schemars(with = "String")]
    pub private_hosts: Listed<Host>,
}

impl ToolsSettings {
    pub fn egress(&self) -> Egress {
        Egress::new(self.private_hosts.0.iter().map(Host::to_string))
    }
}

/// Tables `[secrets.NAME]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SecretsSettings(pub BTreeMap<String, SecretSettings>);

/// What bots' tools send to prove who asks: `{secret:NAME}` in a header of a tool, `secret` of an MCP server. It is sent to its
/// hosts alone, whatever a bot's file says. Names are lower-case letters, digits and `_`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SecretSettings {
    /// A token or a password; shown to nobody.
    pub value: Secret,
    /// The hosts that it may be sent to, commas between: `api.crm.example`. At least one.
    #[schemars(with = "String")]
    pub hosts: Listed<Host>,
}

impl SecretsSettings {
    /// The first that is not whole: its key and why.
    pub fn fault(&self) -> Option<(String, String)> {
        self.0.iter().find_map(|(name, secret)| {
            let variable = format!("TANDEM_SECRET_{}", name.to_uppercase());
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            let named = name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(fits);
            let (key, why) = match secret {
                _ if !named || name.ends_with("_hosts") => {
                    ("", "a name is lower-case letters, digits and _, and does not end with _hosts".to_owned())
                }
                SecretSettings { value, .. } if value.value().is_none() => {
                    (".value", format!("a text is wanted; write it here, or set {variable}"))
                }
                SecretSettings { hosts, .. } if hosts.0.is_empty() => {
                    (".hosts", format!("say to which hosts it may be sent, here or by {variable}_HOSTS"))
                }
                _ => return None,
            };
            Some((format!("secrets.{name}{key}"), why))
        })
    }
}

impl Secrets for SecretsSettings {
    fn secret(&self, name: &str, host: &str) -> Result<Private<String>, NoSecret> {
        let known = self.0.get(name).and_then(|secret| Some((secret.value.value()?, &secret.hosts.0)));
        let (value, hosts) = known.ok_or_else(|| NoSecret::Unknown(name.to_owned()))?;
        match hosts.iter().any(|known| known.0 == host) {
            true => Ok(value),
            false => Err(NoSecret::Elsewhere { name: name.to_owned(), host: host.to_owned() }),
        }
    }
}

/// A name or an address, in lower case; no port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host(String);

#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0:?} is no host; a name or an address is wanted, such as api.crm.example or 10.0.0.5")]
pub struct NoHost(String);

impl FromStr for Host {
    type Err = NoHost;

    fn from_str(text: &str) -> Result<Self, NoHost> {
        let plain = text.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_lowercase();
        let is_address = plain.parse::<std::net::IpAddr>().is_ok();
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.' || c == '_';
        match !plain.is_empty() && (is_address || plain.chars().all(fits)) {
            true => Ok(Self(plain)),
            false => Err(NoHost(text.to_owned())),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_for_its_hosts() {
        let text = "[crm]\nvalue = 'v'\nhosts = 'API.crm.example., [::1]'\n[bare]\nhosts = 'a.example'";
        let secrets: SecretsSettings = toml::from_str(text).unwrap();
        for host in ["api.crm.example", "::1"] {
            assert_eq!(secrets.secret("crm", host), Ok("v".to_owned().into()), "{host}");
        }
        for host in ["crm.example", "api.crm.example.evil", ""] {
            let elsewhere = NoSecret::Elsewhere { name: "crm".into(), host: host.into() };
            assert_eq!(secrets.secret("crm", host), Err(elsewhere), "{host}");
        }
        for name in ["bare", "other"] {
            assert_eq!(secrets.secret(name, "a.example"), Err(NoSecret::Unknown(name.into())));
        }
    }

    #[test]
    fn hosts_are_hosts() {
        for text in ["https://a.example", "a.example:80", "a b", "", "*"] {
            assert_eq!(text.parse::<Host>(), Err(NoHost(text.to_owned())));
        }
        assert_eq!("FD00::1".parse::<Host>(), Ok(Host("fd00::1".into())));
    }
}
