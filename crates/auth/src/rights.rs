//! What somebody may do, worked out from roles, scopes, owners and teams.

use std::sync::Arc;

use tollgate_domain::{Permission, PermissionSet, Role, TeamId, TeamRole};

/// What somebody may do on the installation, in one organization, and in single teams of it. Cheap
/// to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    platform: PermissionSet,
    org: PermissionSet,
    /// Sorted by team, each once.
    teams: Arc<[(TeamId, PermissionSet)]>,
}

impl Default for Rights {
    fn default() -> Self {
        Self::none()
    }
}

/// The user whose rights bound a key's.
#[derive(Debug, Clone, Copy)]
pub enum Owner<'a> {
    /// The key has none and stands for itself.
    Nobody,
    /// It has one who is blocked, deleted or cannot be found.
    Gone,
    /// It has one, who may do this now.
    Has(&'a Rights),
}

/// The team that a key works for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyTeam {
    /// None: it works in all of the organization.
    None,
    /// One that is blocked, deleted or cannot be found.
    Gone,
    /// This one.
    Live(TeamId),
}

impl Rights {
    /// Returns the rights of nobody.
    #[must_use]
    pub fn none() -> Self {
        Self::new(PermissionSet::EMPTY, PermissionSet::EMPTY, Vec::new())
    }

    /// Puts rights together. What concerns the installation is taken out of the others; a team that
    /// is named twice has what either entry allows.
    #[must_use]
    pub fn new(
        platform: PermissionSet,
        org: PermissionSet,
        mut teams: Vec<(TeamId, PermissionSet)>,
    ) -> Self {
        teams.sort_by_key(|(team, _)| *team);
        teams.dedup_by(|(team, rights), (kept, all)| {
            let is_same = team == kept;
            if is_same {
                *all = all.union(*rights);
            }
            is_same
        });
        for (_, rights) in &mut teams {
            *rights = rights.without(PermissionSet::PLATFORM);
        }
        Self {
            platform,
            org: org.without(PermissionSet::PLATFORM),
            teams: teams.into(),
        }
    }

    /// Returns what is allowed on the whole installation.
    #[must_use]
    pub const fn platform(&self) -> PermissionSet {
        self.platform
    }

    /// Returns what is allowed in all of the organization.
    #[must_use]
    pub const fn org(&self) -> PermissionSet {
        self.org
    }

    /// Returns what is allowed in single teams beyond that.
    #[must_use]
    pub fn teams(&self) -> &[(TeamId, PermissionSet)] {
        &self.teams
    }

    /// Returns what is allowed in a team: what is allowed everywhere, and what is allowed there.
    #[must_use]
    pub fn on_team(&self, team: TeamId) -> PermissionSet {
        let found = self.teams.binary_search_by_key(&team, |(team, _)| *team);
        let own = found.ok().and_then(|at| self.teams.get(at));
        own.map_or(self.org, |(_, rights)| rights.union(self.org))
    }

    /// Returns whether the other rights allow all of this, too.
    #[must_use]
    pub fn is_subset_of(&self, other: &Self) -> bool {
        let mut teams = self.teams.iter();
        self.platform.is_subset_of(other.platform)
            && self.org.is_subset_of(other.org)
            && teams.all(|(team, rights)| rights.is_subset_of(other.on_team(*team)))
    }
}

/// Returns what a user may do in an organization: `member` is what their role there allows, `None`
/// when they are not in it, and then their teams allow nothing. Whoever runs the installation may do
/// in every organization what [`Role::PlatformAdmin`] allows.
#[must_use]
pub fn user_rights(
    is_live: bool,
    is_platform_admin: bool,
    member: Option<PermissionSet>,
    teams: impl IntoIterator<Item = (TeamId, TeamRole)>,
) -> Rights {
    if !is_live {
        return Rights::none();
    }
    let platform = if is_platform_admin {
        Role::PlatformAdmin.permissions()
    } else {
        PermissionSet::EMPTY
    };
    let Some(member) = member else {
        return Rights::new(platform, platform, Vec::new());
    };
    let teams = teams
        .into_iter()
        .map(|(team, role)| (team, role.role().permissions()));
    Rights::new(platform, platform.union(member), teams.collect())
}

/// Returns what a key may do: what its role allows, narrowed by its scopes, within its team if it
/// has one, and never more than its owner may do now. A team or an owner that is gone leaves nothing.
///
/// `role` is what the role allows, which is nothing for a role that cannot be found.
#[must_use]
pub fn effective_rights(
    role: PermissionSet,
    scopes: Option<PermissionSet>,
    owner: Owner<'_>,
    team: KeyTeam,
) -> Rights {
    let own = role.intersect(scopes.unwrap_or(PermissionSet::ALL));
    // Only the role that runs the installation has this, whatever the scopes leave of it.
    let is_platform = role.contains(Permission::PlatformManage);
    let platform = if is_platform && team == KeyTeam::None {
        own
    } else {
        PermissionSet::EMPTY
    };
    match (team, owner) {
        (KeyTeam::Gone, _) | (_, Owner::Gone) => Rights::none(),
        (KeyTeam::None, Owner::Nobody) => Rights::new(platform, own, Vec::new()),
        (KeyTeam::None, Owner::Has(owner)) => {
            let teams = owner.teams.iter();
            let teams = teams.map(|(team, rights)| (*team, rights.intersect(own)));
            Rights::new(
                platform.intersect(owner.platform),
                own.intersect(owner.org),
                teams.collect(),
            )
        }
        (KeyTeam::Live(team), Owner::Nobody) => {
            Rights::new(platform, PermissionSet::EMPTY, vec![(team, own)])
        }
        (KeyTeam::Live(team), Owner::Has(owner)) => {
            let bounded = own.intersect(owner.on_team(team));
            Rights::new(
                PermissionSet::EMPTY,
                PermissionSet::EMPTY,
                vec![(team, bounded)],
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn team(n: u8) -> TeamId {
        TeamId::from_bytes([n; 16])
    }

    fn set() -> impl Strategy<Value = PermissionSet> {
        let count = Permission::ALL.len();
        prop::collection::vec(any::<bool>(), count).prop_map(|picked| {
            let all = Permission::ALL.iter().copied().zip(picked);
            all.filter_map(|(one, is_in)| is_in.then_some(one))
                .collect()
        })
    }

    fn rights() -> impl Strategy<Value = Rights> {
        let teams = prop::collection::vec((0_u8..4, set()), 0..5);
        (set(), set(), teams).prop_map(|(platform, org, teams)| {
            let teams = teams.into_iter().map(|(n, rights)| (team(n), rights));
            Rights::new(platform, org, teams.collect())
        })
    }

    fn key_team() -> impl Strategy<Value = KeyTeam> {
        prop_oneof![
            Just(KeyTeam::None),
            Just(KeyTeam::Gone),
            (0_u8..4).prop_map(|n| KeyTeam::Live(team(n))),
        ]
    }

    proptest! {
        /// Whatever a key is given, it may do nothing that its owner may not do now, nothing that its
        /// role or its scopes do not allow, and nothing outside of its team.
        #[test]
        fn t_attenuate_a_child_never_exceeds_its_owner(
            role in set(), scopes in prop::option::of(set()), owner in rights(), at in key_team(),
        ) {
            let child = effective_rights(role, scopes, Owner::Has(&owner), at);
            prop_assert!(child.is_subset_of(&owner), "{child:?} {owner:?}");
            let most = role.intersect(scopes.unwrap_or(PermissionSet::ALL));
            for n in 0..4 {
                prop_assert!(child.on_team(team(n)).is_subset_of(most));
                prop_assert!(child.on_team(team(n)).is_subset_of(owner.on_team(team(n))));
            }
            prop_assert!(child.org().is_subset_of(most) && child.platform().is_subset_of(most));
            if let KeyTeam::Live(own) = at {
                prop_assert!(child.org().is_empty() && child.platform().is_empty());
                prop_assert!(child.teams().iter().all(|(team, _)| *team == own));
            }
            // A child of the child has no more, either.
            let grandchild = effective_rights(PermissionSet::ALL, None, Owner::Has(&child), at);
            prop_assert!(grandchild.is_subset_of(&child));
        }

        #[test]
        fn t_attenuate_less_for_the_owner_is_less_for_the_child(
            role in set(), scopes in prop::option::of(set()), owner in rights(), at in key_team(),
            taken in set(),
        ) {
            let left = owner.teams().iter().map(|(team, rights)| (*team, rights.without(taken)));
            let less = Rights::new(
                owner.platform().without(taken), owner.org().without(taken), left.collect(),
            );
            let before = effective_rights(role, scopes, Owner::Has(&owner), at);
            let after = effective_rights(role, scopes, Owner::Has(&less), at);
            prop_assert!(after.is_subset_of(&before) && after.is_subset_of(&less));
        }

        #[test]
        fn t_attenuate_without_an_owner_or_a_team_that_it_should_have_nothing_is_left(
            role in set(), scopes in prop::option::of(set()), owner in rights(), at in key_team(),
        ) {
            let nothing = Rights::none();
            prop_assert_eq!(&effective_rights(role, scopes, Owner::Gone, at), &nothing);
            let teamless = effective_rights(role, scopes, Owner::Has(&owner), KeyTeam::Gone);
            prop_assert_eq!(&teamless, &nothing);
            let alone = effective_rights(role, scopes, Owner::Nobody, KeyTeam::Gone);
            prop_assert_eq!(&alone, &nothing);
        }
    }

    #[test]
    fn a_key_of_a_member_gets_what_both_have() {
        let member = Role::Member.permissions();
        let owner = user_rights(true, false, Some(member), [(team(1), TeamRole::Admin)]);
        let key = effective_rights(
            Role::OrgOwner.permissions(),
            None,
            Owner::Has(&owner),
            KeyTeam::None,
        );
        assert_eq!(key, owner);
        let team_key = effective_rights(
            Role::OrgOwner.permissions(),
            None,
            Owner::Has(&owner),
            KeyTeam::Live(team(1)),
        );
        let admin = Role::TeamAdmin.permissions();
        assert_eq!(team_key.on_team(team(1)), admin.union(member));
        assert!(team_key.org().is_empty());
    }

    #[test]
    fn who_is_blocked_or_not_in_the_organization_has_nothing_there() {
        let owner = Some(Role::OrgOwner.permissions());
        let teams = [(team(1), TeamRole::Admin)];
        assert_eq!(user_rights(false, true, owner, teams), Rights::none());
        assert_eq!(user_rights(true, false, None, teams), Rights::none());
    }

    #[test]
    fn who_runs_the_installation_calls_no_models_of_tenants() {
        let admin = user_rights(true, true, None, []);
        assert!(admin.platform().contains(Permission::PlatformManage));
        assert!(admin.org().contains(Permission::OrgManage));
        assert!(!admin.org().contains(Permission::ModelsUse));
        assert!(!admin.org().contains(Permission::PlatformManage));
    }

    #[test]
    fn only_the_role_of_the_installation_reaches_it() {
        let alone =
            |role: Role| effective_rights(role.permissions(), None, Owner::Nobody, KeyTeam::None);
        for role in Role::ALL {
            let is_platform = !alone(role).platform().is_empty();
            assert_eq!(is_platform, role == Role::PlatformAdmin, "{role:?}");
        }
    }
}
