//! Nobody makes a key that has more than they have.

use std::net::IpAddr;

use proptest::prelude::*;
use tollgate_auth::{Granted, KeysManage};
use tollgate_domain::{
    ApiKey, BudgetPolicy, IpRange, KeyId, Limits, Money, Permission, PermissionSet, Role, Timestamp,
};
use tollgate_validation::{Expected, NewApiKey, Valid};

use crate::desk::{ACME, Desk, NOW, caller};

/// What bounds a key: drawn from few values, so that one often lies within another.
#[derive(Debug, Clone)]
struct Bounds {
    role: Role,
    scopes: Option<PermissionSet>,
    team: Option<u8>,
    models: Vec<&'static str>,
    addresses: Vec<&'static str>,
    limits: [Option<u32>; 3],
    budget: Option<(i64, Option<&'static str>)>,
    expires_in: Option<i64>,
}

fn bounds() -> impl Strategy<Value = Bounds> {
    let some =
        |values: &'static [&'static str]| prop::collection::vec(prop::sample::select(values), 0..3);
    let limit = || prop::option::of(prop::sample::select(&[1_u32, 2, 3][..]));
    let scopes = prop::sample::subsequence(
        &[
            Permission::ModelsUse,
            Permission::KeysRead,
            Permission::KeysManage,
            Permission::OrgManage,
        ][..],
        0..=4,
    );
    let scopes = scopes.prop_map(|picked| picked.into_iter().collect::<PermissionSet>());
    let windows = prop::sample::select(&["1h", "2h", "3h"][..]);
    (
        prop::sample::select(&Role::ALL[..]),
        prop::option::of(scopes),
        prop::option::of(1_u8..3),
        some(&["*", "gpt-*", "gpt-4*", "gpt-4", "claude"]),
        some(&["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.1.1", "::/0"]),
        [limit(), limit(), limit()],
        prop::option::of((1_i64..4, prop::option::of(windows))),
        prop::option::of(1_i64..4),
    )
        .prop_map(
            |(role, scopes, team, models, addresses, limits, budget, expires_in)| Bounds {
                role,
                scopes,
                team,
                models,
                addresses,
                limits,
                budget,
                expires_in,
            },
        )
}

impl Bounds {
    fn policy(&self) -> Option<BudgetPolicy> {
        self.budget.map(|(nano, window)| BudgetPolicy {
            max_budget: Money::from_nano(nano),
            duration: window.map(|window| window.parse().unwrap()),
        })
    }

    fn ranges(&self) -> Vec<IpRange> {
        let parsed = self.addresses.iter().map(|range| range.parse().unwrap());
        parsed.collect()
    }

    fn end(&self) -> Option<Timestamp> {
        self.expires_in.map(|seconds| NOW.plus_seconds(seconds))
    }

    fn kept(&self, desk: &Desk, id: KeyId) -> ApiKey {
        let [rpm_limit, tpm_limit, max_parallel_requests] = self.limits;
        ApiKey {
            scopes: self.scopes,
            team_id: self
                .team
                .map(|n| tollgate_domain::TeamId::from_bytes([n; 16])),
            models: self.models.iter().map(ToString::to_string).collect(),
            allowed_ips: self.ranges(),
            limits: Limits {
                rpm_limit,
                tpm_limit,
                max_parallel_requests,
            },
            budget: self.policy(),
            expires_at: self.end(),
            ..desk.bare_key(ACME, id, self.role)
        }
    }

    fn asked(&self) -> Valid<NewApiKey> {
        let [rpm_limit, tpm_limit, max_parallel_requests] = self.limits;
        let policy = self.policy();
        Valid::check(NewApiKey {
            name: "child".to_owned(),
            role: Some(self.role.into()),
            scopes: self.scopes,
            team_id: self
                .team
                .map(|n| tollgate_domain::TeamId::from_bytes([n; 16])),
            owner_id: None,
            models: self.models.iter().map(ToString::to_string).collect(),
            allowed_ips: self.ranges(),
            rpm_limit,
            tpm_limit,
            max_parallel_requests,
            max_budget: policy.map(|policy| policy.max_budget),
            budget_duration: policy.and_then(|policy| policy.duration),
            metadata: serde_json::Map::new(),
            tags: Vec::new(),
            expires_at: self.end(),
        })
        .unwrap()
    }
}

fn desk_with_teams() -> Desk {
    let desk = Desk::new();
    for number in 1..3 {
        desk.add_team(ACME, number);
    }
    desk
}

const MAKER: KeyId = KeyId::from_bytes([9; 16]);

/// The most that a key can spend within each of the windows of another, over a day of them.
fn most_in_a_window(of: &BudgetPolicy, within: &BudgetPolicy) -> i64 {
    let Some(length) = within.duration else {
        // Over all of time: a budget that comes again is spent without end.
        return of.duration.map_or(of.max_budget.nano(), |_| i64::MAX);
    };
    let mut most = 0;
    for number in 0..24 {
        let start = Timestamp::default().plus_seconds(number * length.seconds());
        let end = start.plus_seconds(length.seconds() - 1);
        let (first, last) = (of.window_start(start), of.window_start(end));
        let windows = of.duration.map_or(1, |own| {
            1 + (last.seconds() - first.seconds()) / own.seconds()
        });
        most = most.max(windows * of.max_budget.nano());
    }
    most
}

fn check_within(child: &ApiKey, maker: &ApiKey) -> Result<(), TestCaseError> {
    prop_assert!(caller(child).rights.is_subset_of(&caller(maker).rights));
    for model in ["gpt-4", "gpt-4o", "gpt-3", "claude", "claude-2", "other"] {
        prop_assert!(maker.may_use(model) || !child.may_use(model), "{model}");
    }
    for address in ["10.1.1.1", "10.1.1.2", "10.2.0.1", "11.0.0.1", "::1"] {
        let address: Option<IpAddr> = address.parse().ok();
        prop_assert!(maker.may_come_from(address) || !child.may_come_from(address));
    }
    prop_assert!(maker.may_come_from(None) || !child.may_come_from(None));
    for seconds in 0..5 {
        let at = NOW.plus_seconds(seconds);
        prop_assert!(maker.is_live(at) || !child.is_live(at), "{seconds}");
    }
    let most = |limit: Option<u32>| limit.unwrap_or(u32::MAX);
    let (own, given) = (maker.limits, child.limits);
    prop_assert!(most(given.rpm_limit) <= most(own.rpm_limit));
    prop_assert!(most(given.tpm_limit) <= most(own.tpm_limit));
    prop_assert!(most(given.max_parallel_requests) <= most(own.max_parallel_requests));
    if let Some(own) = &maker.budget {
        let spent = child
            .budget
            .map_or(i64::MAX, |given| most_in_a_window(&given, own));
        prop_assert!(spent <= own.max_budget.nano(), "{own:?} {:?}", child.budget);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever is asked for: what is made has nothing that its maker does not have.
    #[test]
    fn t_attenuate_a_made_key_has_no_more_than_its_maker(maker in bounds(), child in bounds()) {
        let desk = desk_with_teams();
        let maker = maker.kept(&desk, MAKER);
        desk.keep(&maker);
        if let Ok(reach) = Granted::<KeysManage>::reach(caller(&maker))
            && let Ok(made) = desk.control.create_key(&reach, child.asked(), NOW)
        {
            check_within(&desk.find_key(made.view.id), &maker)?;
        }
    }

    /// A key may be made that has all that its maker has; and then the maker may rotate it. So the rule
    /// above does not hold because nothing is ever made.
    #[test]
    fn t_attenuate_a_maker_makes_its_equal(maker in bounds()) {
        prop_assume!(maker.role != Role::PlatformAdmin);
        let desk = desk_with_teams();
        let kept = maker.kept(&desk, MAKER);
        desk.keep(&kept);
        if let Ok(reach) = Granted::<KeysManage>::reach(caller(&kept)) {
            let made = desk.control.create_key(&reach, maker.asked(), NOW).unwrap();
            check_within(&desk.find_key(made.view.id), &kept)?;
            check_within(&kept, &desk.find_key(made.view.id))?;
            let rotation = Valid::from_json(b"{}").unwrap();
            prop_assert!(desk.control.rotate_key(&reach, made.view.id, &rotation, Expected::Any, NOW).is_ok());
        }
    }

    /// A secret is given only to who has all that it opens.
    #[test]
    fn t_attenuate_a_rotated_key_has_no_more_than_who_rotates_it(
        maker in bounds(), other in bounds(),
    ) {
        let desk = desk_with_teams();
        let maker = maker.kept(&desk, MAKER);
        let other = other.kept(&desk, KeyId::from_bytes([8; 16]));
        desk.keep(&maker);
        desk.keep(&other);
        if let Ok(reach) = Granted::<KeysManage>::reach(caller(&maker)) {
            let rotation = Valid::from_json(b"{}").unwrap();
            if desk.control.rotate_key(&reach, other.id, &rotation, Expected::Any, NOW).is_ok() {
                check_within(&other, &maker)?;
            }
        }
    }
}
