//! Lines that say they are checkpoints: nothing panics, and none is taken that was not signed.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tollgate_audit::{Notary, NotaryKey, RootKey, verify_checkpoint, verify_pruned};

static KEY: LazyLock<NotaryKey> = LazyLock::new(|| {
    let root = RootKey::generate().expect("the system has random bytes");
    Notary::derive(&root)
        .expect("the cryptography library works")
        .public_key()
});

fuzz_target!(|text: &str| {
    assert!(verify_checkpoint(text, &KEY).is_err());
    assert!(verify_pruned(text, &KEY).is_err());
    if let Ok(key) = text.parse::<NotaryKey>() {
        assert_eq!(key.to_string(), text);
    }
});
