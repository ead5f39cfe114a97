//! The list of models in OpenAI's shape.

use bytes::Bytes;
use serde::Serialize;

/// Source: <https://platform.openai.com/docs/api-reference/models/object>
#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    owned_by: &'a str,
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Model<'a>>,
}

impl<'a> From<(&'a str, i64, &'a str)> for Model<'a> {
    fn from((id, created, owned_by): (&'a str, i64, &'a str)) -> Self {
        Self {
            id,
            object: "model",
            created,
            owned_by,
        }
    }
}

/// Returns a list of models: for each its name, when it was made (seconds since 1970) and whose it is.
pub fn models_list<'a>(models: impl IntoIterator<Item = (&'a str, i64, &'a str)>) -> Bytes {
    let data = models.into_iter().map(Model::from).collect();
    serde_json::to_vec(&List {
        object: "list",
        data,
    })
    .unwrap_or_default()
    .into()
}

/// Returns one model: its name, when it was made (seconds since 1970) and whose it is.
#[must_use]
pub fn model_object(id: &str, created: i64, owned_by: &str) -> Bytes {
    let model = Model::from((id, created, owned_by));
    serde_json::to_vec(&model).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_openai::types::models::{ListModelResponse, Model as OpenAiModel};

    #[test]
    fn models_read_as_the_official_types() {
        let list = models_list([
            ("gpt-4o", 1_715_367_049, "openai"),
            ("a \"b\"", 0, "tollgate"),
        ]);
        let list: ListModelResponse = serde_json::from_slice(&list).unwrap();
        let names: Vec<_> = list.data.iter().map(|model| model.id.as_str()).collect();
        assert_eq!(
            (list.object.as_str(), names),
            ("list", vec!["gpt-4o", "a \"b\""])
        );

        let model: OpenAiModel = serde_json::from_slice(&model_object("m", 1, "me")).unwrap();
        assert_eq!((model.object.as_str(), model.created), ("model", 1));
        assert_eq!(models_list([]), r#"{"object":"list","data":[]}"#);
    }
}
