//! Usage: an organization's own, by group, by pages.

use tollgate_domain::{
    AttemptId, KeyId, Money, OrgId, Provenance, RequestId, Surface, TerminalState, Usage,
    UsageEvent, UsageGroup,
};
use tollgate_store::UsageStore;
use tollgate_validation::UsageRequest;

use crate::desk::{ACME, Desk, NOW, OTHER, granted};

fn event(number: u8, org_id: OrgId, model: &str) -> UsageEvent {
    UsageEvent {
        attempt_id: AttemptId::from_bytes([number; 16]),
        request_id: RequestId::from_bytes([number; 16]),
        attempt: 1,
        is_final: true,
        org_id,
        key_id: KeyId::from_bytes([1; 16]),
        surface: Surface::ChatCompletions,
        model: model.into(),
        provider: "p".into(),
        upstream_model: "u".into(),
        started_at: NOW,
        latency_us: 1,
        first_token_us: None,
        usage: Usage {
            input: 10,
            output: 5,
            ..Usage::ZERO
        },
        provenance: Provenance::Provider,
        cost: Money::from_nano(7),
        price_version: "1".into(),
        state: TerminalState::Ok,
        upstream_status: Some(200),
        org_charge: None,
        key_charge: None,
    }
}

fn request(group_by: UsageGroup, limit: u16, cursor: Option<String>) -> UsageRequest {
    UsageRequest {
        group_by,
        from: None,
        until: None,
        limit,
        cursor,
    }
}

fn desk() -> Desk {
    let desk = Desk::new();
    let events = [
        event(1, ACME, "a"),
        event(2, ACME, "b"),
        event(3, ACME, "b"),
        event(4, ACME, "c"),
        event(5, OTHER, "a"),
    ];
    desk.store.record_usage(&events).unwrap();
    desk
}

#[test]
fn usage_is_summed_by_what_was_asked_for() {
    let desk = desk();
    for (group_by, field, groups) in [
        (UsageGroup::Model, "model", 3),
        (UsageGroup::Key, "key", 1),
        (UsageGroup::Day, "day", 1),
    ] {
        let page = desk
            .control
            .usage(&granted(ACME), request(group_by, 10, None))
            .unwrap();
        let rows = serde_json::to_value(&page).unwrap()["data"].clone();
        let rows = rows.as_array().unwrap();
        assert_eq!(rows.len(), groups, "{field}");
        let sum = |name: &str| {
            rows.iter()
                .map(|row| row[name].as_u64().unwrap())
                .sum::<u64>()
        };
        assert_eq!(
            (sum("requests"), sum("input_tokens"), sum("output_tokens")),
            (4, 40, 20)
        );
        for row in rows {
            let named = ["key", "model", "day"]
                .iter()
                .filter(|name| row.get(**name).is_some());
            assert_eq!(named.copied().collect::<Vec<_>>(), [field]);
        }
    }
}

#[test]
fn another_organizations_usage_is_not_seen() {
    let page = desk()
        .control
        .usage(&granted(OTHER), request(UsageGroup::Model, 10, None))
        .unwrap();
    let rows = serde_json::to_value(&page).unwrap();
    assert_eq!(rows["data"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&rows["data"][0]["cost_usd"], &rows["next_cursor"]),
        (&"0.000000007".into(), &serde_json::Value::Null)
    );
}

#[test]
fn pages_of_usage_show_every_group_once() {
    let desk = desk();
    let mut models = Vec::new();
    let mut cursor = None;
    for _ in 0..3 {
        let page = desk
            .control
            .usage(&granted(ACME), request(UsageGroup::Model, 1, cursor))
            .unwrap();
        models.extend(page.data.into_iter().filter_map(|row| row.model));
        cursor = page.next_cursor;
    }
    assert_eq!((models.concat(), cursor), ("abc".to_owned(), None));
}
