//! Nobody gives away more than they have.

use tollgate_auth::{Principal, Rights};
use tollgate_domain::{
    Actor, ApiKey, BudgetPolicy, IpRange, Limits, Permission, PermissionSet, RoleRef, TeamId,
    Timestamp, UserId,
};

use crate::control::Control;
use crate::error::ControlError;

/// Who gives something away, and what bounds it: their rights, and their key if they call by one.
pub(crate) struct Giver<'a> {
    rights: &'a Rights,
    user: Option<UserId>,
    key: Option<ApiKey>,
}

impl Control {
    /// Returns what bounds whatever this caller gives away.
    ///
    /// # Errors
    /// `NotFound` when the caller is a key that is gone, or nobody who is known; a store's error.
    pub(crate) fn giver<'a>(
        &self,
        principal: &'a Principal,
        now: Timestamp,
    ) -> Result<Giver<'a>, ControlError> {
        let rights = &principal.rights;
        let id = match principal.actor {
            Actor::User(id) => {
                let user = Some(id);
                return Ok(Giver {
                    rights,
                    user,
                    key: None,
                });
            }
            Actor::Key(id) => id,
            Actor::Anonymous | Actor::System => return Err(ControlError::NotFound("API key")),
        };
        let key = self.store.find_api_key(principal.org_id, id)?;
        let key = key.filter(|key| key.is_live(now));
        let key = key.ok_or(ControlError::NotFound("API key"))?;
        Ok(Giver {
            rights,
            user: key.owner,
            key: Some(key),
        })
    }

    /// Returns what a role of the organization allows.
    ///
    /// # Errors
    /// `NotFound` when it has no such role; a store's error.
    pub(crate) fn permissions_of(
        &self,
        principal: &Principal,
        role: RoleRef,
    ) -> Result<PermissionSet, ControlError> {
        let id = match role {
            RoleRef::Builtin(role) => return Ok(role.permissions()),
            RoleRef::Custom(id) => id,
        };
        let role = self.store.find_role(principal.org_id, id)?;
        role.map(|role| role.permissions)
            .ok_or(ControlError::NotFound("role"))
    }
}

impl Giver<'_> {
    /// Returns whose rights bound a key that is made now, if nobody says otherwise.
    pub(crate) const fn user(&self) -> Option<UserId> {
        self.user
    }

    fn own(&self, team: Option<TeamId>) -> PermissionSet {
        team.map_or(self.rights.org(), |team| self.rights.on_team(team))
    }

    /// Returns whether the giver has this permission in the team, or without one in all of the
    /// organization.
    pub(crate) fn has(&self, permission: Permission, team: Option<TeamId>) -> bool {
        self.own(team).contains(permission)
    }

    /// Checks that the giver may do all that a key with this role and these scopes may do in this team,
    /// or without one in all of the organization.
    ///
    /// # Errors
    /// `Exceeds`, and always for a role of the installation, whatever the scopes leave of it.
    pub(crate) fn check_rights(
        &self,
        role: PermissionSet,
        scopes: Option<PermissionSet>,
        team: Option<TeamId>,
    ) -> Result<(), ControlError> {
        let given = role.intersect(scopes.unwrap_or(PermissionSet::ALL));
        let is_of_platform = !role.intersect(PermissionSet::PLATFORM).is_empty();
        within(
            given.is_subset_of(self.own(team)) && !is_of_platform,
            "nobody may be given more rights than you have",
        )
    }

    /// Checks that the giver may do all that somebody may do in this team, or without one in all of the
    /// organization, whose rights are to be changed.
    ///
    /// # Errors
    /// `Exceeds`.
    pub(crate) fn check_taken(
        &self,
        permissions: PermissionSet,
        team: Option<TeamId>,
    ) -> Result<(), ControlError> {
        within(
            permissions.is_subset_of(self.own(team)),
            "who has more rights than you is not yours to change",
        )
    }

    /// Checks that what bounds a key is no wider than what bounds the giver, where it is not as it was.
    ///
    /// # Errors
    /// `Exceeds`.
    pub(crate) fn check_bounds(
        &self,
        before: Option<&ApiKey>,
        after: &ApiKey,
    ) -> Result<(), ControlError> {
        let Some(own) = &self.key else {
            return Ok(());
        };
        if before.is_none_or(|key| key.models != after.models) {
            let message = "a key may not be given models that yours may not use";
            within(covers_models(own, &after.models), message)?;
        }
        if before.is_none_or(|key| key.allowed_ips != after.allowed_ips) {
            let message = "a key may not be used from where yours may not";
            within(
                covers_addresses(&own.allowed_ips, &after.allowed_ips),
                message,
            )?;
        }
        if before.is_none_or(|key| key.limits != after.limits) {
            let message = "a key may not have a limit above yours, or none where yours has one";
            within(covers_limits(&own.limits, &after.limits), message)?;
        }
        if before.is_none_or(|key| key.budget != after.budget) {
            let message = "a key may not have a budget above yours, or none where yours has one; its \
                           windows are yours or whole numbers of them";
            within(
                covers_budget(own.budget.as_ref(), after.budget.as_ref()),
                message,
            )?;
        }
        if before.is_none_or(|key| key.expires_at != after.expires_at) {
            let is_covered = own
                .expires_at
                .is_none_or(|own| after.expires_at.is_some_and(|end| end <= own));
            within(is_covered, "a key may not outlive yours")?;
        }
        Ok(())
    }
}

fn within(is_within: bool, message: &'static str) -> Result<(), ControlError> {
    if is_within {
        Ok(())
    } else {
        Err(ControlError::Exceeds(message))
    }
}

fn covers_models(own: &ApiKey, models: &[String]) -> bool {
    let is_allowed = |model: &String| own.may_use(model);
    own.models.is_empty() || (!models.is_empty() && models.iter().all(is_allowed))
}

fn covers_addresses(own: &[IpRange], given: &[IpRange]) -> bool {
    let is_allowed = |range: &IpRange| own.iter().any(|own| own.covers(range));
    own.is_empty() || (!given.is_empty() && given.iter().all(is_allowed))
}

fn covers_limits(own: &Limits, given: &Limits) -> bool {
    let covers = |own: Option<u32>, given: Option<u32>| {
        own.is_none_or(|own| given.is_some_and(|given| given <= own))
    };
    covers(own.rpm_limit, given.rpm_limit)
        && covers(own.tpm_limit, given.tpm_limit)
        && covers(own.max_parallel_requests, given.max_parallel_requests)
}

/// A window of the owner's must lie in one window of what is given, or the two together could hold
/// more than the owner's budget.
fn covers_budget(own: Option<&BudgetPolicy>, given: Option<&BudgetPolicy>) -> bool {
    let Some(own) = own else {
        return true;
    };
    given.is_some_and(|given| {
        let is_aligned = match (own.duration, given.duration) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(own), Some(given)) => given.seconds() % own.seconds() == 0,
        };
        given.max_budget <= own.max_budget && is_aligned
    })
}
