//! The keys that sign access tokens: made, kept sealed, turned.

use parking_lot::Mutex;
use tollgate_auth::{
    AccessTokens, KeyRing, NEXT_KEY_SECONDS_MIN, RETIRING_KEY_SECONDS_MIN, SigningKey,
};
use tollgate_domain::{Actor, AuditDraft, Timestamp};
use tollgate_store::SealedSigningKey;
use tollgate_vault::{ExposeSecret, Place, Sealed};

use super::{AccountError, Accounts};

/// For how long a key signs; the next one is published all that time.
const SIGNING_KEY_SECONDS: i64 = 30 * 86_400;

const _: () = assert!(SIGNING_KEY_SECONDS >= NEXT_KEY_SECONDS_MIN);

/// How long what was read of the keys is believed. It is much less than the time that a key is known
/// before it signs, so that every replica knows it by then.
const KEYS_BELIEVED_SECONDS: i64 = 60;

/// What access tokens are for.
const AUDIENCE: &str = "tollgate";

/// The keys as they were last read.
#[derive(Debug, Default)]
pub(super) struct SigningKeys(Mutex<Option<Known>>);

#[derive(Debug, Clone)]
struct Known {
    tokens: AccessTokens,
    read_at: Timestamp,
    /// When another key begins to sign.
    turns_at: Timestamp,
}

/// Where a key is kept.
fn place(generation: &[u8; 4]) -> Place<'_> {
    Place {
        table: "signing_keys",
        row: generation,
        column: "sealed",
        org_id: None,
    }
}

impl Accounts {
    /// Returns the public keys of access tokens as a JSON Web Key Set. The first time makes them.
    ///
    /// # Errors
    /// A store's error; `Vault` when a key cannot be opened.
    pub fn jwks(&self, now: Timestamp) -> Result<serde_json::Value, AccountError> {
        Ok(self.access_tokens(now)?.ring().jwks())
    }

    /// Returns what signs and checks access tokens now.
    pub(super) fn access_tokens(&self, now: Timestamp) -> Result<AccessTokens, AccountError> {
        let known = self.signing.0.lock().clone();
        if let Some(known) = known {
            let end = known.read_at.plus_seconds(KEYS_BELIEVED_SECONDS);
            if (known.read_at..end.min(known.turns_at)).contains(&now) {
                return Ok(known.tokens);
            }
        }
        let known = self.read_keys(now)?;
        let tokens = known.tokens.clone();
        *self.signing.0.lock() = Some(known);
        Ok(tokens)
    }

    fn read_keys(&self, now: Timestamp) -> Result<Known, AccountError> {
        let mut kept = self.store().list_signing_keys()?;
        if kept.last().is_none_or(|newest| newest.signs_from <= now) {
            self.add_keys(kept.last(), now)?;
            kept = self.store().list_signing_keys()?;
        }
        let turned = kept.iter().filter(|key| key.signs_from <= now).count();
        // A clock that is behind uses the first.
        let at = turned.saturating_sub(1);
        let (Some(current), Some(next)) = (kept.get(at), kept.get(at + 1)) else {
            return Err(AccountError::NoSigningKey);
        };
        let mut retiring = Vec::new();
        let mut began = current.signs_from;
        for key in kept.iter().take(at).rev() {
            if now >= began.plus_seconds(RETIRING_KEY_SECONDS_MIN) {
                let audit = AuditDraft::done(Actor::System, "signing_key.remove", now);
                let audit = audit.about(&key.kid);
                self.store()
                    .remove_signing_keys(key.generation.saturating_add(1), &audit)?;
                break;
            }
            retiring.push(self.open_key(key, now)?);
            began = key.signs_from;
        }
        let ring = KeyRing::new(
            self.open_key(current, now)?,
            self.open_key(next, now)?,
            retiring,
        )?;
        Ok(Known {
            tokens: AccessTokens::new(&*self.config.token_issuer, AUDIENCE, ring),
            read_at: now,
            turns_at: next.signs_from,
        })
    }

    /// Makes the generation that follows the newest one, and both of the first two at the beginning.
    /// Another process may have been faster: then its keys stand.
    fn add_keys(
        &self,
        newest: Option<&SealedSigningKey>,
        now: Timestamp,
    ) -> Result<(), AccountError> {
        let later = now.plus_seconds(SIGNING_KEY_SECONDS);
        let made = match newest {
            None => vec![self.new_key(0, now)?, self.new_key(1, later)?],
            Some(newest) => vec![self.new_key(newest.generation.saturating_add(1), later)?],
        };
        let audit = AuditDraft::done(Actor::System, "signing_key.create", now);
        let audit = audit.about(made.last().map_or("", |key| &key.kid));
        self.store().add_signing_keys(&made, &audit)?;
        Ok(())
    }

    fn new_key(
        &self,
        generation: u32,
        signs_from: Timestamp,
    ) -> Result<SealedSigningKey, AccountError> {
        let key = SigningKey::generate()?;
        let row = generation.to_be_bytes();
        let sealed = self.parts.vault.seal(&place(&row), key.expose_pkcs8())?;
        Ok(SealedSigningKey {
            generation,
            kid: key.kid().to_owned(),
            key_id: sealed.key_id().to_string(),
            sealed: sealed.to_bytes(),
            signs_from,
        })
    }

    fn open_key(
        &self,
        kept: &SealedSigningKey,
        now: Timestamp,
    ) -> Result<SigningKey, AccountError> {
        let row = kept.generation.to_be_bytes();
        let sealed = Sealed::from_bytes(&kept.sealed)?;
        let opened = self.parts.vault.open(&place(&row), &sealed)?;
        if self.parts.vault.needs_rewrap(&sealed) {
            self.reseal(kept, &self.parts.vault.rewrap(&place(&row), &sealed)?, now)?;
        }
        Ok(SigningKey::from_pkcs8(opened.expose_secret())?)
    }

    /// Keeps a key under the master key of today. Another process may have been faster.
    fn reseal(
        &self,
        kept: &SealedSigningKey,
        sealed: &Sealed,
        now: Timestamp,
    ) -> Result<(), AccountError> {
        let key = SealedSigningKey {
            sealed: sealed.to_bytes(),
            key_id: sealed.key_id().to_string(),
            ..kept.clone()
        };
        let audit = AuditDraft::done(Actor::System, "signing_key.reseal", now);
        self.store()
            .reseal_signing_key(&key, &kept.key_id, &audit.about(&key.kid))?;
        Ok(())
    }
}
