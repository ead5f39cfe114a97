//! Asks a running server, and renders its answers.

use std::io::{ErrorKind, Write};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use reqwest::{Method, Response};
use serde_json::Value;

use crate::admin_args::Remote;
use crate::cli::{GroupBy, Usage};

/// How long a whole answer may take, and how long a stream may be silent.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// What is asked, and what is shown of the answer.
pub(crate) enum Asked {
    /// All pages of a list, in these columns.
    List(String, &'static [&'static str]),
    /// A list in this field of an answer, in these columns.
    Within(String, &'static str, &'static [&'static str]),
    /// One answer.
    One(One),
    /// An answer that is printed as it comes.
    Stream(String),
}

/// A request that is answered with one thing.
pub(crate) struct One {
    method: Method,
    path: String,
    if_match: Option<String>,
    body: Option<Value>,
    shown: Shown,
}

/// What is shown of one thing, to people.
pub(crate) enum Shown {
    /// All of its fields.
    Fields,
    /// The field that is shown this once, and what it belongs to.
    Once(&'static str),
    /// What was done.
    Done(String),
}

impl One {
    fn new(method: Method, path: String, body: Option<Value>, shown: Shown) -> Self {
        Self {
            method,
            path,
            if_match: None,
            body,
            shown,
        }
    }

    fn get(path: String) -> Self {
        Self::new(Method::GET, path, None, Shown::Fields)
    }
}

impl Asked {
    pub(crate) fn get(path: String) -> Self {
        Self::One(One::get(path))
    }

    pub(crate) fn post(path: &str, body: Value, shown: Shown) -> Self {
        Self::One(One::new(Method::POST, path.to_owned(), Some(body), shown))
    }

    pub(crate) fn put(path: String, body: Value) -> Self {
        Self::One(One::new(Method::PUT, path, Some(body), Shown::Fields))
    }

    pub(crate) fn patch(path: String, if_match: String, body: Value) -> Self {
        Self::One(One {
            if_match: Some(if_match),
            ..One::new(Method::PATCH, path, Some(body), Shown::Fields)
        })
    }

    pub(crate) fn delete(path: String, done: String) -> Self {
        Self::One(One::new(Method::DELETE, path, None, Shown::Done(done)))
    }
}

struct Server {
    http: reqwest::Client,
    remote: Remote,
}

impl Server {
    fn new(remote: Remote) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(ANSWER_TIMEOUT)
            .read_timeout(ANSWER_TIMEOUT)
            .build()?;
        Ok(Self { http, remote })
    }

    /// Returns an answer that is not an error.
    async fn send(&self, one: &One) -> anyhow::Result<Response> {
        let key = self.remote.api_key.as_deref().context(
            "no API key: set TOLLGATE_API_KEY or pass --api-key (an owner's key, such as the \
             bootstrap key)",
        )?;
        let url = format!("{}{}", self.remote.url.trim_end_matches('/'), one.path);
        let mut request = self.http.request(one.method.clone(), &url).bearer_auth(key);
        if let Some(if_match) = &one.if_match {
            request = request.header("if-match", if_match);
        }
        if let Some(body) = &one.body {
            request = request.json(body);
        }
        let response = request
            .send()
            .await
            .with_context(|| format!("{url} does not answer; is it up?"))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(refusal(response).await)
    }

    async fn ask(&self, one: &One) -> anyhow::Result<Value> {
        let answer = async { anyhow::Ok(self.send(one).await?.bytes().await?) };
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, answer).await;
        let body = answer.context("the answer takes too long")??;
        // What is gone is answered with nothing.
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).context("the answer is not JSON")
    }

    /// Follows the cursors of a list to its end.
    async fn all(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let mark = if path.contains('?') { '&' } else { '?' };
            let next = One::get(format!("{path}{mark}limit=200{cursor}"));
            let mut page = self.ask(&next).await?;
            all.append(&mut items(&mut page, "data"));
            match page.get("next_cursor").and_then(Value::as_str) {
                Some(next) => cursor = format!("&cursor={}", encode(next)),
                None => return Ok(all),
            }
        }
    }
}

fn items(page: &mut Value, field: &str) -> Vec<Value> {
    match page.get_mut(field).map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

/// Says why the server has refused.
async fn refusal(response: Response) -> anyhow::Error {
    let status = response.status();
    let answer: Value = response.json().await.unwrap_or(Value::Null);
    let detail = answer.get("detail").and_then(Value::as_str);
    let fields = answer.get("errors").and_then(Value::as_array);
    let fields = fields.into_iter().flatten();
    let fields: Vec<_> = fields
        .map(|one| format!("\n  {}: {}", text(one, "field"), text(one, "message")))
        .collect();
    let detail = detail.unwrap_or("no details");
    anyhow!("{status}: {detail}{}", fields.concat())
}

/// Asks, and returns what to print.
pub(crate) async fn run(remote: Remote, asked: Asked, as_json: bool) -> anyhow::Result<String> {
    let server = Server::new(remote)?;
    match asked {
        Asked::List(path, columns) => Ok(table(&server.all(&path).await?, as_json, columns)),
        Asked::Within(path, field, columns) => {
            let mut answer = server.ask(&One::get(path)).await?;
            Ok(table(&items(&mut answer, field), as_json, columns))
        }
        Asked::One(one) => {
            let answer = server.ask(&one).await?;
            Ok(if as_json {
                answer.to_string()
            } else {
                show(&answer, &one.shown)
            })
        }
        Asked::Stream(path) => bail!("{path} is a stream"),
    }
}

/// Prints an answer as it comes.
pub(crate) async fn stream(remote: Remote, path: &str, mut to: impl Write) -> anyhow::Result<()> {
    let server = Server::new(remote)?;
    let mut response = server.send(&One::get(path.to_owned())).await?;
    while let Some(part) = response
        .chunk()
        .await
        .context("the answer breaks off before its end")?
    {
        match to.write_all(&part) {
            Ok(()) => {}
            // Whoever closed the pipe does not want the rest.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
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

/// Renders one thing for people.
fn show(thing: &Value, shown: &Shown) -> String {
    match shown {
        Shown::Done(done) => done.clone(),
        Shown::Once(secret) => {
            let id = text(thing, "id");
            let name = ["name", "email"].into_iter().find_map(|field| {
                let name = thing.get(field)?.as_str()?;
                Some(format!(" {name}"))
            });
            let name = name.unwrap_or_default();
            format!("{}\n# {id}{name}; shown once", text(thing, secret))
        }
        Shown::Fields => {
            let fields = thing.as_object().into_iter().flatten();
            let fields = fields.map(|(name, _)| (name, text(thing, name)));
            let lines: Vec<_> = fields
                .map(|(name, value)| format!("{name}: {value}"))
                .collect();
            lines.join("\n")
        }
    }
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
pub(crate) fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
