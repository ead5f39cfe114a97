//! What everything else that is secret comes from.

use std::sync::Arc;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use secrecy::zeroize::Zeroizing;
use tollgate_audit::RootKey;
use tollgate_auth::{Pepper, TokenPepper};
use tollgate_store::{SealedSecret, Store};
use tollgate_vault::{ExposeSecret as _, Place, Sealed, Vault};

use crate::derived::{derived, origin};
use crate::error::UpkeepError;
use crate::keys::MasterKeys;

/// The length of a secret.
pub(crate) const SECRET_BYTES: usize = 32;

/// The name of what a wrong master key is found by.
pub(crate) const CANARY: &str = "canary";

/// Secrets that are read at once: there are four.
pub(crate) const LISTED_MAX: u16 = 100;

/// The secrets of an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    ApiKeyPepper,
    TokenPepper,
    AuditRootKey,
}

impl Name {
    pub(crate) const ALL: [Self; 3] = [Self::ApiKeyPepper, Self::TokenPepper, Self::AuditRootKey];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::ApiKeyPepper => "api_key_pepper",
            Self::TokenPepper => "token_pepper",
            Self::AuditRootKey => "audit_root_key",
        }
    }
}

/// Where a secret is kept.
pub(crate) const fn place(name: &str) -> Place<'_> {
    Place {
        table: "installation_secrets",
        row: name.as_bytes(),
        column: "sealed",
        org_id: None,
    }
}

/// What everything else that is secret comes from, opened.
#[derive(Debug)]
pub struct Secrets {
    /// Under which API keys are kept as digests.
    pub pepper: Arc<Pepper>,
    /// Under which tokens and recovery codes are kept as digests.
    pub token_pepper: Arc<TokenPepper>,
    /// What the audit log is sealed and signed with.
    pub audit_root: RootKey,
    /// What seals values under the master key.
    pub vault: Arc<Vault>,
}

impl Secrets {
    /// Opens the secrets of an installation. A new one gets random ones; one from before there were any
    /// keeps what was derived from its master key until then, so that nothing becomes invalid. Of several
    /// processes that start at once all get the same.
    ///
    /// # Errors
    /// `WrongMasterKey`, `ForeignMasterKey`, `Damaged`, `Crypto`; a store's error.
    pub fn open(store: &dyn Store, keys: &MasterKeys) -> Result<Self, UpkeepError> {
        let vault = Arc::new(keys.vault()?);
        let mut kept = store.list_secrets(None, LISTED_MAX)?;
        if kept.is_empty() {
            let origin = origin(store, keys)?;
            let values = Name::ALL.map(|name| {
                let value = match origin {
                    Some(key) => derived(key, name),
                    None => random()?,
                };
                sealed(&vault, name.as_str(), &*value)
            });
            let canary = canary(&vault)?;
            let all: Vec<_> = std::iter::once(Ok(canary)).chain(values).collect();
            store.add_secrets(&all.into_iter().collect::<Result<Vec<_>, UpkeepError>>()?)?;
            // Another process may have been faster: what is kept is what holds.
            kept = store.list_secrets(None, LISTED_MAX)?;
        }
        check_canary(&vault, &kept)?;
        let value = |name| opened(&vault, &kept, name);
        Ok(Self {
            pepper: Arc::new(Pepper::new(&*value(Name::ApiKeyPepper)?)),
            token_pepper: Arc::new(TokenPepper::new(&*value(Name::TokenPepper)?)),
            audit_root: RootKey::from_bytes(&*value(Name::AuditRootKey)?),
            vault,
        })
    }

    /// Returns whether nothing in a database needs a master key yet, so that one may be made.
    ///
    /// # Errors
    /// A store's error.
    pub fn are_none(store: &dyn Store) -> Result<bool, UpkeepError> {
        let none = store.list_secrets(None, 1)?.is_empty();
        Ok(none && store.auth_epoch()? == 0 && crate::derived::first_entry(store)?.is_none())
    }
}

fn random() -> Result<Zeroizing<[u8; SECRET_BYTES]>, UpkeepError> {
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    let filled = SystemRandom::new().fill(&mut *bytes);
    filled.map_err(|_| UpkeepError::Crypto)?;
    Ok(bytes)
}

/// Returns a value as it is kept.
fn sealed(vault: &Vault, name: &str, value: &[u8]) -> Result<SealedSecret, UpkeepError> {
    let sealed = vault.seal(&place(name), value);
    let sealed = sealed.map_err(|error| UpkeepError::of_vault(error, vault, name))?;
    Ok(kept_form(name, &sealed, 1))
}

pub(crate) fn canary(vault: &Vault) -> Result<SealedSecret, UpkeepError> {
    let sealed = vault.canary().map_err(|_| UpkeepError::Crypto)?;
    Ok(kept_form(CANARY, &sealed, 1))
}

pub(crate) fn kept_form(name: &str, sealed: &Sealed, version: u64) -> SealedSecret {
    SealedSecret {
        name: name.to_owned(),
        sealed: sealed.to_bytes(),
        key_id: sealed.key_id().to_string(),
        version,
    }
}

fn find<'a>(kept: &'a [SealedSecret], name: &str) -> Result<&'a SealedSecret, UpkeepError> {
    let found = kept.iter().find(|secret| secret.name == name);
    found.ok_or_else(|| damaged(name))
}

/// Reads a sealed value.
pub(crate) fn read(secret: &SealedSecret) -> Result<Sealed, UpkeepError> {
    Sealed::from_bytes(&secret.sealed).map_err(|_| damaged(&secret.name))
}

fn damaged(name: &str) -> UpkeepError {
    UpkeepError::Damaged {
        name: name.to_owned(),
    }
}

/// Finds out whether these are the master keys of the database.
pub(crate) fn check_canary(vault: &Vault, kept: &[SealedSecret]) -> Result<(), UpkeepError> {
    let canary = read(find(kept, CANARY)?)?;
    let checked = vault.check_canary(&canary);
    checked.map_err(|error| UpkeepError::of_vault(error, vault, CANARY))
}

fn opened(
    vault: &Vault,
    kept: &[SealedSecret],
    name: Name,
) -> Result<Zeroizing<[u8; SECRET_BYTES]>, UpkeepError> {
    let name = name.as_str();
    let secret = read(find(kept, name)?)?;
    let value = vault.open(&place(name), &secret);
    let value = value.map_err(|error| UpkeepError::of_vault(error, vault, name))?;
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    let opened = value.expose_secret();
    if opened.len() != bytes.len() {
        return Err(damaged(name));
    }
    bytes.copy_from_slice(opened);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use tollgate_auth::KeyText;
    use tollgate_domain::{Actor, AuditDraft, Timestamp};
    use tollgate_persistence::{Database, PoolOptions, open_unsealed};
    use tollgate_store::conformance::fixtures::{audit, key, organization};
    use tollgate_vault::MasterKey;

    use super::*;
    use crate::seal::AuditSeal;

    fn keys() -> MasterKeys {
        MasterKeys {
            current: MasterKey::generate().unwrap(),
            old: Vec::new(),
        }
    }

    fn empty() -> Arc<dyn Database> {
        open_unsealed("sqlite::memory:", &PoolOptions::default()).unwrap()
    }

    /// An installation of the version before: with an API key, and all of it derived from this master key.
    fn from_before(master_key: &MasterKey) -> (Arc<dyn Database>, KeyText) {
        let store = empty();
        let root = RootKey::from_bytes(&derived(master_key, Name::AuditRootKey));
        store.seal_with(Arc::new(AuditSeal::new(&root).unwrap()));
        store.add_organization(&organization(1), &audit(1)).unwrap();
        let text = KeyText::generate().unwrap();
        let mut stored = key(1, 1);
        stored.mac = Pepper::derive(master_key.expose()).mac(&text);
        store.add_api_key(&stored, &audit(1)).unwrap();
        (store, text)
    }

    #[test]
    fn a_new_installation_gets_random_secrets_and_keeps_them() {
        let (store, keys) = (empty(), keys());
        assert!(Secrets::are_none(&*store).unwrap());
        let first = Secrets::open(&*store, &keys).unwrap();
        assert!(!Secrets::are_none(&*store).unwrap());
        let again = Secrets::open(&*store, &keys).unwrap();
        let text = KeyText::generate().unwrap();
        assert!(again.pepper.matches(&text, &first.pepper.mac(&text)));
        assert_eq!(first.audit_root.expose(), again.audit_root.expose());
        let derived = derived(&keys.current, Name::AuditRootKey);
        assert_ne!(first.audit_root.expose(), &*derived);
        let kept = store.list_secrets(None, 9).unwrap();
        let names: Vec<_> = kept.iter().map(|kept| kept.name.as_str()).collect();
        assert_eq!(
            names,
            ["api_key_pepper", "audit_root_key", "canary", "token_pepper"]
        );
    }

    #[test]
    fn an_installation_from_before_keeps_what_was_derived() {
        let master_key = MasterKey::generate().unwrap();
        let (store, text) = from_before(&master_key);
        let stored = store
            .find_api_key_by_public_id(&key(1, 1).public_id)
            .unwrap();
        let stored = stored.unwrap();
        // The new key is in place already, and the one that it replaces is among the old ones.
        let keys = MasterKeys {
            current: MasterKey::generate().unwrap(),
            old: vec![master_key],
        };
        assert!(!Secrets::are_none(&*store).unwrap());
        let secrets = Secrets::open(&*store, &keys).unwrap();
        assert!(secrets.pepper.matches(&text, &stored.mac));
        let entry = store.read_audit(Some(organization(1).id), 0, 1).unwrap();
        let sealer = tollgate_audit::Sealer::derive(&secrets.audit_root).unwrap();
        assert!(sealer.fits(&entry[0]));
        let token = tollgate_auth::SecretToken::generate(tollgate_auth::TokenPurpose::Session);
        let token = token.unwrap();
        let before = TokenPepper::derive(keys.old[0].expose());
        assert!(secrets.token_pepper.matches(&token, &before.mac(&token)));
    }

    #[test]
    fn another_master_key_is_refused_and_changes_nothing() {
        let (store, _) = from_before(&MasterKey::generate().unwrap());
        let refused = Secrets::open(&*store, &keys());
        assert!(matches!(refused, Err(UpkeepError::ForeignMasterKey)));
        assert_eq!(store.list_secrets(None, 9).unwrap(), []);

        let store = empty();
        Secrets::open(&*store, &keys()).unwrap();
        let kept = store.list_secrets(None, 9).unwrap();
        let error = Secrets::open(&*store, &keys()).unwrap_err();
        assert!(matches!(error, UpkeepError::WrongMasterKey { .. }));
        assert!(error.to_string().contains(&kept[0].key_id), "{error}");
        assert_eq!(store.list_secrets(None, 9).unwrap(), kept);
    }

    #[test]
    fn processes_that_start_at_once_agree() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/t.db", folder.path().display());
        let master_key = MasterKey::generate().unwrap();
        let opened: Vec<_> = std::thread::scope(|scope| {
            let one = || {
                let store = open_unsealed(&url, &PoolOptions::default()).unwrap();
                let keys = MasterKeys {
                    current: MasterKey::from_bytes(master_key.expose()).unwrap(),
                    old: Vec::new(),
                };
                *Secrets::open(&*store, &keys).unwrap().audit_root.expose()
            };
            let threads: Vec<_> = (0..6).map(|_| scope.spawn(one)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(opened.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn a_secret_in_the_place_of_another_is_damaged() {
        let (store, keys) = (empty(), keys());
        let secrets = Secrets::open(&*store, &keys).unwrap();
        store.seal_with(Arc::new(AuditSeal::new(&secrets.audit_root).unwrap()));
        let kept = store.list_secrets(None, 9).unwrap();
        let moved = SealedSecret {
            sealed: find(&kept, "token_pepper").unwrap().sealed.clone(),
            ..find(&kept, "api_key_pepper").unwrap().clone()
        };
        let audit = AuditDraft::done(Actor::System, "test", Timestamp::from_micros(1));
        store.replace_secrets(&[moved], &audit).unwrap();
        let error = Secrets::open(&*store, &keys).unwrap_err();
        assert!(
            matches!(&error, UpkeepError::Damaged { name } if name == "api_key_pepper"),
            "{error}"
        );
    }
}
