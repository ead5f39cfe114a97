//! API keys and the limits that keys and organizations carry.

use serde::{Deserialize, Serialize};

use crate::budget::BudgetPolicy;
use crate::ids::{KeyId, OrgId};
use crate::permission::Role;
use crate::time::Timestamp;

/// The length of a stored key digest: HMAC-SHA-256.
pub const MAC_BYTES: usize = 32;

/// How much of what in which time. `None` is "no limit of its own".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Requests per minute.
    pub rpm_limit: Option<u32>,
    /// Tokens per minute, prompt and answer together.
    pub tpm_limit: Option<u32>,
    /// Requests under way at once.
    pub max_parallel_requests: Option<u32>,
}

/// A caller's credential, as stored: never its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Which key.
    pub id: KeyId,
    /// Whose key.
    pub org_id: OrgId,
    /// The part of the key that may be shown and logged, by which it is found.
    pub public_id: String,
    /// HMAC-SHA-256 of the whole key under the installation's pepper.
    pub mac: [u8; MAC_BYTES],
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The models it may call; empty allows all. A trailing `*` matches any ending.
    pub models: Vec<String>,
    /// Its own limits.
    pub limits: Limits,
    /// Its own budget.
    pub budget: Option<BudgetPolicy>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
    /// Since when it is refused.
    pub revoked_at: Option<Timestamp>,
}

impl ApiKey {
    /// Returns whether the key is neither revoked nor expired at `now`.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }

    /// Returns whether the key may call this model.
    #[must_use]
    pub fn may_use(&self, model: &str) -> bool {
        self.models.is_empty()
            || self
                .models
                .iter()
                .any(|allowed| match allowed.strip_suffix('*') {
                    Some(prefix) => model.starts_with(prefix),
                    None => allowed == model,
                })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(models: &[&str]) -> ApiKey {
        ApiKey {
            id: KeyId::from_bytes([1; 16]),
            org_id: OrgId::from_bytes([2; 16]),
            public_id: "abcdefgh".into(),
            mac: [0; MAC_BYTES],
            name: "test".into(),
            role: Role::Member,
            models: models.iter().map(ToString::to_string).collect(),
            limits: Limits::default(),
            budget: None,
            created_at: Timestamp::from_micros(0),
            expires_at: Some(Timestamp::from_micros(10)),
            revoked_at: None,
        }
    }

    #[test]
    fn an_allow_list_matches_whole_names_and_prefixes() {
        assert!(key(&[]).may_use("anything"));
        assert!(key(&["gpt-4o"]).may_use("gpt-4o"));
        assert!(!key(&["gpt-4o"]).may_use("gpt-4o-mini"));
        assert!(key(&["gpt-*"]).may_use("gpt-4o-mini"));
        assert!(!key(&["gpt-*"]).may_use("claude"));
    }

    #[test]
    fn a_key_dies_when_it_expires_or_is_revoked() {
        assert!(key(&[]).is_live(Timestamp::from_micros(9)));
        assert!(!key(&[]).is_live(Timestamp::from_micros(10)));
        let revoked = ApiKey {
            revoked_at: Some(Timestamp::from_micros(1)),
            ..key(&[])
        };
        assert!(!revoked.is_live(Timestamp::from_micros(5)));
    }
}
