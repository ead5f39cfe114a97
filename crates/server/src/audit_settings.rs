//! Where the checkpoints of the audit log go.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

use crate::problem::Problem;

/// Where the checkpoints of the audit log go. They are worth something where those who can write to the
/// database cannot.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditSettings {
    /// How often chains that have grown get a checkpoint.
    pub checkpoint_interval_s: u64,
    /// After how many entries they get one earlier.
    pub checkpoint_entries: u64,
    /// A file that each one is appended to.
    pub checkpoint_file: Option<PathBuf>,
    /// A syslog that each one is sent to.
    pub checkpoint_syslog: Option<SyslogSetting>,
    /// A URL that they are posted to.
    pub checkpoint_webhook: Option<WebhookSetting>,
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self {
            checkpoint_interval_s: 60,
            checkpoint_entries: 1_000,
            checkpoint_file: None,
            checkpoint_syslog: None,
            checkpoint_webhook: None,
        }
    }
}

/// A syslog: `"udp://HOST:PORT"` or `"unix:/dev/log"`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum SyslogSetting {
    /// Messages of RFC 5424, by UDP.
    Udp(String),
    /// The socket of the machine's own.
    Unix(PathBuf),
}

impl TryFrom<String> for SyslogSetting {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let has_port = |address: &&str| {
            let port = address
                .rsplit_once(':')
                .map(|(_, port)| port.parse::<u16>());
            matches!(port, Some(Ok(1..)))
        };
        let udp = text.strip_prefix("udp://").filter(has_port);
        let unix = text
            .strip_prefix("unix:")
            .filter(|path| path.starts_with('/'));
        match (udp, unix) {
            (Some(address), _) => Ok(Self::Udp(address.to_owned())),
            (_, Some(path)) => Ok(Self::Unix(path.into())),
            _ => Err("checkpoint_syslog must be \"udp://HOST:PORT\" or \"unix:/PATH\""),
        }
    }
}

/// A URL that checkpoints are posted to, signed as Standard Webhooks has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookSetting {
    /// The URL.
    pub url: String,
    /// What messages are signed with, `whsec_…`: `env:NAME`, `file:PATH` or the text itself.
    pub secret: SecretString,
}

impl AuditSettings {
    pub(crate) fn problem(&self) -> Option<Problem> {
        let is_zero = self.checkpoint_interval_s == 0 || self.checkpoint_entries == 0;
        is_zero.then(|| {
            let message = "checkpoint_interval_s and checkpoint_entries must be greater than 0";
            Problem::new("audit", message.to_owned())
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_syslog_is_an_address_or_a_socket() {
        let read = |text: &str| serde_json::from_value::<SyslogSetting>(json!(text)).ok();
        let udp = |address: &str| Some(SyslogSetting::Udp(address.to_owned()));
        assert_eq!(read("udp://logs.corp:514"), udp("logs.corp:514"));
        assert_eq!(read("udp://[::1]:514"), udp("[::1]:514"));
        let unix = Some(SyslogSetting::Unix("/dev/log".into()));
        assert_eq!(read("unix:/dev/log"), unix);
        for wrong in [
            "",
            "udp://logs",
            "udp://logs:0",
            "udp://logs:x",
            "tcp://a:1",
            "unix:log",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn bounds_are_greater_than_zero() {
        let settings = |value| serde_json::from_value::<AuditSettings>(value).unwrap();
        assert!(settings(json!({})).problem().is_none());
        for name in ["checkpoint_interval_s", "checkpoint_entries"] {
            assert!(settings(json!({name: 0})).problem().is_some());
        }
    }
}
