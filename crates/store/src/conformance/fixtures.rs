//! Organizations, keys and events to test with, told apart by a number.

use tollgate_domain::{
    ApiKey, AttemptId, BudgetPolicy, BudgetScope, Charge, KeyId, Limits, MAC_BYTES, Money, OrgId,
    Organization, Provenance, RequestId, Role, Surface, TerminalState, Timestamp, Usage,
    UsageEvent,
};

/// 2026-11-23T08:00:00Z.
pub const NOW: Timestamp = Timestamp::from_micros(1_795_420_800_000_000);

/// Returns 16 bytes that sort by the number.
#[must_use]
pub fn id_bytes(n: u64) -> [u8; 16] {
    u128::from(n).to_be_bytes()
}

/// Returns an organization's id.
#[must_use]
pub fn org_id(n: u64) -> OrgId {
    OrgId::from_bytes(id_bytes(n))
}

/// Returns a key's id.
#[must_use]
pub fn key_id(n: u64) -> KeyId {
    KeyId::from_bytes(id_bytes(n))
}

/// Returns an organization without limits.
#[must_use]
pub fn organization(n: u64) -> Organization {
    Organization {
        id: org_id(n),
        name: format!("organization {n}"),
        limits: Limits::default(),
        budget: None,
        blocked: false,
        created_at: NOW,
    }
}

/// Returns an organization whose every field says something.
#[must_use]
pub fn full_organization(n: u64) -> Organization {
    Organization {
        name: format!("Größe “{n}” 组织"),
        limits: Limits {
            rpm_limit: Some(u32::MAX),
            tpm_limit: Some(0),
            max_parallel_requests: Some(7),
        },
        budget: Some(BudgetPolicy {
            max_budget: Money::MAX,
            duration: "30d".parse().ok(),
        }),
        blocked: true,
        ..organization(n)
    }
}

/// Returns an organization's key without limits.
#[must_use]
pub fn key(n: u64, org: u64) -> ApiKey {
    ApiKey {
        id: key_id(n),
        org_id: org_id(org),
        public_id: format!("public{n}"),
        mac: [7; MAC_BYTES],
        name: format!("key {n}"),
        role: Role::Member,
        models: Vec::new(),
        limits: Limits::default(),
        budget: None,
        created_at: NOW,
        expires_at: None,
        revoked_at: None,
    }
}

/// Returns an organization's key whose every field says something.
#[must_use]
pub fn full_key(n: u64, org: u64) -> ApiKey {
    ApiKey {
        mac: std::array::from_fn(|i| u8::try_from(i * 8).unwrap_or_default()),
        role: Role::OrgOwner,
        models: vec!["gpt-4o*".to_owned(), "\"quoted\", 模型".to_owned()],
        limits: Limits {
            rpm_limit: Some(1),
            tpm_limit: Some(u32::MAX),
            max_parallel_requests: Some(3),
        },
        budget: Some(BudgetPolicy {
            max_budget: Money::from_nano(1),
            duration: None,
        }),
        created_at: Timestamp::from_micros(i64::MIN),
        expires_at: Some(Timestamp::from_micros(i64::MAX)),
        revoked_at: Some(Timestamp::from_micros(-1)),
        ..key(n, org)
    }
}

/// Returns an event of organization 1, key 1, model `m`, that is charged to no budget.
#[must_use]
pub fn event(n: u64) -> UsageEvent {
    UsageEvent {
        attempt_id: AttemptId::from_bytes(id_bytes(n)),
        request_id: RequestId::from_bytes(id_bytes(n)),
        attempt: 1,
        is_final: true,
        org_id: org_id(1),
        key_id: key_id(1),
        surface: Surface::ChatCompletions,
        model: "m".into(),
        provider: "openai".into(),
        upstream_model: "gpt-4o-mini".into(),
        started_at: NOW,
        latency_us: 1_500,
        first_token_us: None,
        usage: Usage {
            input: 10,
            output: 5,
            ..Usage::default()
        },
        provenance: Provenance::Provider,
        cost: Money::from_nano(100),
        price_version: "2026-11-01".into(),
        state: TerminalState::Ok,
        upstream_status: Some(200),
        org_charge: None,
        key_charge: None,
    }
}

/// Returns an event that is charged to the budgets of its organization and key, in windows that
/// start then.
#[must_use]
pub fn charged(event: UsageEvent, org_window: Timestamp, key_window: Timestamp) -> UsageEvent {
    UsageEvent {
        org_charge: Some(Charge {
            scope: BudgetScope::Org(event.org_id),
            window_start: org_window,
        }),
        key_charge: Some(Charge {
            scope: BudgetScope::Key(event.key_id),
            window_start: key_window,
        }),
        ..event
    }
}
