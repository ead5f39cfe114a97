//! Settings from a file and the environment.

use std::path::Path;

use serde_json::{Map, Value};
use tollgate_server::{Problem, Settings};

/// The environment's prefix: `TOLLGATE__SERVER__LISTEN` sets `listen` in `[server]`.
const PREFIX: &str = "TOLLGATE__";

/// Reads settings: defaults, then the file, then the environment. Reports every problem.
pub(crate) fn settings(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Settings, Vec<Problem>> {
    let mut tree = Map::new();
    let mut name = "settings".to_owned();
    if let Some(path) = file {
        name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| vec![Problem::new(&name, format!("cannot be read: {error}"))])?;
        tree = parse(&name, &text)?;
    }
    for (variable, value) in environment {
        if let Some(path) = variable.strip_prefix(PREFIX) {
            set(&mut tree, path, value)
                .map_err(|what| vec![Problem::new(&variable, what.to_owned())])?;
        }
    }
    // Values are read through their text where a setting says so (prices), never through a float.
    let settings: Settings = serde_json::from_value(Value::Object(tree))
        .map_err(|error| vec![Problem::new(&name, error.to_string())])?;
    let problems = settings.problems();
    if problems.is_empty() {
        Ok(settings)
    } else {
        Err(problems
            .into_iter()
            .map(|problem| problem.within(&name))
            .collect())
    }
}

fn parse(name: &str, text: &str) -> Result<Map<String, Value>, Vec<Problem>> {
    use toml::de::DeTable;

    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(table_to_json(table.into_inner(), false));
    }
    let place = |error: &toml::de::Error| {
        let line = error.span().map_or(0, |span| {
            text.get(..span.start)
                .map_or(0, |before| before.matches('\n').count() + 1)
        });
        Problem::new(&format!("{name}:{line}"), error.message().to_owned())
    };
    Err(errors.iter().map(place).collect())
}

fn table_to_json(table: toml::de::DeTable<'_>, is_price: bool) -> Map<String, Value> {
    table
        .into_iter()
        .map(|(key, value)| {
            let key = key.into_inner().into_owned();
            let is_price = is_price || key == "price";
            let value = to_json(value.into_inner(), is_price);
            (key, value)
        })
        .collect()
}

/// Turns a value into JSON. Numbers of a price become text, exactly as they were written.
fn to_json(value: toml::de::DeValue<'_>, is_price: bool) -> Value {
    use toml::de::DeValue;

    match value {
        DeValue::String(text) => Value::String(text.into_owned()),
        DeValue::Boolean(yes) => Value::Bool(yes),
        DeValue::Integer(number) if is_price => Value::String(number.to_string()),
        DeValue::Float(number) if is_price => Value::String(number.to_string()),
        DeValue::Integer(number) => number
            .to_string()
            .parse::<i64>()
            .map_or(Value::Null, Value::from),
        DeValue::Float(number) => number
            .to_string()
            .parse::<f64>()
            .map_or(Value::Null, Value::from),
        DeValue::Datetime(time) => Value::String(time.to_string()),
        DeValue::Array(items) => items
            .into_iter()
            .map(|item| to_json(item.into_inner(), is_price))
            .collect(),
        DeValue::Table(table) => Value::Object(table_to_json(table, is_price)),
    }
}

/// Sets `SECTION__KEY`. A value that is JSON is taken as such, anything else as text.
fn set(tree: &mut Map<String, Value>, path: &str, value: String) -> Result<(), &'static str> {
    let path = path.to_ascii_lowercase();
    let (section, key) = path
        .split_once("__")
        .ok_or("must be TOLLGATE__SECTION__KEY")?;
    let table = tree
        .entry(section)
        .or_insert_with(|| Value::Object(Map::new()));
    let table = table
        .as_object_mut()
        .ok_or("sets a key of what is not a table")?;
    let value = serde_json::from_str(&value)
        .ok()
        .filter(|parsed: &Value| !parsed.is_string() && !parsed.is_null())
        .unwrap_or(Value::String(value));
    table.insert(key.to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, environment: &[(&str, &str)]) -> Result<Settings, Vec<Problem>> {
        let file = std::env::temp_dir().join(format!("tollgate-load-{:p}.toml", text));
        std::fs::write(&file, text).unwrap();
        let pairs = environment
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let loaded = settings(Some(&file), pairs);
        std::fs::remove_file(&file).unwrap();
        loaded
    }

    const MODEL: &str = r#"
        [[providers]]
        name = "p"
        dialect = "openai"
        base_url = "https://api.example.com/v1"
        [[models]]
        name = "m"
        targets = [{ provider = "p" }]
        price = { input = 0.15, output = 0.6 }
    "#;

    #[test]
    fn prices_are_read_as_they_are_written() {
        let settings = load(MODEL, &[]).unwrap();
        let price = settings.models[0].price.unwrap();
        assert_eq!(
            (price.input.to_string(), price.output.to_string()),
            ("0.15".into(), "0.6".into())
        );
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let text = "[server]\nworkers = 1\n";
        let settings = load(
            text,
            &[("TOLLGATE__SERVER__WORKERS", "3"), ("HOME", "/root")],
        )
        .unwrap();
        assert_eq!(settings.server.workers, 3);
    }

    #[test]
    fn problems_name_their_place() {
        let problems = load("[server]\nworkers = \n", &[]).unwrap_err();
        assert!(problems[0].to_string().contains(":2"), "{}", problems[0]);
        let problems = load("[server]\nworker = 1\n", &[]).unwrap_err();
        assert!(
            problems[0].to_string().contains("worker"),
            "{}",
            problems[0]
        );
        let problems =
            load("[[models]]\nname=\"m\"\ntargets=[{provider=\"none\"}]", &[]).unwrap_err();
        assert!(problems[0].to_string().contains("none"), "{}", problems[0]);
    }
}
