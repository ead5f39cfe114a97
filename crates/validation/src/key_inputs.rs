//! What callers send to make, change and rotate API keys.

use garde::Validate;
use serde::Deserialize;
use serde_json::{Map, Value};
use tollgate_domain::{
    BudgetDuration, IpRange, METADATA_BYTES_MAX, Money, PermissionSet, RoleRef, TeamId, Timestamp,
    UserId,
};

use crate::inputs::{LIMIT_MAX, MODELS_MAX, TOKENS_MAX, given, needs_budget};
use crate::rules;

/// The most ranges of addresses that a key may be used from.
const ADDRESSES_MAX: usize = 64;

/// The most tags of a key.
const TAGS_MAX: usize = 16;

/// The longest time that a rotated key's old secret works on, in seconds: a day.
pub const OVERLAP_SECONDS_MAX: u32 = 86_400;

/// An API key to be made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct NewApiKey {
    /// What people call it.
    #[garde(custom(rules::name))]
    pub name: String,
    /// What it may do; absent is the least.
    #[garde(skip)]
    pub role: Option<RoleRef>,
    /// What it may do at the most; absent is all that its role allows.
    #[garde(skip)]
    pub scopes: Option<PermissionSet>,
    /// The team that it works for.
    #[garde(skip)]
    pub team_id: Option<TeamId>,
    /// Whose rights bound it: its maker, or a service account. Absent is its maker.
    #[garde(skip)]
    pub owner_id: Option<UserId>,
    /// The models it may call; empty allows all. A trailing `*` matches any ending.
    #[serde(default)]
    #[garde(length(max = MODELS_MAX), inner(custom(rules::model_pattern)))]
    pub models: Vec<String>,
    /// From where it may be used; empty allows all.
    #[serde(default)]
    #[garde(length(max = ADDRESSES_MAX))]
    pub allowed_ips: Vec<IpRange>,
    /// Requests per minute.
    #[garde(range(min = 1, max = LIMIT_MAX))]
    pub rpm_limit: Option<u32>,
    /// Tokens per minute.
    #[garde(range(min = 1, max = TOKENS_MAX))]
    pub tpm_limit: Option<u32>,
    /// Requests at once.
    #[garde(range(min = 1, max = LIMIT_MAX))]
    pub max_parallel_requests: Option<u32>,
    /// US dollars per window.
    #[garde(inner(custom(rules::budget)))]
    pub max_budget: Option<Money>,
    /// The window's length; absent counts from the beginning of time.
    #[garde(custom(needs_budget(&self.max_budget)))]
    pub budget_duration: Option<BudgetDuration>,
    /// What its makers keep with it; up to 4 KiB as JSON.
    #[serde(default)]
    #[garde(custom(fits_metadata))]
    pub metadata: Map<String, Value>,
    /// By what its usage is told apart.
    #[serde(default)]
    #[garde(length(max = TAGS_MAX), inner(custom(rules::name)))]
    pub tags: Vec<String>,
    /// From when on it is refused.
    #[garde(skip)]
    pub expires_at: Option<Timestamp>,
}

/// What is to change of an API key: a value sets a field, `null` removes it where it may be missing,
/// absence leaves it as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct ApiKeyChange {
    /// What people call it.
    #[garde(inner(custom(rules::name)))]
    pub name: Option<String>,
    /// The models it may call; empty allows all.
    #[garde(inner(length(max = MODELS_MAX), inner(custom(rules::model_pattern))))]
    pub models: Option<Vec<String>>,
    /// From where it may be used; empty allows all.
    #[garde(inner(length(max = ADDRESSES_MAX)))]
    pub allowed_ips: Option<Vec<IpRange>>,
    /// Requests per minute.
    #[serde(deserialize_with = "given")]
    #[garde(inner(range(min = 1, max = LIMIT_MAX)))]
    pub rpm_limit: Option<Option<u32>>,
    /// Tokens per minute.
    #[serde(deserialize_with = "given")]
    #[garde(inner(range(min = 1, max = TOKENS_MAX)))]
    pub tpm_limit: Option<Option<u32>>,
    /// Requests at once.
    #[serde(deserialize_with = "given")]
    #[garde(inner(range(min = 1, max = LIMIT_MAX)))]
    pub max_parallel_requests: Option<Option<u32>>,
    /// US dollars per window.
    #[serde(deserialize_with = "given")]
    #[garde(inner(inner(custom(rules::budget))))]
    pub max_budget: Option<Option<Money>>,
    /// The window's length.
    #[serde(deserialize_with = "given")]
    #[garde(skip)]
    pub budget_duration: Option<Option<BudgetDuration>>,
    /// Whether it is refused for the time being.
    #[garde(skip)]
    pub blocked: Option<bool>,
    /// What its makers keep with it; takes the place of all that was there.
    #[garde(inner(custom(fits_metadata)))]
    pub metadata: Option<Map<String, Value>>,
    /// By what its usage is told apart.
    #[garde(inner(length(max = TAGS_MAX), inner(custom(rules::name))))]
    pub tags: Option<Vec<String>>,
    /// From when on it is refused.
    #[serde(deserialize_with = "given")]
    #[garde(skip)]
    pub expires_at: Option<Option<Timestamp>>,
}

/// A key's secret to be replaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct KeyRotation {
    /// How long the old secret works on, in seconds.
    #[garde(range(max = OVERLAP_SECONDS_MAX))]
    pub overlap_seconds: u32,
}

fn fits_metadata(metadata: &Map<String, Value>, _context: &()) -> garde::Result {
    let text =
        serde_json::to_string(metadata).map_err(|_| garde::Error::new("must be a JSON object"))?;
    if text.len() > METADATA_BYTES_MAX {
        return Err(garde::Error::new("must have up to 4096 bytes as JSON"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::valid::Valid;

    fn fields<T: serde::de::DeserializeOwned + Validate<Context = ()>>(body: &str) -> Vec<String> {
        let read = Valid::<T>::from_json(body.as_bytes());
        let problems = read.err().map(|error| error.problems).unwrap_or_default();
        problems.into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn a_key_may_say_all_that_is_kept_of_it() {
        let body = br#"{"name":"ci","role":"role_09090909090909090909090909090909",
            "scopes":["models.use"],"team_id":"team_01010101010101010101010101010101",
            "owner_id":"user_02020202020202020202020202020202","allowed_ips":["10.0.0.0/8","::1"],
            "metadata":{"cost center":7},"tags":["prod"]}"#;
        let key = Valid::<NewApiKey>::from_json(body).unwrap();
        assert_eq!(key.allowed_ips.len(), 2);
        assert_eq!(key.metadata.get("cost center"), Some(&Value::from(7)));
    }

    #[test]
    fn what_a_key_may_not_carry_is_named() {
        let tags = vec!["\"t\""; 17].join(",");
        let ips = vec!["\"10.0.0.1\""; 65].join(",");
        let long = "x".repeat(METADATA_BYTES_MAX);
        for (rest, field) in [
            (format!(r#""tags":[{tags}]"#), "tags"),
            (r#""tags":["ok",""]"#.to_owned(), "tags[1]"),
            (format!(r#""allowed_ips":[{ips}]"#), "allowed_ips"),
            (
                r#""allowed_ips":["10.0.0.1/8"]"#.to_owned(),
                "allowed_ips[0]",
            ),
            (format!(r#""metadata":{{"a":"{long}"}}"#), "metadata"),
            (r#""metadata":[]"#.to_owned(), "metadata"),
            (r#""scopes":["everything"]"#.to_owned(), "scopes"),
            (
                r#""team_id":"key_01010101010101010101010101010101""#.to_owned(),
                "team_id",
            ),
        ] {
            let named = format!(r#"{{"name":"a",{rest}}}"#);
            assert_eq!(fields::<NewApiKey>(&named), [field], "{rest}");
        }
    }

    #[test]
    fn metadata_may_just_fill_its_room() {
        let long = "x".repeat(METADATA_BYTES_MAX - r#"{"a":""}"#.len());
        let body = format!(r#"{{"name":"a","metadata":{{"a":"{long}"}}}}"#);
        assert_eq!(fields::<NewApiKey>(&body), [""; 0]);
    }

    #[test]
    fn a_change_of_a_key_obeys_the_same_rules() {
        for (body, field) in [
            (r#"{"name":" "}"#, "name"),
            (r#"{"models":["a b"]}"#, "models[0]"),
            (r#"{"rpm_limit":0}"#, "rpm_limit"),
            (r#"{"tpm_limit":0}"#, "tpm_limit"),
            (r#"{"max_parallel_requests":0}"#, "max_parallel_requests"),
            (r#"{"max_budget":"-1"}"#, "max_budget"),
            (r#"{"tags":["\u0000"]}"#, "tags[0]"),
            (r#"{"role":"org_owner"}"#, "role"),
            (r#"{"scopes":[]}"#, "scopes"),
            (r#"{"version":3}"#, "version"),
        ] {
            assert_eq!(fields::<ApiKeyChange>(body), [field], "{body}");
        }
        let change = Valid::<ApiKeyChange>::from_json(br#"{"expires_at":null,"models":[]}"#);
        let change = change.unwrap().into_inner();
        assert_eq!((change.expires_at, change.rpm_limit), (Some(None), None));
        assert_eq!(change.models, Some(Vec::new()));
    }

    #[test]
    fn an_old_secret_works_on_for_a_day_at_the_most() {
        for (body, expected) in [("{}", 0), (r#"{"overlap_seconds":86400}"#, 86_400)] {
            let read = Valid::<KeyRotation>::from_json(body.as_bytes()).unwrap();
            assert_eq!(read.overlap_seconds, expected);
        }
        for body in [r#"{"overlap_seconds":86401}"#, r#"{"overlap_seconds":-1}"#] {
            assert_eq!(fields::<KeyRotation>(body), ["overlap_seconds"], "{body}");
        }
    }
}
