//! API keys: made.

use tollgate_auth::{KeyText, KeysManage, Reach};
use tollgate_domain::{
    ApiKey, BudgetPolicy, KeyId, Limits, Permission, Role, TeamId, Timestamp, UserId, UserKind,
};
use tollgate_validation::{NewApiKey, Valid};
use uuid::Uuid;

use super::{CreatedKey, KeyView};
use crate::attenuate::Giver;
use crate::control::Control;
use crate::error::ControlError;

impl Control {
    /// Makes an API key in the caller's organization, or in a team of theirs.
    ///
    /// # Errors
    /// `Exceeds` when the key would allow more than the caller has: rights, models, addresses, limits,
    /// budget, time, or a team out of reach; `NotFound` when there is no such team, role or service
    /// account; `Invalid` when it has expired already; a store's error.
    pub fn create_key(
        &self,
        reach: &Reach<KeysManage>,
        input: Valid<NewApiKey>,
        now: Timestamp,
    ) -> Result<CreatedKey, ControlError> {
        let input = input.into_inner();
        let creator = reach.principal();
        let giver = self.giver(creator, now)?;
        let team = self.team_of_child(reach, input.team_id)?;
        let role = input.role.unwrap_or_else(|| Role::Member.into());
        let permissions = self.permissions_of(creator, role)?;
        giver.check_rights(permissions, input.scopes, team)?;
        let owner = self.owner_of_child(reach, &giver, input.owner_id, team)?;
        if input.expires_at.is_some_and(|end| end <= now) {
            return Err(ControlError::Invalid("expires_at lies in the past"));
        }
        let text = KeyText::generate()?;
        let key = ApiKey {
            id: KeyId::new(Uuid::now_v7()),
            org_id: reach.org_id(),
            team_id: team,
            owner,
            created_by: creator.actor,
            public_id: text.public_id().to_owned(),
            mac: self.pepper.mac(&text),
            previous: None,
            name: input.name,
            role,
            scopes: input.scopes,
            models: input.models,
            allowed_ips: input.allowed_ips,
            limits: Limits {
                rpm_limit: input.rpm_limit,
                tpm_limit: input.tpm_limit,
                max_parallel_requests: input.max_parallel_requests,
            },
            budget: input.max_budget.map(|max_budget| BudgetPolicy {
                max_budget,
                duration: input.budget_duration,
            }),
            metadata: serde_json::Value::Object(input.metadata).to_string(),
            tags: input.tags,
            blocked: false,
            created_at: now,
            expires_at: input.expires_at,
            revoked_at: None,
            version: 1,
        };
        giver.check_bounds(None, &key)?;
        let audit = self.done(creator, "key.create", key.id, now);
        self.store.add_api_key(&key, &audit)?;
        Ok(CreatedKey {
            key: text.expose().to_owned(),
            view: KeyView::new(key, now),
        })
    }

    /// Returns the team that a key is made for. Who has only one team makes keys for it.
    fn team_of_child(
        &self,
        reach: &Reach<KeysManage>,
        asked: Option<TeamId>,
    ) -> Result<Option<TeamId>, ControlError> {
        let team = match (asked, reach.teams()) {
            (None, Some([only])) => Some(*only),
            (asked, _) => asked,
        };
        if !reach.covers(team) {
            let message =
                "a key may only be made for a team that you manage the keys of: say team_id";
            return Err(ControlError::Exceeds(message));
        }
        let Some(id) = team else {
            return Ok(None);
        };
        let found = self.store.find_team(reach.org_id(), id)?;
        found
            .filter(|team| team.deleted_at.is_none())
            .map(|team| Some(team.id))
            .ok_or(ControlError::NotFound("team"))
    }

    /// Returns whose rights bound a key that is made now: its maker's, or those that bound its maker;
    /// or a service account's, for whoever manages those.
    fn owner_of_child(
        &self,
        reach: &Reach<KeysManage>,
        giver: &Giver<'_>,
        asked: Option<UserId>,
        team: Option<TeamId>,
    ) -> Result<Option<UserId>, ControlError> {
        let Some(id) = asked.filter(|asked| giver.user() != Some(*asked)) else {
            return Ok(giver.user());
        };
        if !giver.has(Permission::UsersManage, team) {
            return Err(ControlError::Exceeds(
                "a key may only be made for a service account by whoever manages users",
            ));
        }
        let home = UserKind::Service {
            org_id: reach.org_id(),
        };
        let account = self.store.find_user(id)?;
        account
            .filter(|user| user.kind == home && user.is_live())
            .map(|user| Some(user.id))
            .ok_or(ControlError::NotFound("service account"))
    }
}
