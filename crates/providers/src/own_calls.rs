//! Calls that Tollgate makes for itself: typed, rare, and never on a caller's path.

use std::time::Duration;

use async_openai::Client;
use async_openai::config::Config;
use async_openai::error::OpenAIError;
use async_openai::middleware::ReqwestService;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};

/// An address and a credential, and nothing from the environment: `async-openai`'s own
/// configuration would add this process's `OPENAI_…` variables.
struct Address {
    base_url: String,
    api_key: SecretString,
}

impl Config for Address {
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let key = self.api_key.expose_secret();
        if let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {key}"))
            && !key.is_empty()
        {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        headers
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url.trim_end_matches('/'))
    }

    fn query(&self) -> Vec<(&str, &str)> {
        Vec::new()
    }

    fn api_base(&self) -> &str {
        &self.base_url
    }

    fn api_key(&self) -> &SecretString {
        &self.api_key
    }
}

/// Returns the names of the models that a provider of the OpenAI dialect lists, to see that its
/// address and credential work.
///
/// # Errors
/// When it does not answer as it should.
pub async fn list_models(
    base_url: &str,
    api_key: Option<&str>,
) -> Result<Vec<String>, OpenAIError> {
    let http = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(3))
        .timeout(Duration::from_secs(15))
        .build()?;
    let address = Address {
        base_url: base_url.to_owned(),
        api_key: SecretString::from(api_key.unwrap_or_default()),
    };
    // Read as plain JSON: other providers leave fields out that OpenAI's types demand.
    // Without a service of its own the client would try again for a quarter of an hour.
    let client = Client::build(http.clone(), address).with_http_service(ReqwestService::new(http));
    let list: serde_json::Value = client.models().list_byot().await?;
    let models = list.get("data").and_then(serde_json::Value::as_array);
    let names = models
        .into_iter()
        .flatten()
        .filter_map(|model| model.get("id")?.as_str());
    Ok(names.map(ToOwned::to_owned).collect())
}
