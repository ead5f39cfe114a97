//! What callers are shown of a key.

use serde::Serialize;
use serde_json::{Map, Value};
use tollgate_domain::{
    Actor, ApiKey, BudgetDuration, IpRange, KeyId, KeyState, Money, PermissionSet, RoleRef, TeamId,
    Timestamp, UserId,
};

/// An API key, without its secret.
#[derive(Debug, Clone, Serialize)]
pub struct KeyView {
    /// Which key.
    pub id: KeyId,
    /// The part that may be shown and logged.
    pub public_id: String,
    /// What people call it.
    pub name: String,
    /// Whether it works, and if not, why.
    pub state: KeyState,
    /// What it may do.
    pub role: RoleRef,
    /// What it may do at the most; null is all that its role allows.
    pub scopes: Option<PermissionSet>,
    /// The team that it works for; null is all of the organization.
    pub team_id: Option<TeamId>,
    /// Whose rights bound it.
    pub owner_id: Option<UserId>,
    /// Who made it: a key, a user or `system`.
    #[serde(serialize_with = "crate::audit::shown")]
    pub created_by: Actor,
    /// The models it may call; empty is all.
    pub models: Vec<String>,
    /// From where it may be used; empty is everywhere.
    pub allowed_ips: Vec<IpRange>,
    /// Requests per minute.
    pub rpm_limit: Option<u32>,
    /// Tokens per minute.
    pub tpm_limit: Option<u32>,
    /// Requests at once.
    pub max_parallel_requests: Option<u32>,
    /// US dollars per window.
    pub max_budget: Option<Money>,
    /// The window's length.
    pub budget_duration: Option<BudgetDuration>,
    /// What its makers keep with it.
    pub metadata: Map<String, Value>,
    /// By what its usage is told apart.
    pub tags: Vec<String>,
    /// Whether it is refused for the time being.
    pub blocked: bool,
    /// Until when the secret before the last rotation works; null when there is none that does.
    pub previous_until: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
    /// Since when it is refused.
    pub revoked_at: Option<Timestamp>,
    /// Grows with every change, from 1.
    pub version: u64,
}

impl KeyView {
    pub(crate) fn new(key: ApiKey, now: Timestamp) -> Self {
        let previous = key.previous.filter(|previous| now < previous.until);
        Self {
            state: key.state(now),
            previous_until: previous.map(|previous| previous.until),
            id: key.id,
            public_id: key.public_id,
            name: key.name,
            role: key.role,
            scopes: key.scopes,
            team_id: key.team_id,
            owner_id: key.owner,
            created_by: key.created_by,
            models: key.models,
            allowed_ips: key.allowed_ips,
            rpm_limit: key.limits.rpm_limit,
            tpm_limit: key.limits.tpm_limit,
            max_parallel_requests: key.limits.max_parallel_requests,
            max_budget: key.budget.map(|budget| budget.max_budget),
            budget_duration: key.budget.and_then(|budget| budget.duration),
            // Only objects are kept.
            metadata: serde_json::from_str(&key.metadata).unwrap_or_default(),
            tags: key.tags,
            blocked: key.blocked,
            created_at: key.created_at,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            version: key.version,
        }
    }
}

impl crate::control::Versioned for KeyView {
    fn version(&self) -> u64 {
        self.version
    }
}

/// A key that was just made, or has a new secret: the only time its text is shown.
#[derive(Serialize)]
pub struct CreatedKey {
    /// The whole key.
    pub key: String,
    /// What is kept of it.
    #[serde(flatten)]
    pub view: KeyView,
}

impl std::fmt::Debug for CreatedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedKey")
            .field("view", &self.view)
            .finish_non_exhaustive()
    }
}
