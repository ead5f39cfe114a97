//! API keys and the limits that keys and organizations carry.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::audit::Actor;
use crate::budget::BudgetPolicy;
use crate::ids::{KeyId, OrgId, TeamId, UserId};
use crate::ip_range::IpRange;
use crate::permission::PermissionSet;
use crate::role::RoleRef;
use crate::time::Timestamp;

/// The length of a stored digest of a key or token: HMAC-SHA-256.
pub const MAC_BYTES: usize = 32;

/// The longest text of a key's metadata, in bytes.
pub const METADATA_BYTES_MAX: usize = 4_096;

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
    /// The team that it works for: then its role holds in that team alone.
    pub team_id: Option<TeamId>,
    /// The user whose rights bound its own, at every use.
    pub owner: Option<UserId>,
    /// Who made it.
    pub created_by: Actor,
    /// The part of the key that may be shown and logged, by which it is found.
    pub public_id: String,
    /// HMAC-SHA-256 of the whole key under the installation's pepper.
    pub mac: [u8; MAC_BYTES],
    /// The digest before the last rotation, and until when it still works.
    pub previous: Option<PreviousMac>,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub role: RoleRef,
    /// What it may do at the most, when that is less than its role allows.
    pub scopes: Option<PermissionSet>,
    /// The models it may call; empty allows all. A trailing `*` matches any ending.
    pub models: Vec<String>,
    /// From where it may be used; empty allows all.
    pub allowed_ips: Vec<IpRange>,
    /// Its own limits.
    pub limits: Limits,
    /// Its own budget.
    pub budget: Option<BudgetPolicy>,
    /// A JSON object that its makers keep with it, up to [`METADATA_BYTES_MAX`].
    pub metadata: String,
    /// By what its usage is told apart.
    pub tags: Vec<String>,
    /// Whether it is refused for the time being.
    pub blocked: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
    /// Since when it is refused.
    pub revoked_at: Option<Timestamp>,
    /// Grows with every change, from 1.
    pub version: u64,
}

/// Whether a key works, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// It works.
    Active,
    /// It is refused until somebody lifts that.
    Blocked,
    /// Its time is up.
    Expired,
    /// It is refused for good.
    Revoked,
}

impl KeyState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Active, Self::Blocked, Self::Expired, Self::Revoked];

    /// Returns the name used in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Blocked => "blocked",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// A digest that was replaced and works on for a while, so that nobody is cut off by a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreviousMac {
    /// The digest.
    pub mac: [u8; MAC_BYTES],
    /// From when on it is refused.
    pub until: Timestamp,
}

impl ApiKey {
    /// Returns whether the key works at `now`, and if not, the reason that lasts longest.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> KeyState {
        if self.revoked_at.is_some() {
            KeyState::Revoked
        } else if self.expires_at.is_some_and(|end| end <= now) {
            KeyState::Expired
        } else if self.blocked {
            KeyState::Blocked
        } else {
            KeyState::Active
        }
    }

    /// Returns whether the key is neither blocked nor revoked nor expired at `now`.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        !self.blocked && self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }

    /// Returns whether the key may call this model.
    #[must_use]
    pub fn may_use(&self, model: &str) -> bool {
        is_model_allowed(&self.models, model)
    }

    /// Returns whether the key may be used from this address. One that is not known is allowed only
    /// when every one is.
    #[must_use]
    pub fn may_come_from(&self, address: Option<IpAddr>) -> bool {
        let is_allowed = |address| self.allowed_ips.iter().any(|range| range.contains(address));
        self.allowed_ips.is_empty() || address.is_some_and(is_allowed)
    }

    /// Returns the digest before the last rotation while it works.
    #[must_use]
    pub fn previous_mac(&self, now: Timestamp) -> Option<&[u8; MAC_BYTES]> {
        let previous = self.previous.as_ref();
        previous.filter(|one| now < one.until).map(|one| &one.mac)
    }
}

/// Returns whether a list of names and prefixes (`gpt-*`) allows a model; an empty one allows all.
#[must_use]
pub fn is_model_allowed(models: &[String], model: &str) -> bool {
    models.is_empty()
        || models
            .iter()
            .any(|allowed| match allowed.strip_suffix('*') {
                Some(prefix) => model.starts_with(prefix),
                None => allowed == model,
            })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::role::Role;

    fn key(models: &[&str]) -> ApiKey {
        ApiKey {
            id: KeyId::from_bytes([1; 16]),
            org_id: OrgId::from_bytes([2; 16]),
            team_id: None,
            owner: None,
            created_by: Actor::System,
            public_id: "abcdefgh".into(),
            mac: [0; MAC_BYTES],
            previous: Some(PreviousMac {
                mac: [1; MAC_BYTES],
                until: Timestamp::from_micros(5),
            }),
            name: "test".into(),
            role: Role::Member.into(),
            scopes: None,
            models: models.iter().map(ToString::to_string).collect(),
            allowed_ips: Vec::new(),
            limits: Limits::default(),
            budget: None,
            metadata: "{}".into(),
            tags: Vec::new(),
            blocked: false,
            created_at: Timestamp::from_micros(0),
            expires_at: Some(Timestamp::from_micros(10)),
            revoked_at: None,
            version: 1,
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
    fn a_key_dies_when_it_expires_or_is_revoked_or_blocked() {
        assert!(key(&[]).is_live(Timestamp::from_micros(9)));
        assert!(!key(&[]).is_live(Timestamp::from_micros(10)));
        let revoked = ApiKey {
            revoked_at: Some(Timestamp::from_micros(1)),
            ..key(&[])
        };
        assert!(!revoked.is_live(Timestamp::from_micros(5)));
        let blocked = ApiKey {
            blocked: true,
            ..key(&[])
        };
        assert!(!blocked.is_live(Timestamp::from_micros(5)));
    }

    #[test]
    fn the_state_of_a_key_is_the_reason_that_lasts_longest() {
        let mut key = key(&[]);
        let at = Timestamp::from_micros;
        assert_eq!(key.state(at(9)), KeyState::Active);
        key.blocked = true;
        assert_eq!(key.state(at(9)), KeyState::Blocked);
        assert_eq!(key.state(at(10)), KeyState::Expired);
        key.revoked_at = Some(at(1));
        assert_eq!(key.state(at(10)), KeyState::Revoked);
    }

    #[test]
    fn the_digest_before_a_rotation_works_until_its_time_is_up() {
        let key = key(&[]);
        let before = key.previous_mac(Timestamp::from_micros(4));
        assert_eq!(before, Some(&[1; MAC_BYTES]));
        assert_eq!(key.previous_mac(Timestamp::from_micros(5)), None);
    }

    #[test]
    fn an_address_that_is_not_known_is_in_no_list() {
        let mut key = key(&[]);
        assert!(key.may_come_from(None));
        key.allowed_ips = vec!["10.0.0.0/8".parse().unwrap()];
        assert!(key.may_come_from("10.1.1.1".parse().ok()));
        assert!(!key.may_come_from("11.1.1.1".parse().ok()));
        assert!(!key.may_come_from(None));
    }
}
