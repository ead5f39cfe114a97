//! Refresh tokens and signing keys in memory.

use tollgate_domain::{AuditDraft, MAC_BYTES, Timestamp};

use crate::error::StoreError;
use crate::memory::{Change, MemoryStore};
use crate::tokens::{
    REFRESH_TOKEN, RefreshToken, RefreshTokenStore, SIGNING_KEYS_MAX, SealedSigningKey,
    SigningKeyStore, check_signing_key,
};

impl RefreshTokenStore for MemoryStore {
    fn add_refresh_token(
        &self,
        token: &RefreshToken,
        audit: &AuditDraft,
    ) -> Result<(), StoreError> {
        let what = REFRESH_TOKEN;
        self.change(None, audit, |state| {
            if !state.sessions.contains_key(&token.session_id) {
                return Err(StoreError::Missing { what });
            }
            if state.refresh_tokens.contains_key(&token.mac) {
                return Err(StoreError::Conflict { what });
            }
            state.refresh_tokens.insert(token.mac, *token);
            Ok(((), Change::Audited))
        })
    }

    fn find_refresh_token(
        &self,
        mac: &[u8; MAC_BYTES],
    ) -> Result<Option<RefreshToken>, StoreError> {
        Ok(self.state.lock().refresh_tokens.get(mac).copied())
    }

    fn exchange_refresh_token(
        &self,
        mac: &[u8; MAC_BYTES],
        successor: &RefreshToken,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut state = self.state.lock();
        let is_taken = state.refresh_tokens.contains_key(&successor.mac);
        let found = state.refresh_tokens.get_mut(mac);
        let Some(token) = found.filter(|token| token.used.is_none()) else {
            return Ok(false);
        };
        if is_taken {
            let what = REFRESH_TOKEN;
            return Err(StoreError::Conflict { what });
        }
        token.used = Some((at, successor.mac));
        state.refresh_tokens.insert(successor.mac, *successor);
        Ok(true)
    }
}

impl SigningKeyStore for MemoryStore {
    fn add_signing_keys(
        &self,
        keys: &[SealedSigningKey],
        audit: &AuditDraft,
    ) -> Result<bool, StoreError> {
        keys.iter().try_for_each(check_signing_key)?;
        self.change(None, audit, |state| {
            let is_there =
                |key: &SealedSigningKey| state.signing_keys.contains_key(&key.generation);
            let is_free = !keys.is_empty() && !keys.iter().any(is_there);
            if is_free {
                let all = keys.iter().map(|key| (key.generation, key.clone()));
                state.signing_keys.extend(all);
            }
            Ok((is_free, Change::audited_if(is_free)))
        })
    }

    fn list_signing_keys(&self) -> Result<Vec<SealedSigningKey>, StoreError> {
        let state = self.state.lock();
        let all = state.signing_keys.values();
        Ok(all.take(usize::from(SIGNING_KEYS_MAX)).cloned().collect())
    }

    fn reseal_signing_key(
        &self,
        key: &SealedSigningKey,
        under: &str,
        audit: &AuditDraft,
    ) -> Result<bool, StoreError> {
        check_signing_key(key)?;
        self.change(None, audit, |state| {
            let found = state.signing_keys.get_mut(&key.generation);
            let Some(kept) = found.filter(|kept| kept.key_id == under) else {
                return Ok((false, Change::None));
            };
            kept.sealed.clone_from(&key.sealed);
            kept.key_id.clone_from(&key.key_id);
            Ok((true, Change::Audited))
        })
    }

    fn remove_signing_keys(&self, before: u32, audit: &AuditDraft) -> Result<usize, StoreError> {
        self.change(None, audit, |state| {
            let count = state.signing_keys.range(..before).count();
            state
                .signing_keys
                .retain(|generation, _| *generation >= before);
            Ok((count, Change::audited_if(count > 0)))
        })
    }
}
