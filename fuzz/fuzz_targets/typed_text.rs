//! What people type or paste: nothing panics, and what is read reads again as itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_auth::{RecoveryCode, SecretToken, TokenPurpose, TotpSecret};
use tollgate_domain::Timestamp;
use tollgate_validation::{DisplayName, EmailAddress};

fuzz_target!(|text: &str| {
    if let Ok(email) = EmailAddress::parse(text) {
        let again = EmailAddress::parse(email.canonical()).expect("a canonical form is an address");
        assert_eq!(again.canonical(), email.canonical());
    }
    if let Ok(name) = DisplayName::parse(text) {
        assert_eq!(DisplayName::parse(name.as_str()).as_ref(), Ok(&name));
    }
    if let Ok(code) = RecoveryCode::parse(text) {
        let shown = code.expose();
        let again = RecoveryCode::parse(&shown).expect("what is shown can be typed");
        assert_eq!(again.expose(), shown);
    }
    for purpose in TokenPurpose::ALL {
        if let Ok(token) = SecretToken::parse(purpose, text) {
            assert_eq!(token.expose(), text);
        }
    }
    let secret = TotpSecret::from_bytes([7; 20]);
    std::hint::black_box(secret.check(text, Timestamp::from_micros(0), None).is_ok());
});
