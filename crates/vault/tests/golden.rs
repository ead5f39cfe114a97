//! What outlives the software that wrote it. A test that fails here says that what is sealed in databases
//! cannot be opened any more: make a new version beside this one instead.

use data_encoding::HEXLOWER;
use tollgate_domain::OrgId;
use tollgate_vault::{ExposeSecret, MasterKey, Place, Sealed, Vault};

const MASTER_KEY: &str = "7c1f8e0d93a25b46e07bd1f2c3489a5566f0e1d2c3b4a5968778695a4b3c2d1e";

/// Version and key, nonce, wrapped data key, nonce, content.
const SEALED: [&str; 5] = [
    "01244c804845020a7b",
    "d603ffad22fd06b629803c92",
    "d7eb6af416e837aeac8cf6e69efae5c5951cc3df4f6769dd78f9129eab637b8c11c71c5d9680f74b759fcb737920ec78",
    "b05694ff64467733d0c3fe1d",
    "9970dc1632e3774af61bc0b4387b75685fc9d9d47489",
];

#[test]
fn a_value_that_was_sealed_by_version_1_opens() {
    let vault = Vault::new(&MasterKey::parse(MASTER_KEY).unwrap(), []).unwrap();
    let place = Place {
        table: "providers",
        row: b"openai",
        column: "api_key",
        org_id: Some(OrgId::from_bytes([2; 16])),
    };
    let bytes = HEXLOWER.decode(SEALED.concat().as_bytes()).unwrap();
    let sealed = Sealed::from_bytes(&bytes).unwrap();
    assert_eq!(vault.key_id().to_string(), "244c804845020a7b");
    assert_eq!(sealed.key_id(), vault.key_id());
    let opened = vault.open(&place, &sealed).unwrap();
    assert_eq!(opened.expose_secret(), b"sk-123");
}
