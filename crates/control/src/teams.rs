//! Teams: made, seen, changed, deleted.

use serde::Serialize;
use tollgate_auth::{Granted, Reach, TeamsManage, TeamsRead};
use tollgate_domain::{
    AuditDraft, BudgetDuration, BudgetPolicy, Limits, Money, OrgId, Team, TeamId, Timestamp,
};
use tollgate_validation::{Expected, NewTeam, PageQuery, TeamChange, Valid};
use uuid::Uuid;

use crate::control::{Control, Versioned, check_version, composed};
use crate::error::ControlError;
use crate::limits::{LimitsChange, given_names};
use crate::views::Page;

/// A team.
#[derive(Debug, Clone, Serialize)]
pub struct TeamView {
    /// Which team.
    pub id: TeamId,
    /// What people call it.
    pub name: String,
    /// The models that its keys may call; empty is all.
    pub models: Vec<String>,
    /// Requests per minute, over all of its keys.
    pub rpm_limit: Option<u32>,
    /// Tokens per minute, over all of its keys.
    pub tpm_limit: Option<u32>,
    /// Requests at once, over all of its keys.
    pub max_parallel_requests: Option<u32>,
    /// US dollars per window, over all of its keys.
    pub max_budget: Option<Money>,
    /// The window's length.
    pub budget_duration: Option<BudgetDuration>,
    /// Whether all of its keys are refused.
    pub blocked: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it is gone.
    pub deleted_at: Option<Timestamp>,
    /// Grows with every change, from 1.
    pub version: u64,
}

impl From<Team> for TeamView {
    fn from(team: Team) -> Self {
        Self {
            id: team.id,
            name: team.name,
            models: team.models,
            rpm_limit: team.limits.rpm_limit,
            tpm_limit: team.limits.tpm_limit,
            max_parallel_requests: team.limits.max_parallel_requests,
            max_budget: team.budget.map(|budget| budget.max_budget),
            budget_duration: team.budget.and_then(|budget| budget.duration),
            blocked: team.blocked,
            created_at: team.created_at,
            deleted_at: team.deleted_at,
            version: team.version,
        }
    }
}

impl Versioned for TeamView {
    fn version(&self) -> u64 {
        self.version
    }
}

impl Control {
    /// Makes a team.
    ///
    /// # Errors
    /// `Conflict` when the name is taken; a store's error.
    pub fn create_team(
        &self,
        granted: &Granted<TeamsManage>,
        input: Valid<NewTeam>,
        now: Timestamp,
    ) -> Result<TeamView, ControlError> {
        let input = input.into_inner();
        let team = Team {
            id: TeamId::new(Uuid::now_v7()),
            org_id: granted.org_id(),
            name: composed(&input.name)?,
            models: input.models,
            limits: Limits {
                rpm_limit: input.rpm_limit,
                tpm_limit: input.tpm_limit,
                max_parallel_requests: input.max_parallel_requests,
            },
            budget: input.max_budget.map(|max_budget| BudgetPolicy {
                max_budget,
                duration: input.budget_duration,
            }),
            blocked: false,
            created_at: now,
            deleted_at: None,
            version: 1,
        };
        let audit = self.done(granted.principal(), "team.create", team.id, now);
        self.store.add_team(&team, &audit)?;
        Ok(team.into())
    }

    /// Lists the teams within reach that are not deleted, in the order of their ids.
    ///
    /// # Errors
    /// `Input` when the cursor is not one of ours; a store's error.
    pub fn list_teams(
        &self,
        reach: &Reach<TeamsRead>,
        page: &PageQuery,
    ) -> Result<Page<TeamView>, ControlError> {
        let after = page.after()?;
        let limit = page.limit.saturating_add(1);
        let teams = match reach.teams() {
            None => self.store.list_teams(reach.org_id(), after, limit)?,
            Some(own) => self.teams_of(reach.org_id(), own, after, limit)?,
        };
        let views = teams.into_iter().map(TeamView::from).collect();
        Ok(Page::cut(views, page.limit, |team: &TeamView| {
            team.id.to_string()
        }))
    }

    /// Returns a team within reach that is not deleted.
    ///
    /// # Errors
    /// `NotFound` when there is none; a store's error.
    pub fn team(&self, reach: &Reach<TeamsRead>, id: TeamId) -> Result<TeamView, ControlError> {
        if !reach.covers(Some(id)) {
            return Err(ControlError::NotFound("team"));
        }
        self.live_team(reach.org_id(), id).map(TeamView::from)
    }

    /// Changes the fields of a team that are given. Who manages the team alone may give it another name:
    /// what bounds it is for whoever manages all of them.
    ///
    /// # Errors
    /// `NotFound` when there is none within reach; `Stale`; `Exceeds`; `Invalid` for a window without a
    /// budget; `Conflict` when the name is taken; a store's error.
    pub fn change_team(
        &self,
        reach: &Reach<TeamsManage>,
        id: TeamId,
        input: Valid<TeamChange>,
        expected: Expected,
        now: Timestamp,
    ) -> Result<TeamView, ControlError> {
        if !reach.covers(Some(id)) {
            return Err(ControlError::NotFound("team"));
        }
        let input = input.into_inner();
        let old = self.live_team(reach.org_id(), id)?;
        let only_name = TeamChange {
            name: input.name.clone(),
            ..TeamChange::default()
        };
        if reach.teams().is_some() && input != only_name {
            return Err(ControlError::Exceeds(
                "what bounds a team is changed by whoever manages all teams",
            ));
        }
        check_version(expected, old.version)?;
        let limits = LimitsChange {
            rpm_limit: input.rpm_limit,
            tpm_limit: input.tpm_limit,
            max_parallel_requests: input.max_parallel_requests,
            max_budget: input.max_budget,
            budget_duration: input.budget_duration,
        };
        let own = [
            ("name", input.name.is_some()),
            ("models", input.models.is_some()),
            ("blocked", input.blocked.is_some()),
        ];
        let details = given_names(own.into_iter().chain(limits.fields()));
        let name = input.name.as_deref().map(composed).transpose()?;
        let changed = Team {
            name: name.unwrap_or(old.name),
            models: input.models.unwrap_or(old.models),
            limits: limits.limits(old.limits),
            budget: limits.budget(old.budget)?,
            blocked: input.blocked.unwrap_or(old.blocked),
            ..old
        };
        let audit = AuditDraft {
            details,
            ..self.done(reach.principal(), "team.change", id, now)
        };
        let version = self.store.update_team(&changed, &audit);
        let version = version.map_err(|error| ControlError::changing(expected, error))?;
        Ok(Team { version, ..changed }.into())
    }

    /// Deletes a team: its keys may do nothing from then on, and nobody is in it. Repeating it changes
    /// nothing.
    ///
    /// # Errors
    /// `NotFound` when there is none; `Stale`; a store's error.
    pub fn delete_team(
        &self,
        granted: &Granted<TeamsManage>,
        id: TeamId,
        expected: Expected,
        now: Timestamp,
    ) -> Result<TeamView, ControlError> {
        let found = self.store.find_team(granted.org_id(), id)?;
        let found = found.ok_or(ControlError::NotFound("team"))?;
        check_version(expected, found.version)?;
        let audit = self.done(granted.principal(), "team.delete", id, now);
        let deleted = self.store.delete_team(granted.org_id(), id, now, &audit)?;
        deleted
            .map(TeamView::from)
            .ok_or(ControlError::NotFound("team"))
    }

    /// Returns a team that is not deleted.
    pub(crate) fn live_team(&self, org: OrgId, id: TeamId) -> Result<Team, ControlError> {
        let found = self.store.find_team(org, id)?;
        found
            .filter(|team| team.deleted_at.is_none())
            .ok_or(ControlError::NotFound("team"))
    }

    fn teams_of(
        &self,
        org: OrgId,
        own: &[TeamId],
        after: Option<TeamId>,
        limit: u16,
    ) -> Result<Vec<Team>, ControlError> {
        let mut teams = Vec::new();
        let rest = own
            .iter()
            .filter(|id| after.is_none_or(|after| **id > after));
        for id in rest {
            let found = self.store.find_team(org, *id)?;
            teams.extend(found.filter(|team| team.deleted_at.is_none()));
            if teams.len() >= usize::from(limit) {
                break;
            }
        }
        Ok(teams)
    }
}
