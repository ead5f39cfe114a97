//! The settings file of a gateway under test.

use std::path::Path;

/// The credential that every scripted provider is called with.
pub const PROVIDER_KEY: &str = "sk-scripted-provider-credential";

/// What a test wants in the settings file beyond the defaults. Each text is TOML.
#[derive(Debug, Clone, Default)]
pub struct GatewaySettings {
    /// Further lines of `[server]`.
    pub server: String,
    /// Lines of `[server.tls]`; empty is plain HTTP. With TLS nothing is waited for but the line in the
    /// log that says where it listens, and the requests of the gateway itself do not work.
    pub tls: String,
    /// The database's URL; empty is SQLite in the gateway's own directory.
    pub database: String,
    /// The role that its connections take on; empty is none.
    pub app_role: String,
    /// Further lines of `[ledger]`.
    pub ledger: String,
    /// Lines of `[telemetry]`.
    pub telemetry: String,
    /// `[[providers]]` and `[[models]]`.
    pub tables: String,
    /// Environment variables of the process.
    pub env: Vec<(String, String)>,
}

impl GatewaySettings {
    /// Adds a provider of the OpenAI dialect; `extra` are further lines.
    #[must_use]
    pub fn provider(mut self, name: &str, base_url: &str, extra: &str) -> Self {
        self.tables += &format!(
            "[[providers]]\nname = \"{name}\"\ndialect = \"openai\"\nbase_url = \"{base_url}\"\n\
             api_key = \"{PROVIDER_KEY}\"\n{extra}\n"
        );
        self
    }

    /// Adds a model with these targets, `provider/upstream-model` each, tried in this order. It
    /// costs 1 USD per million prompt tokens and 2 USD per million answer tokens.
    #[must_use]
    pub fn model(mut self, name: &str, targets: &[&str]) -> Self {
        let targets: Vec<String> = targets
            .iter()
            .enumerate()
            .map(|(order, target)| {
                let (provider, model) = target.split_once('/').expect("provider/upstream-model");
                format!(
                    "{{ provider = \"{provider}\", model = \"{model}\", weight = 1, order = {order} }}"
                )
            })
            .collect();
        self.tables += &format!(
            "[[models]]\nname = \"{name}\"\ntargets = [{}]\nprice = {{ input = 1, output = 2 }}\n",
            targets.join(", ")
        );
        self
    }

    /// Returns the settings file of a gateway with this directory.
    pub(crate) fn to_toml(&self, dir: &Path) -> String {
        let data = dir.display();
        let database = match self.database.as_str() {
            "" => &format!("sqlite://{data}/tollgate.db"),
            url => url,
        };
        let tls = match self.tls.as_str() {
            "" => String::new(),
            lines => format!("[server.tls]\n{lines}\n"),
        };
        let app_role = match self.app_role.as_str() {
            "" => String::new(),
            role => format!("app_role = \"{role}\"\n"),
        };
        format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nmetrics_listen = \"127.0.0.1:0\"\nworkers = 2\n{}\n{tls}\
             [database]\nurl = \"{database}\"\n{app_role}\
             [ledger]\njournal_dir = \"{data}/journal\"\n{}\n\
             [log]\nformat = \"json\"\nlevel = \"info\"\n\
             [telemetry]\n{}\n{}",
            self.server, self.ledger, self.telemetry, self.tables
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_keeps_the_order_of_its_targets() {
        let settings = GatewaySettings::default().model("m", &["a/x", "b/y"]);
        assert!(
            settings
                .tables
                .contains(r#"{ provider = "b", model = "y", weight = 1, order = 1 }"#)
        );
    }
}
