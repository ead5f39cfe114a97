//! Sealed values as a database may hold them: nothing panics, what is read is written back the same, and
//! nothing that was not sealed opens.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tollgate_vault::{MasterKey, Place, Sealed, Vault};

static VAULT: LazyLock<Vault> = LazyLock::new(|| {
    let key = MasterKey::generate().expect("the system has random bytes");
    Vault::new(&key, []).expect("the cryptography library works")
});

fuzz_target!(|data: &[u8]| {
    // The random id of the master key, which no input would hit.
    let own = VAULT.canary().expect("a value is sealed").to_bytes();
    let (head, _) = own.split_at(9);
    for bytes in [data.to_vec(), [head, data].concat()] {
        let Ok(sealed) = Sealed::from_bytes(&bytes) else {
            continue;
        };
        assert_eq!(sealed.to_bytes(), bytes);
        let place = Place {
            table: "t",
            row: b"r",
            column: "c",
            org_id: None,
        };
        assert!(VAULT.open(&place, &sealed).is_err());
        assert!(VAULT.rewrap(&place, &sealed).is_err());
    }
});
