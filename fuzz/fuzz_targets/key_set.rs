//! Key sets of other issuers: nothing panics, and no key makes a signature fit by itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_auth::{ExternalAlgorithm, ExternalIssuer, ExternalKeys};
use tollgate_domain::Timestamp;

fuzz_target!(|data: &[u8]| {
    let Ok(keys) = ExternalKeys::parse(data) else {
        return;
    };
    for algorithm in [
        ExternalAlgorithm::Es256,
        ExternalAlgorithm::Rs256,
        ExternalAlgorithm::EdDsa,
    ] {
        let issuer = ExternalIssuer::new("i", "a", vec![algorithm]).expect("named");
        let header = format!(r#"{{"alg":"{}"}}"#, algorithm.as_str());
        let header = data_encoding::BASE64URL_NOPAD.encode(header.as_bytes());
        let token = format!("{header}.e30.{}", "A".repeat(86));
        let now = Timestamp::from_micros(0);
        assert!(issuer.check(&keys, &token, now).is_err());
    }
});
