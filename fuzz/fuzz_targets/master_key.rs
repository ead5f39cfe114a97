//! The text of a master key: nothing panics, and what is taken is a key that may be used.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_vault::MasterKey;

fuzz_target!(|text: &str| {
    if let Ok(key) = MasterKey::parse(text) {
        MasterKey::from_bytes(key.expose()).expect("its bytes are those of a key");
    }
});
