//! What is said to be a backup's manifest: nothing panics, and no name leads out of the backup.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_upkeep::Manifest;

fuzz_target!(|bytes: &[u8]| {
    let Ok(manifest) = Manifest::parse(bytes) else {
        return;
    };
    for file in &manifest.files {
        assert!(!file.path.starts_with('/') && !file.path.contains(".."));
        assert!(file.path == "tollgate.db" || file.path.starts_with("journal/"));
    }
    let text = serde_json::to_vec(&manifest).expect("it has a JSON form");
    assert_eq!(Manifest::parse(&text).expect("what it has written"), manifest);
});
