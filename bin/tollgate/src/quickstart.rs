//! `tollgate quickstart`: a first answer without a settings file, an account or a database.

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};
use tollgate_auth::KeyText;
use tollgate_server::{Options, Settings};

use crate::cli::Quickstart;

/// The name of the local model.
const LOCAL_MODEL: &str = "smollm2";

/// Makes settings, and the key of the first start.
pub(crate) fn prepare(
    quick: &Quickstart,
    environment: impl Iterator<Item = (String, String)>,
) -> anyhow::Result<(Settings, Options)> {
    if !quick.listen.ip().is_loopback() || !quick.metrics_listen.ip().is_loopback() {
        anyhow::bail!("quickstart listens on loopback only; write a tollgate.toml and use `serve`");
    }
    let environment: HashMap<_, _> = environment.collect();
    fs::create_dir_all(&quick.data)
        .with_context(|| format!("{} cannot be made", quick.data.display()))?;
    let (key, is_new) = first_key(&quick.data.join("quickstart.key"))?;
    let with_openai = environment
        .get("OPENAI_API_KEY")
        .is_some_and(|key| !key.is_empty());
    let settings: Settings = serde_json::from_value(settings(quick, with_openai))?;
    let announcement = announcement(quick, &key, is_new, with_openai);
    let options = Options {
        bootstrap_key: Some(key),
        ready_fd: None,
        announcement: Some(announcement),
    };
    Ok((settings, options))
}

fn settings(quick: &Quickstart, with_openai: bool) -> Value {
    let data = |name: &str| quick.data.join(name);
    let mut providers = vec![json!({"name": "local", "dialect": "local", "path": quick.model})];
    let mut models = vec![json!({"name": LOCAL_MODEL, "targets": [{"provider": "local"}]})];
    if with_openai {
        providers.push(json!({
            "name": "openai",
            "dialect": "openai",
            "base_url": "https://api.openai.com/v1",
            "api_key": "env:OPENAI_API_KEY",
        }));
        for prefix in ["gpt-*", "o1*", "o3*", "o4*", "text-embedding-*"] {
            models.push(json!({"name": prefix, "targets": [{"provider": "openai"}]}));
        }
    }
    json!({
        "server": {"listen": quick.listen, "metrics_listen": quick.metrics_listen, "drain_timeout_s": 30},
        "database": {"url": format!("sqlite://{}", data("tollgate.db").display())},
        "ledger": {"journal_dir": data("journal")},
        "secrets": {"master_key_file": data("master.key")},
        "log": {"format": "pretty", "level": "warn,tollgate=info"},
        "providers": providers,
        "models": models,
    })
}

/// Reads the key of the first start, or makes and keeps it, readable by its owner only.
fn first_key(file: &Path) -> anyhow::Result<(KeyText, bool)> {
    let cannot = || format!("{} cannot be used", file.display());
    if file.exists() {
        let text = fs::read_to_string(file).with_context(cannot)?;
        return Ok((KeyText::parse(text.trim()).with_context(cannot)?, false));
    }
    let key = KeyText::generate()?;
    let mut open = fs::OpenOptions::new();
    let mut made = open
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .with_context(cannot)?;
    writeln!(made, "{}", key.expose()).with_context(cannot)?;
    Ok((key, true))
}

/// What to print once the server accepts. A key is shown once; later starts name its file.
fn announcement(quick: &Quickstart, key: &KeyText, is_new: bool, with_openai: bool) -> String {
    let file = quick.data.join("quickstart.key");
    let listen = quick.listen;
    let how = if is_new {
        format!(
            "export TOLLGATE_API_KEY={}   # shown once; kept in {}",
            key.expose(),
            file.display()
        )
    } else {
        format!("export TOLLGATE_API_KEY=$(cat {})", file.display())
    };
    let openai = if with_openai {
        "\nOPENAI_API_KEY is set: gpt-*, o1*, o3*, o4* and text-embedding-* go to OpenAI.\n"
    } else {
        "\nStart with OPENAI_API_KEY in the environment to have OpenAI's models too.\n"
    };
    format!(
        r#"
Tollgate is ready on http://{listen}

{how}

curl http://{listen}/v1/chat/completions \
  -H "Authorization: Bearer $TOLLGATE_API_KEY" -H "Content-Type: application/json" \
  -d '{{"model":"{LOCAL_MODEL}","temperature":0,"messages":[{{"role":"user","content":"What is the capital of France?"}}]}}'

# pip install openai
python3 - <<'PY'
import os
from openai import OpenAI
client = OpenAI(base_url="http://{listen}/v1", api_key=os.environ["TOLLGATE_API_KEY"])
stream = client.chat.completions.create(model="{LOCAL_MODEL}", temperature=0, stream=True,
    messages=[{{"role": "user", "content": "What is the capital of France?"}}])
for event in stream:
    print(event.choices[0].delta.content or "", end="", flush=True)
print()
PY
{openai}"#
    )
}
