//! Files that are said to hold checkpoints: nothing panics, and none is taken that was not signed.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tollgate_audit::RootKey;
use tollgate_upkeep::{AuditLog, KeptCheckpoints};

static LOG: LazyLock<AuditLog> = LazyLock::new(|| {
    let root = RootKey::generate().expect("the system has random bytes");
    AuditLog::new(&root).expect("the cryptography library works")
});

fuzz_target!(|bytes: &[u8]| {
    let kept = KeptCheckpoints::read(bytes, &LOG.public_key()).expect("memory can be read");
    assert_eq!(kept.count(), 0);
});
