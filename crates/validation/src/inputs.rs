//! What callers of the control plane send.

use garde::Validate;
use serde::{Deserialize, Deserializer};
use tollgate_domain::{BudgetDuration, Money};

use crate::rules;

/// The most entries of a list of models.
pub(crate) const MODELS_MAX: usize = 256;

/// The largest limit of requests in a minute, or of requests at once.
pub(crate) const LIMIT_MAX: u32 = 10_000_000;

/// The largest limit of tokens in a minute.
pub(crate) const TOKENS_MAX: u32 = 4_000_000_000;

/// What is to change of an organization: a value sets a field, `null` removes it, absence leaves it
/// as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct OrganizationChange {
    /// Its name.
    #[garde(inner(custom(rules::name)))]
    pub name: Option<String>,
    /// Requests per minute, over all keys.
    #[serde(deserialize_with = "given")]
    #[garde(inner(range(min = 1, max = LIMIT_MAX)))]
    pub rpm_limit: Option<Option<u32>>,
    /// Tokens per minute, over all keys.
    #[serde(deserialize_with = "given")]
    #[garde(inner(range(min = 1, max = TOKENS_MAX)))]
    pub tpm_limit: Option<Option<u32>>,
    /// Requests at once, over all keys.
    #[serde(deserialize_with = "given")]
    #[garde(inner(range(min = 1, max = LIMIT_MAX)))]
    pub max_parallel_requests: Option<Option<u32>>,
    /// US dollars per window, over all keys.
    #[serde(deserialize_with = "given")]
    #[garde(inner(inner(custom(rules::budget))))]
    pub max_budget: Option<Option<Money>>,
    /// The window's length.
    #[serde(deserialize_with = "given")]
    #[garde(skip)]
    pub budget_duration: Option<Option<BudgetDuration>>,
}

pub(crate) fn needs_budget(
    max_budget: &Option<Money>,
) -> impl FnOnce(&Option<BudgetDuration>, &()) -> garde::Result + '_ {
    move |duration, _context| {
        if duration.is_some() && max_budget.is_none() {
            return Err(garde::Error::new("needs a max_budget"));
        }
        Ok(())
    }
}

/// Reads a field that is there, so that null is told from absence.
pub(crate) fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use tollgate_domain::Role;

    use super::*;
    use crate::key_inputs::NewApiKey;
    use crate::valid::Valid;

    fn problems<T: serde::de::DeserializeOwned + Validate<Context = ()>>(
        body: &str,
    ) -> Vec<(String, &'static str)> {
        match Valid::<T>::from_json(body.as_bytes()) {
            Ok(_) => Vec::new(),
            Err(error) => error
                .problems
                .into_iter()
                .map(|p| (p.field, p.code))
                .collect(),
        }
    }

    fn check(body: &str, expected: &[(&str, &str)]) {
        let found = problems::<NewApiKey>(body);
        let found: Vec<_> = found
            .iter()
            .map(|(field, code)| (&**field, *code))
            .collect();
        assert_eq!(found, expected, "{body}");
    }

    #[test]
    fn an_array_is_no_object() {
        for body in [
            "[]",
            "[null]",
            r#"["ci"]"#,
            r#"[null,null,null,null,null,null]"#,
        ] {
            check(body, &[("", "invalid_type")]);
            let found = problems::<OrganizationChange>(body);
            assert_eq!(found, [(String::new(), "invalid_type")], "{body}");
        }
    }

    #[test]
    fn a_key_needs_a_name_and_may_have_all_else() {
        let least = Valid::<NewApiKey>::from_json(br#"{"name":"ci"}"#)
            .unwrap()
            .into_inner();
        assert_eq!(
            (least.name.as_str(), least.role, least.max_budget),
            ("ci", None, None)
        );
        let most = br#"{"name":"ci","role":"viewer","models":["gpt-4o","claude-*"],"rpm_limit":1,
            "tpm_limit":4000000000,"max_parallel_requests":5,"max_budget":"0.5","budget_duration":"30d",
            "expires_at":"2027-01-01T00:00:00Z"}"#;
        let most = Valid::<NewApiKey>::from_json(most).unwrap();
        assert_eq!(most.role, Some(Role::Viewer.into()));
        assert_eq!(most.max_budget.map(Money::nano), Some(500_000_000));
        assert_eq!(
            most.budget_duration.map(BudgetDuration::seconds),
            Some(30 * 86_400)
        );
        assert_eq!(most.models.len(), 2);
    }

    #[test]
    fn every_problem_of_a_key_is_named() {
        let value = "invalid_value";
        check(
            r#"{"name":"","models":["ok","no way"],"rpm_limit":0,"tpm_limit":4000000001,
                "max_parallel_requests":0,"max_budget":"-1"}"#,
            &[
                ("max_budget", value),
                ("max_parallel_requests", value),
                ("models[1]", value),
                ("name", value),
                ("rpm_limit", value),
                ("tpm_limit", value),
            ],
        );
        check(
            r#"{"name":"a","budget_duration":"30d"}"#,
            &[("budget_duration", value)],
        );
        let many = vec!["\"m\""; 257].join(",");
        check(
            &format!(r#"{{"name":"a","models":[{many}]}}"#),
            &[("models", value)],
        );
    }

    #[test]
    fn what_is_not_a_key_at_all_is_named_too() {
        check("", &[("", "invalid_json")]);
        check("{", &[("", "invalid_json")]);
        check(r#"{"name":"a"} x"#, &[("", "invalid_json")]);
        check("[]", &[("", "invalid_type")]);
        check("{}", &[("name", "missing_field")]);
        check(r#"{"name":"a","nmae":"b"}"#, &[("nmae", "unknown_field")]);
        check(r#"{"name":"a","name":"b"}"#, &[("name", "duplicate_field")]);
        check(
            r#"{"name":"a","n\u0061me":"b"}"#,
            &[("name", "duplicate_field")],
        );
        check(r#"{"name":5}"#, &[("name", "invalid_type")]);
        check(
            r#"{"name":"a","models":["b",5]}"#,
            &[("models[1]", "invalid_type")],
        );
        check(r#"{"name":"a","role":"god"}"#, &[("role", "invalid_type")]);
        check(
            r#"{"name":"a","rpm_limit":-1}"#,
            &[("rpm_limit", "invalid_type")],
        );
        check(
            r#"{"name":"a","rpm_limit":1.5}"#,
            &[("rpm_limit", "invalid_type")],
        );
        check(
            r#"{"name":"a","rpm_limit":4294967296}"#,
            &[("rpm_limit", "invalid_type")],
        );
        check(
            r#"{"name":"a","max_budget":0.1}"#,
            &[("max_budget", "invalid_type")],
        );
        check(
            r#"{"name":"a","budget_duration":"1y"}"#,
            &[("budget_duration", "invalid_type")],
        );
        check(
            r#"{"name":"a","expires_at":"soon"}"#,
            &[("expires_at", "invalid_type")],
        );
    }

    #[test]
    fn syntax_errors_say_where_and_messages_are_bounded() {
        let error = Valid::<NewApiKey>::from_json(b"{\n\"name\": }").unwrap_err();
        assert!(error.to_string().contains("line 2 column 9"), "{error}");
        let long = format!(r#"{{"name":"a","rpm_limit":"{}"}}"#, "x".repeat(100_000));
        let error = Valid::<NewApiKey>::from_json(long.as_bytes()).unwrap_err();
        assert!(error.to_string().len() < 400);
        let many = vec!["\"?\""; 200].join(",");
        let many = format!(r#"{{"name":"a","models":[{many}]}}"#);
        let error = Valid::<NewApiKey>::from_json(many.as_bytes()).unwrap_err();
        assert_eq!(error.problems.len(), 32);
        let deep = format!(r#"{{"name":{}"#, "[".repeat(100_000));
        assert!(Valid::<NewApiKey>::from_json(deep.as_bytes()).is_err());
    }

    #[test]
    fn a_change_tells_null_from_absence() {
        let read = |body: &str| {
            Valid::<OrganizationChange>::from_json(body.as_bytes())
                .unwrap()
                .into_inner()
        };
        assert_eq!(read("{}"), OrganizationChange::default());
        let change = read(r#"{"rpm_limit":null,"tpm_limit":5,"max_budget":"1","name":"Acme"}"#);
        assert_eq!(
            (change.rpm_limit, change.tpm_limit),
            (Some(None), Some(Some(5)))
        );
        assert_eq!(
            change.max_budget,
            Some(Some(Money::from_nano(1_000_000_000)))
        );
        assert_eq!(
            (change.name.as_deref(), change.budget_duration),
            (Some("Acme"), None)
        );
    }

    #[test]
    fn a_change_obeys_the_rules_of_what_it_changes() {
        for (body, field) in [
            (r#"{"name":" "}"#, "name"),
            (r#"{"rpm_limit":0}"#, "rpm_limit"),
            (r#"{"tpm_limit":0}"#, "tpm_limit"),
            (
                r#"{"max_parallel_requests":10000001}"#,
                "max_parallel_requests",
            ),
            (r#"{"max_budget":"-0.5"}"#, "max_budget"),
        ] {
            let found = problems::<OrganizationChange>(body);
            assert_eq!(found, [(field.to_owned(), "invalid_value")], "{body}");
        }
        let unknown = problems::<OrganizationChange>(r#"{"blocked":true}"#);
        assert_eq!(unknown, [("blocked".to_owned(), "unknown_field")]);
    }
}
