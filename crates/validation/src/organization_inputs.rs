//! What callers send to change who is in an organization, and what it consists of.

use garde::Validate;
use serde::Deserialize;
use tollgate_domain::{BudgetDuration, Money, PermissionSet, Role, RoleRef, TeamId, TeamRole};

use crate::inputs::{LIMIT_MAX, MODELS_MAX, OrganizationChange, TOKENS_MAX, given, needs_budget};
use crate::rules;

/// The longest and the usual time that an invitation can be accepted, in seconds: 30 days and a week.
pub const INVITATION_SECONDS_MAX: u32 = 30 * 86_400;
const INVITATION_SECONDS: u32 = 7 * 86_400;

/// The shortest time that an invitation can be accepted, in seconds.
const INVITATION_SECONDS_MIN: u32 = 60;

/// A team to be made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct NewTeam {
    /// What people call it.
    #[garde(custom(rules::display_name))]
    pub name: String,
    /// The models that its keys may call; empty allows all. A trailing `*` matches any ending.
    #[serde(default)]
    #[garde(length(max = MODELS_MAX), inner(custom(rules::model_pattern)))]
    pub models: Vec<String>,
    /// Requests per minute, over all of its keys.
    #[garde(range(min = 1, max = LIMIT_MAX))]
    pub rpm_limit: Option<u32>,
    /// Tokens per minute, over all of its keys.
    #[garde(range(min = 1, max = TOKENS_MAX))]
    pub tpm_limit: Option<u32>,
    /// Requests at once, over all of its keys.
    #[garde(range(min = 1, max = LIMIT_MAX))]
    pub max_parallel_requests: Option<u32>,
    /// US dollars per window, over all of its keys.
    #[garde(inner(custom(rules::budget)))]
    pub max_budget: Option<Money>,
    /// The window's length; absent counts from the beginning of time.
    #[garde(custom(needs_budget(&self.max_budget)))]
    pub budget_duration: Option<BudgetDuration>,
}

/// What is to change of a team: a value sets a field, `null` removes it where it may be missing,
/// absence leaves it as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct TeamChange {
    /// What people call it.
    #[garde(inner(custom(rules::display_name)))]
    pub name: Option<String>,
    /// The models that its keys may call; empty allows all.
    #[garde(inner(length(max = MODELS_MAX), inner(custom(rules::model_pattern))))]
    pub models: Option<Vec<String>>,
    /// Requests per minute, over all of its keys.
    #[serde(deserialize_with = "given")]
    #[garde(inner(range(min = 1, max = LIMIT_MAX)))]
    pub rpm_limit: Option<Option<u32>>,
    /// Tokens per minute, over all of its keys.
    #[serde(deserialize_with = "given")]
    #[garde(inner(range(min = 1, max = TOKENS_MAX)))]
    pub tpm_limit: Option<Option<u32>>,
    /// Requests at once, over all of its keys.
    #[serde(deserialize_with = "given")]
    #[garde(inner(range(min = 1, max = LIMIT_MAX)))]
    pub max_parallel_requests: Option<Option<u32>>,
    /// US dollars per window, over all of its keys.
    #[serde(deserialize_with = "given")]
    #[garde(inner(inner(custom(rules::budget))))]
    pub max_budget: Option<Option<Money>>,
    /// The window's length.
    #[serde(deserialize_with = "given")]
    #[garde(skip)]
    pub budget_duration: Option<Option<BudgetDuration>>,
    /// Whether all of its keys are refused.
    #[garde(skip)]
    pub blocked: Option<bool>,
}

/// What somebody is to be in a team.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct TeamPlace {
    /// `team_admin`, `member` or `viewer`.
    #[garde(custom(is_of_team))]
    pub role: Role,
}

/// A role to be made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct NewRole {
    /// What people call it.
    #[garde(custom(rules::display_name))]
    pub name: String,
    /// What it allows.
    #[garde(skip)]
    pub permissions: PermissionSet,
}

/// What is to change of a role; absence leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct RoleChange {
    /// What people call it.
    #[garde(inner(custom(rules::display_name)))]
    pub name: Option<String>,
    /// What it allows.
    #[garde(skip)]
    pub permissions: Option<PermissionSet>,
}

/// What a member is to be in the organization.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct MemberChange {
    /// The role.
    #[garde(skip)]
    pub role: RoleRef,
}

/// A service account to be made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct NewServiceAccount {
    /// What people call it.
    #[garde(custom(rules::display_name))]
    pub name: String,
    /// What it is in the organization; absent is `service`.
    #[garde(skip)]
    pub role: Option<RoleRef>,
}

/// An invitation to be made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct NewInvitation {
    /// Who is invited.
    #[garde(custom(rules::email))]
    pub email: String,
    /// What they will be in the organization; absent is `member`.
    #[garde(skip)]
    pub role: Option<RoleRef>,
    /// The team that they will be in.
    #[garde(skip)]
    pub team_id: Option<TeamId>,
    /// How long it can be accepted, in seconds; a week unless given.
    #[serde(default = "invitation_seconds")]
    #[garde(range(min = INVITATION_SECONDS_MIN, max = INVITATION_SECONDS_MAX))]
    pub expires_in_seconds: u32,
}

/// An organization to be made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct NewOrganization {
    /// Its name.
    #[garde(custom(rules::display_name))]
    pub name: String,
    /// Requests per minute, over all keys.
    #[garde(range(min = 1, max = LIMIT_MAX))]
    pub rpm_limit: Option<u32>,
    /// Tokens per minute, over all keys.
    #[garde(range(min = 1, max = TOKENS_MAX))]
    pub tpm_limit: Option<u32>,
    /// Requests at once, over all keys.
    #[garde(range(min = 1, max = LIMIT_MAX))]
    pub max_parallel_requests: Option<u32>,
    /// US dollars per window, over all keys.
    #[garde(inner(custom(rules::budget)))]
    pub max_budget: Option<Money>,
    /// The window's length; absent counts from the beginning of time.
    #[garde(custom(needs_budget(&self.max_budget)))]
    pub budget_duration: Option<BudgetDuration>,
    /// Who is invited to be its first owner.
    #[garde(inner(custom(rules::email)))]
    pub owner_email: Option<String>,
}

/// What is to change of any organization, for whoever runs the installation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct TenantChange {
    /// Its name.
    #[garde(inner(custom(rules::display_name)))]
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
    /// Whether all of its requests are refused.
    #[garde(skip)]
    pub blocked: Option<bool>,
}

impl From<OrganizationChange> for TenantChange {
    fn from(change: OrganizationChange) -> Self {
        Self {
            name: change.name,
            rpm_limit: change.rpm_limit,
            tpm_limit: change.tpm_limit,
            max_parallel_requests: change.max_parallel_requests,
            max_budget: change.max_budget,
            budget_duration: change.budget_duration,
            blocked: None,
        }
    }
}

const fn invitation_seconds() -> u32 {
    INVITATION_SECONDS
}

fn is_of_team(role: &Role, _context: &()) -> garde::Result {
    if TeamRole::from_role(*role).is_none() {
        return Err(garde::Error::new("must be team_admin, member or viewer"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::valid::Valid;

    fn check<T>(body: &str, expected: &[(&str, &str)])
    where
        T: serde::de::DeserializeOwned + Validate<Context = ()>,
    {
        let problems = match Valid::<T>::from_json(body.as_bytes()) {
            Ok(_) => Vec::new(),
            Err(error) => error.problems,
        };
        let found: Vec<_> = problems
            .iter()
            .map(|one| (one.field.as_str(), one.code))
            .collect();
        assert_eq!(found, expected, "{body}");
    }

    #[test]
    fn teams_have_names_and_bounds_that_can_be() {
        check::<NewTeam>(r#"{"name":"search","models":["gpt-*"],"rpm_limit":5}"#, &[]);
        check::<NewTeam>(
            r#"{"name":"","rpm_limit":0,"models":["a b"]}"#,
            &[
                ("models[0]", "invalid_value"),
                ("name", "invalid_value"),
                ("rpm_limit", "invalid_value"),
            ],
        );
        check::<NewTeam>(
            r#"{"name":"a","budget_duration":"1d"}"#,
            &[("budget_duration", "invalid_value")],
        );
        check::<NewTeam>(
            r#"{"name":"a","org_id":"x"}"#,
            &[("org_id", "unknown_field")],
        );
        check::<TeamChange>(r#"{"rpm_limit":null,"blocked":true}"#, &[]);
        check::<TeamChange>(r#"{"version":2}"#, &[("version", "unknown_field")]);
        check::<TeamPlace>(r#"{"role":"team_admin"}"#, &[]);
        check::<TeamPlace>(r#"{"role":"org_owner"}"#, &[("role", "invalid_value")]);
        check::<TeamPlace>(r#"{"role":"king"}"#, &[("role", "invalid_type")]);
    }

    #[test]
    fn roles_and_people_are_named_by_what_there_is() {
        check::<NewRole>(r#"{"name":"a","permissions":["keys.read"]}"#, &[]);
        check::<NewRole>(
            r#"{"name":"a","permissions":["keys.eat"]}"#,
            &[("permissions", "invalid_type")],
        );
        check::<RoleChange>("{}", &[]);
        check::<MemberChange>(r#"{"role":"viewer"}"#, &[]);
        check::<MemberChange>("{}", &[("role", "missing_field")]);
        check::<NewServiceAccount>(r#"{"name":"ci"}"#, &[]);
    }

    #[test]
    fn an_invitation_is_open_for_a_week_and_never_for_more_than_a_month() {
        let read = Valid::<NewInvitation>::from_json(br#"{"email":"ann@example.com"}"#).unwrap();
        assert_eq!(read.expires_in_seconds, 604_800);
        for (seconds, is_fine) in [
            (59, false),
            (60, true),
            (2_592_000, true),
            (2_592_001, false),
        ] {
            let body = format!(r#"{{"email":"ann@example.com","expires_in_seconds":{seconds}}}"#);
            let read = Valid::<NewInvitation>::from_json(body.as_bytes());
            assert_eq!(read.is_ok(), is_fine, "{seconds}");
        }
        check::<NewInvitation>(r#"{"email":"ann"}"#, &[("email", "invalid_value")]);
    }

    #[test]
    fn only_who_runs_the_installation_blocks_an_organization() {
        check::<TenantChange>(r#"{"blocked":true}"#, &[]);
        check::<OrganizationChange>(r#"{"blocked":true}"#, &[("blocked", "unknown_field")]);
        check::<NewOrganization>(r#"{"name":"acme","max_budget":"5"}"#, &[]);
        check::<NewOrganization>(r#"{"name":"acme","id":"x"}"#, &[("id", "unknown_field")]);
    }
}
