//! API keys: changed and rotated.

use tollgate_auth::{KeyText, KeysManage, Reach};
use tollgate_domain::{ApiKey, AuditDraft, KeyId, PreviousMac, Timestamp};
use tollgate_validation::{ApiKeyChange, Expected, KeyRotation, Valid};

use super::{CreatedKey, KeyView};
use crate::attenuate::Giver;
use crate::control::{Control, check_version};
use crate::error::ControlError;
use crate::limits::{LimitsChange, given_names};

impl Control {
    /// Changes the fields of a key that are given.
    ///
    /// Whoever changes a key has all the rights that it has, and gives it nothing that they do not
    /// have. Only blocking it takes no more than managing keys does, as revoking it.
    ///
    /// # Errors
    /// `NotFound` when there is no such key within reach that is not revoked; `Stale`; `Exceeds`; `Invalid` for
    /// a window without a budget or a time that has passed; `Conflict` when somebody else changed it at
    /// the same time; a store's error.
    pub fn change_key(
        &self,
        reach: &Reach<KeysManage>,
        id: KeyId,
        input: Valid<ApiKeyChange>,
        expected: Expected,
        now: Timestamp,
    ) -> Result<KeyView, ControlError> {
        let input = input.into_inner();
        let before = self.key_within(reach, id)?;
        let giver = self.giver(reach.principal(), now)?;
        let only_blocks = ApiKeyChange {
            blocked: Some(true),
            ..ApiKeyChange::default()
        };
        if input != only_blocks {
            self.check_has_all_of(reach, &giver, &before)?;
        }
        check_version(expected, before.version)?;
        if input.expires_at.flatten().is_some_and(|end| end <= now) {
            return Err(ControlError::Invalid("expires_at lies in the past"));
        }
        let details = given_fields(&input);
        let after = changed(&before, input)?;
        giver.check_bounds(Some(&before), &after)?;
        let audit = AuditDraft {
            details,
            ..self.done(reach.principal(), "key.change", id, now)
        };
        let version = self.store.update_api_key(&after, &audit);
        let version = version.map_err(|error| ControlError::changing(expected, error))?;
        Ok(KeyView::new(ApiKey { version, ..after }, now))
    }

    /// Gives a key a new secret under the same public id; the old one works on for as long as is asked
    /// for. A secret that was to work on from an earlier rotation ends now.
    ///
    /// # Errors
    /// `NotFound` when there is no such key within reach that is not revoked; `Stale`; `Exceeds` when the caller
    /// may not do or have all that the key does: its secret would be a way to more; `Conflict` when
    /// somebody else changed it at the same time; a store's error.
    pub fn rotate_key(
        &self,
        reach: &Reach<KeysManage>,
        id: KeyId,
        input: &Valid<KeyRotation>,
        expected: Expected,
        now: Timestamp,
    ) -> Result<CreatedKey, ControlError> {
        let before = self.key_within(reach, id)?;
        let giver = self.giver(reach.principal(), now)?;
        self.check_has_all_of(reach, &giver, &before)?;
        giver.check_bounds(None, &before)?;
        check_version(expected, before.version)?;
        let text = KeyText::rotate(&before.public_id)?;
        let overlap = i64::from(input.overlap_seconds);
        let previous = (overlap > 0).then(|| PreviousMac {
            mac: before.mac,
            until: now.plus_seconds(overlap),
        });
        let after = ApiKey {
            mac: self.pepper.mac(&text),
            previous,
            ..before
        };
        let audit = self.done(reach.principal(), "key.rotate", id, now);
        let version = self.store.update_api_key(&after, &audit);
        let version = version.map_err(|error| ControlError::changing(expected, error))?;
        Ok(CreatedKey {
            key: text.expose().to_owned(),
            view: KeyView::new(ApiKey { version, ..after }, now),
        })
    }

    fn check_has_all_of(
        &self,
        reach: &Reach<KeysManage>,
        giver: &Giver<'_>,
        key: &ApiKey,
    ) -> Result<(), ControlError> {
        let permissions = self.permissions_of(reach.principal(), key.role)?;
        giver.check_rights(permissions, key.scopes, key.team_id)
    }
}

fn changed(before: &ApiKey, input: ApiKeyChange) -> Result<ApiKey, ControlError> {
    let limits = limits_change(&input);
    let old = before.clone();
    let metadata = input
        .metadata
        .map(|object| serde_json::Value::Object(object).to_string());
    Ok(ApiKey {
        name: input.name.unwrap_or(old.name),
        models: input.models.unwrap_or(old.models),
        allowed_ips: input.allowed_ips.unwrap_or(old.allowed_ips),
        limits: limits.limits(old.limits),
        budget: limits.budget(old.budget)?,
        metadata: metadata.unwrap_or(old.metadata),
        tags: input.tags.unwrap_or(old.tags),
        blocked: input.blocked.unwrap_or(old.blocked),
        expires_at: input.expires_at.unwrap_or(old.expires_at),
        ..old
    })
}

const fn limits_change(input: &ApiKeyChange) -> LimitsChange {
    LimitsChange {
        rpm_limit: input.rpm_limit,
        tpm_limit: input.tpm_limit,
        max_parallel_requests: input.max_parallel_requests,
        max_budget: input.max_budget,
        budget_duration: input.budget_duration,
    }
}

fn given_fields(input: &ApiKeyChange) -> String {
    let own = [
        ("name", input.name.is_some()),
        ("models", input.models.is_some()),
        ("allowed_ips", input.allowed_ips.is_some()),
        ("blocked", input.blocked.is_some()),
        ("metadata", input.metadata.is_some()),
        ("tags", input.tags.is_some()),
        ("expires_at", input.expires_at.is_some()),
    ];
    given_names(own.into_iter().chain(limits_change(input).fields()))
}
