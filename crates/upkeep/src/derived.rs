//! Secrets as they were before they were kept: derived from the master key.

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use secrecy::zeroize::Zeroizing;
use tollgate_audit::{RootKey, Sealer};
use tollgate_domain::AuditEntry;
use tollgate_store::Store;
use tollgate_vault::MasterKey;

use crate::error::UpkeepError;
use crate::keys::MasterKeys;
use crate::secrets::{Name, SECRET_BYTES};

/// Returns what a secret was when it was derived from this master key.
pub(crate) fn derived(master_key: &MasterKey, name: Name) -> Zeroizing<[u8; SECRET_BYTES]> {
    let purpose: &[u8] = match name {
        Name::ApiKeyPepper => b"tollgate api-key pepper v1",
        Name::TokenPepper => b"tollgate token pepper v1",
        Name::AuditRootKey => b"tollgate audit root v1",
    };
    let tag = hmac::sign(&hmac::Key::new(HMAC_SHA256, master_key.expose()), purpose);
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    let places = bytes.iter_mut().zip(tag.as_ref());
    places.for_each(|(to, from)| *to = *from);
    bytes
}

/// Returns the master key that the secrets of an installation from before are derived from; `None` when
/// the installation is new.
///
/// # Errors
/// `ForeignMasterKey` when its audit log says that it is none of those at hand.
pub(crate) fn origin<'a>(
    store: &dyn Store,
    keys: &'a MasterKeys,
) -> Result<Option<&'a MasterKey>, UpkeepError> {
    match first_entry(store)? {
        Some(entry) => {
            for key in keys.all() {
                let root = RootKey::from_bytes(&derived(key, Name::AuditRootKey));
                if Sealer::derive(&root)?.fits(&entry) {
                    return Ok(Some(key));
                }
            }
            Err(UpkeepError::ForeignMasterKey)
        }
        // From before there was an audit log: nothing can tell which key it was.
        None => Ok((store.auth_epoch()? > 0).then_some(&keys.current)),
    }
}

/// Returns the first entry of the installation's chain, or else of the first organization's.
pub(crate) fn first_entry(store: &dyn Store) -> Result<Option<AuditEntry>, UpkeepError> {
    let of_installation = store.read_audit(None, 0, 1)?;
    if let Some(entry) = of_installation.into_iter().next() {
        return Ok(Some(entry));
    }
    let Some(first) = store.list_organizations(None, 1)?.into_iter().next() else {
        return Ok(None);
    };
    Ok(store.read_audit(Some(first.id), 0, 1)?.into_iter().next())
}
