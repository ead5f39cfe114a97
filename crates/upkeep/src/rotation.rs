//! A new master key takes over: everything that is sealed is sealed under it.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use tollgate_domain::{Actor, AuditDraft, Timestamp, User, UserId};
use tollgate_store::{RewrappedTotp, SealedSecret, Store};
use tollgate_vault::{KeyId, Place, Sealed, Vault};

use crate::error::UpkeepError;
use crate::secrets::{CANARY, LISTED_MAX, canary, check_canary, kept_form, place, read};

/// Users that are looked at together, and the most values that are replaced in one transaction.
const USERS_MAX: u16 = 100;

/// Which master keys the sealed values of an installation need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecretsStatus {
    /// The id of the current master key.
    pub key_id: String,
    /// Values that need an old master key.
    pub needs_rewrap: u64,
    /// Values that need a master key which is not at hand.
    pub lost: u64,
    /// Values that are no sealed values any more.
    pub damaged: u64,
    /// How many values there are, by the master key that they need.
    pub keys: Vec<SealedUnder>,
}

/// The values that are sealed under one master key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SealedUnder {
    /// The key's id.
    pub key_id: String,
    /// Secrets of the installation.
    pub secrets: u64,
    /// Second factors of people.
    pub second_factors: u64,
}

impl SecretsStatus {
    /// Returns whether nothing but the current master key is needed.
    #[must_use]
    pub const fn is_current(&self) -> bool {
        self.needs_rewrap == 0 && self.lost == 0 && self.damaged == 0
    }
}

impl fmt::Display for SecretsStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the current master key is {}", self.key_id)?;
        for under in &self.keys {
            let SealedUnder {
                key_id,
                secrets,
                second_factors,
            } = under;
            writeln!(
                f,
                "under {key_id}: {secrets} secrets of the installation, {second_factors} second factors"
            )?;
        }
        if self.lost > 0 {
            writeln!(f, "{} values need a key that is not at hand", self.lost)?;
        }
        if self.damaged > 0 {
            writeln!(f, "{} values are damaged", self.damaged)?;
        }
        if self.needs_rewrap > 0 {
            return write!(
                f,
                "{} values need an old key: run `tollgate secrets rotate`",
                self.needs_rewrap
            );
        }
        f.write_str("no value needs an old key")
    }
}

/// A step of a rotation, which a process that dies loses whole or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RotationStep {
    /// Its number, from 1.
    pub number: u64,
    /// How many values it has replaced.
    pub replaced: usize,
}

/// Where a user's second factor is kept.
fn totp_place(user: &UserId) -> Place<'_> {
    Place {
        table: "users",
        row: user.as_bytes(),
        column: "totp",
        org_id: None,
    }
}

/// Returns which master keys the sealed values of an installation need.
///
/// # Errors
/// `WrongMasterKey`, `Damaged` when the canary is; a store's error.
pub fn secrets_status(store: &dyn Store, vault: &Vault) -> Result<SecretsStatus, UpkeepError> {
    let secrets = store.list_secrets(None, LISTED_MAX)?;
    check_canary(vault, &secrets)?;
    let mut count = Count::default();
    for secret in &secrets {
        count.add(vault, &secret.sealed, |under| &mut under.secrets);
    }
    each_page_of_users(store, |users| {
        for totp in users.iter().filter_map(|user| user.totp.as_ref()) {
            count.add(vault, totp, |under| &mut under.second_factors);
        }
        Ok(())
    })?;
    Ok(SecretsStatus {
        key_id: vault.key_id().to_string(),
        needs_rewrap: count.needs_rewrap,
        lost: count.lost,
        damaged: count.damaged,
        keys: count.keys.into_values().collect(),
    })
}

#[derive(Default)]
struct Count {
    keys: BTreeMap<String, SealedUnder>,
    needs_rewrap: u64,
    lost: u64,
    damaged: u64,
}

impl Count {
    fn add(&mut self, vault: &Vault, bytes: &[u8], kind: impl Fn(&mut SealedUnder) -> &mut u64) {
        let Ok(sealed) = Sealed::from_bytes(bytes) else {
            self.damaged += 1;
            return;
        };
        let key: KeyId = sealed.key_id();
        let under = self.keys.entry(key.to_string()).or_default();
        under.key_id = key.to_string();
        *kind(under) += 1;
        if !vault.has_key(key) {
            self.lost += 1;
        } else if vault.needs_rewrap(&sealed) {
            self.needs_rewrap += 1;
        }
    }
}

/// Wraps everything that is sealed under an old master key anew, under the current one. Each step is a
/// transaction with its audit entry; a rotation that was cut off goes on where it was, and one that is
/// done does nothing. What cannot be opened stays as it is: [`secrets_status`] tells of it afterwards.
/// `done` hears of each step.
///
/// # Errors
/// `WrongMasterKey`, `Damaged` when the canary or a secret of the installation is; a store's error.
pub fn rotate(
    store: &dyn Store,
    vault: &Vault,
    now: impl Fn() -> Timestamp,
    mut done: impl FnMut(RotationStep),
) -> Result<(), UpkeepError> {
    let mut number = 0;
    let mut step = |replaced: usize| {
        if replaced > 0 {
            number += 1;
            done(RotationStep { number, replaced });
        }
    };
    let audit = || AuditDraft::done(Actor::System, "secrets.rotate", now()).about(vault.key_id());
    // Second factors first: while the canary is under the old key, nobody takes that key away.
    each_page_of_users(store, |users| {
        let rewrapped: Vec<_> = users
            .iter()
            .filter_map(|user| rewrapped(vault, user))
            .collect();
        step(store.rewrap_totps(&rewrapped, &audit())?);
        Ok(())
    })?;
    let secrets = store.list_secrets(None, LISTED_MAX)?;
    check_canary(vault, &secrets)?;
    let mut replaced = Vec::new();
    for secret in &secrets {
        replaced.extend(rewrapped_secret(vault, secret)?);
    }
    store.replace_secrets(&replaced, &audit())?;
    step(replaced.len());
    Ok(())
}

/// `None` when there is none, or it is under the current key, or does not open.
fn rewrapped(vault: &Vault, user: &User) -> Option<RewrappedTotp> {
    let from = user.totp.as_ref()?;
    let sealed = Sealed::from_bytes(from).ok()?;
    if !vault.needs_rewrap(&sealed) {
        return None;
    }
    let to = vault.rewrap(&totp_place(&user.id), &sealed).ok()?;
    Some(RewrappedTotp {
        user_id: user.id,
        from: from.clone(),
        to: to.to_bytes(),
    })
}

fn rewrapped_secret(
    vault: &Vault,
    secret: &SealedSecret,
) -> Result<Option<SealedSecret>, UpkeepError> {
    let name = &secret.name;
    let sealed = read(secret)?;
    if !vault.needs_rewrap(&sealed) {
        return Ok(None);
    }
    if name == CANARY {
        let version = secret.version;
        return Ok(Some(SealedSecret {
            version,
            ..canary(vault)?
        }));
    }
    let to = vault.rewrap(&place(name), &sealed);
    let to = to.map_err(|error| UpkeepError::of_vault(error, vault, name))?;
    Ok(Some(kept_form(name, &to, secret.version)))
}

fn each_page_of_users(
    store: &dyn Store,
    mut page: impl FnMut(&[User]) -> Result<(), UpkeepError>,
) -> Result<(), UpkeepError> {
    let mut after = None;
    loop {
        let users = store.list_users(after, USERS_MAX)?;
        page(&users)?;
        match users.last() {
            Some(last) if users.len() == usize::from(USERS_MAX) => after = Some(last.id),
            _ => return Ok(()),
        }
    }
}
