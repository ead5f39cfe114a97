//! What a person of an external issuer may do, by the claims of the token.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tollgate_domain::{ErrorKind, OrgId, Role, TeamId};

use crate::external::ExternalIdentity;

/// The most mappings of an issuer.
pub const CLAIM_MAPPINGS_MAX: usize = 256;

/// The most bytes of a claim's name and of its value.
const NAME_BYTES_MAX: usize = 256;
const VALUE_BYTES_MAX: usize = 1_024;

/// What a value of a claim gives: a place in an organization, and perhaps in one of its teams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimMapping {
    /// The claim: its name, or its path, as `/realm_access/roles`.
    pub claim: String,
    /// The value, compared exactly: the claim is this text, or a list that has it.
    pub value: String,
    /// The organization.
    pub org_id: OrgId,
    /// The team, for a place in a team alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_id: Option<TeamId>,
    /// The role there.
    pub role: Role,
}

/// A place that claims have given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MappedRole {
    /// The organization.
    pub org_id: OrgId,
    /// The team, for a place in a team alone.
    pub team_id: Option<TeamId>,
    /// The role there.
    pub role: Role,
}

/// Why mappings cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClaimMappingError {
    /// More than 256.
    #[error("more than {CLAIM_MAPPINGS_MAX} mappings of claims")]
    TooMany,
    /// The name of a claim or its value is empty or too long.
    #[error("a mapping needs the name of a claim and a value, neither of them empty or too long")]
    Malformed,
}

/// No claim of the person gives a place anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this account has no access here")]
pub struct NotMapped;

impl NotMapped {
    /// Returns what the caller can do about it.
    #[must_use]
    pub const fn kind(self) -> ErrorKind {
        ErrorKind::Forbidden
    }
}

/// The mappings of an issuer. What they do not give is denied; there is no default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClaimMappings(Vec<ClaimMapping>);

impl ClaimMappings {
    /// Takes mappings.
    ///
    /// # Errors
    /// When there are too many, or one of them could never or always apply.
    pub fn new(mappings: Vec<ClaimMapping>) -> Result<Self, ClaimMappingError> {
        if mappings.len() > CLAIM_MAPPINGS_MAX {
            return Err(ClaimMappingError::TooMany);
        }
        let is_usable = |mapping: &ClaimMapping| {
            (1..=NAME_BYTES_MAX).contains(&mapping.claim.len())
                && (1..=VALUE_BYTES_MAX).contains(&mapping.value.len())
        };
        if !mappings.iter().all(is_usable) {
            return Err(ClaimMappingError::Malformed);
        }
        Ok(Self(mappings))
    }

    /// Returns the places that a person's claims give, each once.
    ///
    /// # Errors
    /// When they give none.
    pub fn apply(&self, identity: &ExternalIdentity) -> Result<Vec<MappedRole>, NotMapped> {
        let mut places = Vec::new();
        for mapping in &self.0 {
            let place = MappedRole {
                org_id: mapping.org_id,
                team_id: mapping.team_id,
                role: mapping.role,
            };
            let claim = identity.claim(&mapping.claim);
            if claim.is_some_and(|claim| has_value(claim, &mapping.value))
                && !places.contains(&place)
            {
                places.push(place);
            }
        }
        if places.is_empty() {
            return Err(NotMapped);
        }
        Ok(places)
    }
}

fn has_value(claim: &Value, value: &str) -> bool {
    match claim {
        Value::String(text) => text == value,
        Value::Array(list) => list.iter().any(|item| item.as_str() == Some(value)),
        _ => false,
    }
}
