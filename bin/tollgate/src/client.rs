//! The commands that ask a running server.

use anyhow::{Context, bail};
use serde_json::{Map, Value};

use crate::cli::{CreateKey, GroupBy, Keys, Remote, Usage};

/// Asks, and returns what to print.
struct Server {
    http: reqwest::Client,
    remote: Remote,
}

impl Server {
    fn new(remote: Remote) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(std::time::Duration::from_secs(30))
            .build()?;
        Ok(Self { http, remote })
    }

    async fn ask(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let key = self.remote.api_key.as_deref().context(
            "no API key: set TOLLGATE_API_KEY or pass --api-key (an owner's key, such as the \
             bootstrap key)",
        )?;
        let url = format!("{}{path}", self.remote.url.trim_end_matches('/'));
        let mut request = self.http.request(method, &url).bearer_auth(key);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request
            .send()
            .await
            .with_context(|| format!("{url} does not answer; is it up?"))?;
        let status = response.status();
        let answer: Value = response.json().await.unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(answer);
        }
        let detail = answer
            .get("detail")
            .and_then(Value::as_str)
            .unwrap_or("no details");
        let fields = answer
            .get("errors")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let fields: Vec<_> = fields
            .map(|one| format!("\n  {}: {}", text(one, "field"), text(one, "message")))
            .collect();
        bail!("{status}: {detail}{}", fields.concat())
    }

    /// Follows the cursors of a list to its end.
    async fn all(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let mark = if path.contains('?') { '&' } else { '?' };
            let mut page = self
                .ask(
                    reqwest::Method::GET,
                    &format!("{path}{mark}limit=200{cursor}"),
                    None,
                )
                .await?;
            if let Some(Value::Array(items)) = page.get_mut("data").map(Value::take) {
                all.extend(items);
            }
            match page.get("next_cursor").and_then(Value::as_str) {
                Some(next) => cursor = format!("&cursor={}", encode(next)),
                None => return Ok(all),
            }
        }
    }
}

pub(crate) async fn keys(command: Keys, as_json: bool) -> anyhow::Result<String> {
    match command {
        Keys::Create(create) => {
            let body = new_key(&create);
            let created = Server::new(create.remote)?
                .ask(reqwest::Method::POST, "/api/v1/keys", Some(&body))
                .await?;
            if as_json {
                return Ok(created.to_string());
            }
            Ok(format!(
                "{}\n# {} {}; shown once",
                text(&created, "key"),
                text(&created, "id"),
                text(&created, "name")
            ))
        }
        Keys::List { remote } => {
            let keys = Server::new(remote)?.all("/api/v1/keys").await?;
            Ok(table(
                &keys,
                as_json,
                &[
                    "id",
                    "public_id",
                    "name",
                    "role",
                    "created_at",
                    "revoked_at",
                ],
            ))
        }
        Keys::Revoke { id, remote } => {
            let path = format!("/api/v1/keys/{}", encode(&id));
            let revoked = Server::new(remote)?
                .ask(reqwest::Method::DELETE, &path, None)
                .await?;
            if as_json {
                return Ok(revoked.to_string());
            }
            Ok(format!(
                "{} {} is revoked",
                text(&revoked, "id"),
                text(&revoked, "name")
            ))
        }
    }
}

pub(crate) async fn usage(command: Usage, as_json: bool) -> anyhow::Result<String> {
    let group = match command.group_by {
        GroupBy::Key => "key",
        GroupBy::Model => "model",
        GroupBy::Day => "day",
    };
    let mut path = format!("/api/v1/usage?group_by={group}");
    for (name, value) in [("from", &command.from), ("until", &command.until)] {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", encode(value)));
        }
    }
    let rows = Server::new(command.remote)?.all(&path).await?;
    let columns = [
        group,
        "requests",
        "attempts",
        "errors",
        "input_tokens",
        "output_tokens",
        "cost_usd",
    ];
    Ok(table(&rows, as_json, &columns))
}

fn new_key(create: &CreateKey) -> Value {
    let mut body = Map::new();
    body.insert("name".to_owned(), Value::from(create.name.as_str()));
    body.insert("models".to_owned(), Value::from(create.models.clone()));
    let texts = [
        ("role", &create.role),
        ("max_budget", &create.max_budget),
        ("budget_duration", &create.budget_duration),
        ("expires_at", &create.expires_at),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            body.insert(name.to_owned(), Value::from(value.as_str()));
        }
    }
    let numbers = [
        ("rpm_limit", create.rpm_limit),
        ("tpm_limit", create.tpm_limit),
        ("max_parallel_requests", create.max_parallel_requests),
    ];
    for (name, value) in numbers {
        if let Some(value) = value {
            body.insert(name.to_owned(), Value::from(value));
        }
    }
    Value::Object(body)
}

/// Renders rows in columns, or as one JSON array.
fn table(rows: &[Value], as_json: bool, columns: &[&str]) -> String {
    if as_json {
        return Value::from(rows.to_vec()).to_string();
    }
    let mut lines: Vec<Vec<String>> = vec![columns.iter().map(ToString::to_string).collect()];
    lines.extend(
        rows.iter()
            .map(|row| columns.iter().map(|column| text(row, column)).collect()),
    );
    let width = |at: usize| {
        lines
            .iter()
            .filter_map(|line| line.get(at))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let lines = lines.iter().map(|line| {
        let cells: Vec<_> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn text(value: &Value, field: &str) -> String {
    match value.get(field) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Percent-encodes all but unreserved characters.
fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
