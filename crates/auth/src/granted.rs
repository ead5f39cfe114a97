//! The proof that a permission was checked.

use std::marker::PhantomData;

use tollgate_domain::{Actor, ErrorKind, OrgId, Permission, TeamId};

use crate::rights::Rights;

/// Who calls: authenticated, not yet allowed anything. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The caller's organization: all that it can reach, but for those who run the installation.
    pub org_id: OrgId,
    /// The key or user that calls.
    pub actor: Actor,
    /// What it may do.
    pub rights: Rights,
}

/// The caller may not do this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not allowed")]
pub struct Denied;

impl Denied {
    /// Returns what the caller can do about it.
    #[must_use]
    pub const fn kind(self) -> ErrorKind {
        ErrorKind::Forbidden
    }
}

/// A permission as a type.
pub trait PermissionType {
    /// The permission.
    const PERMISSION: Permission;
}

macro_rules! permission_types {
    ($($name:ident)*) => {$(
        #[doc = concat!("[`Permission::", stringify!($name), "`] as a type.")]
        #[derive(Debug)]
        pub enum $name {}

        impl PermissionType for $name {
            const PERMISSION: Permission = Permission::$name;
        }
    )*};
}

permission_types! {
    ModelsUse KeysRead KeysManage UsageRead RequestsRead OrgRead OrgManage TeamsRead TeamsManage
    UsersRead UsersManage RolesRead RolesManage BudgetsManage ProvidersRead ProvidersManage
    ModelsRead ModelsManage RoutesManage PricesManage GuardrailsRead GuardrailsManage AlertsRead
    AlertsManage AuditRead SettingsRead SettingsManage SessionsManage PromptsRead PlatformManage
    PlatformAudit
}

/// Proof that a principal has the permission `P` in all of its organization. Functions that need the
/// permission take this, and the organization from it, so that neither can be forgotten.
#[derive(Debug)]
pub struct Granted<P> {
    principal: Principal,
    permission: PhantomData<P>,
}

impl<P: PermissionType> Granted<P> {
    /// Checks the permission; there is no other way to make this.
    ///
    /// # Errors
    /// When the principal does not have it in all of its organization.
    pub fn check(principal: Principal) -> Result<Self, Denied> {
        if principal.rights.org().contains(P::PERMISSION) {
            Ok(Self {
                principal,
                permission: PhantomData,
            })
        } else {
            Err(Denied)
        }
    }

    /// Checks the permission for one team of the organization.
    ///
    /// # Errors
    /// When the principal has it neither in that team nor in all of its organization.
    pub fn on_team(principal: Principal, team: TeamId) -> Result<OnTeam<P>, Denied> {
        if principal.rights.on_team(team).contains(P::PERMISSION) {
            Ok(OnTeam {
                principal,
                team,
                permission: PhantomData,
            })
        } else {
            Err(Denied)
        }
    }

    /// Finds out where the principal has the permission, for lists.
    ///
    /// # Errors
    /// When it has it nowhere.
    pub fn reach(principal: Principal) -> Result<Reach<P>, Denied> {
        let teams = if principal.rights.org().contains(P::PERMISSION) {
            None
        } else {
            let teams = principal.rights.teams().iter();
            let teams = teams.filter(|(_, rights)| rights.contains(P::PERMISSION));
            Some(teams.map(|(team, _)| *team).collect::<Vec<_>>())
        };
        if teams.as_ref().is_some_and(Vec::is_empty) {
            return Err(Denied);
        }
        Ok(Reach {
            principal,
            teams,
            permission: PhantomData,
        })
    }

    /// Returns the organization that it is granted for.
    #[must_use]
    pub const fn org_id(&self) -> OrgId {
        self.principal.org_id
    }

    /// Returns who it is granted to.
    #[must_use]
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }
}

/// Proof that a principal has the permission `P` in one team, be it by the team or by all of the
/// organization. That the team is the organization's is for the query to say: it takes both.
#[derive(Debug)]
pub struct OnTeam<P> {
    principal: Principal,
    team: TeamId,
    permission: PhantomData<P>,
}

impl<P: PermissionType> OnTeam<P> {
    /// Returns the organization.
    #[must_use]
    pub const fn org_id(&self) -> OrgId {
        self.principal.org_id
    }

    /// Returns the team that it is granted for.
    #[must_use]
    pub const fn team_id(&self) -> TeamId {
        self.team
    }

    /// Returns who it is granted to.
    #[must_use]
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }
}

/// Proof that a principal has the permission `P` in some of its organization, and where.
#[derive(Debug)]
pub struct Reach<P> {
    principal: Principal,
    teams: Option<Vec<TeamId>>,
    permission: PhantomData<P>,
}

impl<P: PermissionType> Reach<P> {
    /// Returns the organization.
    #[must_use]
    pub const fn org_id(&self) -> OrgId {
        self.principal.org_id
    }

    /// Returns the teams that are within reach, in the order of their ids and never empty; `None`
    /// when all of the organization is.
    #[must_use]
    pub fn teams(&self) -> Option<&[TeamId]> {
        self.teams.as_deref()
    }

    /// Returns whether something that belongs to this team is within reach; what belongs to none is
    /// so only with all of the organization.
    #[must_use]
    pub fn covers(&self, team: Option<TeamId>) -> bool {
        let Some(teams) = &self.teams else {
            return true;
        };
        team.is_some_and(|team| teams.binary_search(&team).is_ok())
    }

    /// Returns who it is granted to.
    #[must_use]
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }
}

/// Proof that a principal has the permission `P` on the whole installation: in no organization, or
/// in any.
#[derive(Debug)]
pub struct Platform<P> {
    principal: Principal,
    permission: PhantomData<P>,
}

impl<P: PermissionType> Platform<P> {
    /// Checks the permission; there is no other way to make this.
    ///
    /// # Errors
    /// When the principal does not have it on the installation, whatever it has in its organization.
    pub fn check(principal: Principal) -> Result<Self, Denied> {
        if principal.rights.platform().contains(P::PERMISSION) {
            Ok(Self {
                principal,
                permission: PhantomData,
            })
        } else {
            Err(Denied)
        }
    }

    /// Returns who it is granted to.
    #[must_use]
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }
}

#[cfg(test)]
mod tests {
    use tollgate_domain::{KeyId, PermissionSet, Role};

    use super::*;
    use crate::rights::{KeyTeam, Owner, effective_rights};

    const TEAM: TeamId = TeamId::from_bytes([3; 16]);
    const OTHER_TEAM: TeamId = TeamId::from_bytes([4; 16]);

    fn principal(role: Role, team: KeyTeam) -> Principal {
        Principal {
            org_id: OrgId::from_bytes([1; 16]),
            actor: Actor::Key(KeyId::from_bytes([2; 16])),
            rights: effective_rights(role.permissions(), None, Owner::Nobody, team),
        }
    }

    #[test]
    fn what_a_role_lacks_is_denied() {
        let member = principal(Role::Member, KeyTeam::None);
        assert!(Granted::<ModelsUse>::check(member.clone()).is_ok());
        let denied = Granted::<KeysManage>::check(member.clone());
        assert_eq!(denied.unwrap_err(), Denied);
        assert_eq!(Granted::<UsageRead>::check(member).unwrap_err(), Denied);
    }

    fn check<P: PermissionType>() {
        for role in Role::ALL {
            let whole = principal(role, KeyTeam::None);
            let is_platform = PermissionSet::PLATFORM.contains(P::PERMISSION);
            let may = role.allows(P::PERMISSION);
            let granted = Granted::<P>::check(whole.clone());
            assert_eq!(granted.is_ok(), may && !is_platform, "{role:?}");
            if let Ok(granted) = granted {
                assert_eq!(granted.org_id(), whole.org_id);
                assert_eq!(granted.principal(), &whole);
            }
            let platform = Platform::<P>::check(whole.clone());
            assert_eq!(platform.is_ok(), may && role == Role::PlatformAdmin);
            let on_team = Granted::<P>::on_team(whole.clone(), TEAM);
            assert_eq!(on_team.is_ok(), may && !is_platform);
            let reach = Granted::<P>::reach(whole);
            assert_eq!(reach.is_ok(), may && !is_platform);
            assert!(reach.is_ok_and(|reach| reach.teams().is_none()) == (may && !is_platform));

            let in_team = principal(role, KeyTeam::Live(TEAM));
            assert!(Granted::<P>::check(in_team.clone()).is_err(), "{role:?}");
            assert!(Platform::<P>::check(in_team.clone()).is_err(), "{role:?}");
            let elsewhere = Granted::<P>::on_team(in_team.clone(), OTHER_TEAM);
            assert!(elsewhere.is_err(), "{role:?}");
            let there = Granted::<P>::on_team(in_team.clone(), TEAM);
            assert_eq!(there.is_ok(), may && !is_platform, "{role:?}");
            if let Ok(there) = there {
                assert_eq!((there.team_id(), there.org_id()), (TEAM, in_team.org_id));
            }
            match Granted::<P>::reach(in_team) {
                Ok(reach) => {
                    assert_eq!(reach.teams(), Some([TEAM].as_slice()));
                    assert!(reach.covers(Some(TEAM)));
                    assert!(!reach.covers(Some(OTHER_TEAM)) && !reach.covers(None));
                }
                Err(denied) => assert!(!may || is_platform, "{role:?}: {denied}"),
            }
        }
    }

    macro_rules! every_permission {
        ($($name:ident)*) => {
            #[test]
            fn every_permission_is_granted_to_the_roles_that_have_it_where_they_have_it() {
                $(check::<$name>();)*
                let types = [$($name::PERMISSION),*];
                assert_eq!(types.as_slice(), Permission::ALL, "each has a type");
            }
        };
    }

    every_permission! {
        ModelsUse KeysRead KeysManage UsageRead RequestsRead OrgRead OrgManage TeamsRead TeamsManage
        UsersRead UsersManage RolesRead RolesManage BudgetsManage ProvidersRead ProvidersManage
        ModelsRead ModelsManage RoutesManage PricesManage GuardrailsRead GuardrailsManage AlertsRead
        AlertsManage AuditRead SettingsRead SettingsManage SessionsManage PromptsRead PlatformManage
        PlatformAudit
    }

    #[test]
    fn who_has_nothing_is_denied_everything() {
        let nobody = Principal {
            rights: Rights::none(),
            ..principal(Role::OrgOwner, KeyTeam::None)
        };
        assert!(Granted::<ModelsUse>::check(nobody.clone()).is_err());
        assert!(Granted::<ModelsUse>::on_team(nobody.clone(), TEAM).is_err());
        assert!(Granted::<ModelsUse>::reach(nobody.clone()).is_err());
        assert!(Platform::<PlatformManage>::check(nobody).is_err());
    }
}
