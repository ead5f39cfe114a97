use std::time::{Duration, Instant};

use super::*;

const RIGHT: PasswordCheck = PasswordCheck::Right {
    needs_rehash: false,
};

#[test]
fn a_password_is_right_only_for_its_own_hash() {
    let hasher = PasswordHasher::new().unwrap();
    let stored = hasher.hash("several unusual words").unwrap();
    assert!(
        stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
        "{stored}"
    );
    assert_ne!(hasher.hash("several unusual words").unwrap(), stored);
    let check = |password| hasher.check(password, Some(&stored)).unwrap();
    assert_eq!(check("several unusual words"), RIGHT);
    assert_eq!(check("several unusual wordz"), PasswordCheck::Wrong);
    assert_eq!(check("Several unusual words"), PasswordCheck::Wrong);
    assert_eq!(check("several unusual words "), PasswordCheck::Wrong);
    assert_eq!(check(""), PasswordCheck::Wrong);
    assert_eq!(check(&"x".repeat(4_097)), PasswordCheck::Wrong);
}

#[test]
fn accents_may_be_typed_either_way_and_the_end_counts() {
    let hasher = PasswordHasher::new().unwrap();
    let stored = hasher.hash("gr\u{e4}ns\u{f6}verskridande").unwrap();
    let typed = hasher.check("gra\u{308}nso\u{308}verskridande", Some(&stored));
    assert_eq!(typed, Ok(RIGHT));
    let long = "ab".repeat(64);
    let stored = hasher.hash(&long).unwrap();
    let other = format!("{}c", &long[..127]);
    assert_eq!(
        hasher.check(&other, Some(&stored)),
        Ok(PasswordCheck::Wrong)
    );
    assert_eq!(
        hasher.hash(&"x".repeat(4_097)),
        Err(PasswordHashError::TooLong)
    );
}

#[test]
fn what_is_too_long_is_wrong_even_where_nothing_is_right() {
    let hasher = PasswordHasher::new().unwrap();
    let stored = hasher.hash("").unwrap();
    assert_eq!(hasher.check("", Some(&stored)), Ok(RIGHT));
    let long = "x".repeat(4_097);
    assert_eq!(hasher.check(&long, Some(&stored)), Ok(PasswordCheck::Wrong));
}

#[test]
fn nobody_has_a_password() {
    let hasher = PasswordHasher::new().unwrap();
    assert_eq!(hasher.check("", None), Ok(PasswordCheck::Wrong));
    assert_eq!(hasher.check("anything", None), Ok(PasswordCheck::Wrong));
}

#[test]
fn the_time_does_not_tell_who_is_known() {
    let hasher = PasswordHasher::new().unwrap();
    let stored = hasher.hash("several unusual words").unwrap();
    let least = |stored: Option<&str>| {
        let times = (0..7).map(|_| {
            let start = Instant::now();
            assert_eq!(hasher.check("wrong", stored), Ok(PasswordCheck::Wrong));
            start.elapsed()
        });
        times.min().unwrap_or(Duration::MAX)
    };
    let (known, unknown) = (least(Some(&stored)), least(None));
    assert!(
        known < unknown * 2 && unknown < known * 2,
        "{known:?} {unknown:?}"
    );
}

#[test]
fn a_hash_with_other_settings_is_right_and_due() {
    let hasher = PasswordHasher::new().unwrap();
    for (algorithm, memory, passes) in [
        (Algorithm::Argon2id, 8_192, 2),
        (Algorithm::Argon2id, MEMORY_KIB, 1),
        (Algorithm::Argon2i, MEMORY_KIB, 2),
    ] {
        let params = Params::new(memory, passes, 1, None).unwrap();
        let other = Argon2::new(algorithm, Version::V0x13, params);
        let stored = hash_with(&other, b"several unusual words").unwrap();
        let due = PasswordCheck::Right { needs_rehash: true };
        assert_eq!(
            hasher.check("several unusual words", Some(&stored)),
            Ok(due)
        );
        assert_eq!(hasher.needs_rehash(&stored), Ok(true));
    }
    let stored = hasher.hash("several unusual words").unwrap();
    assert_eq!(hasher.needs_rehash(&stored), Ok(false));
}

#[test]
fn a_known_hash_of_another_program_is_read() {
    // Made by the reference implementation: argon2 with -id -t 2 -k 65536 -p 1, version 19.
    let stored = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$\
                  CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    let hasher = PasswordHasher::new().unwrap();
    let due = PasswordCheck::Right { needs_rehash: true };
    assert_eq!(hasher.check("password", Some(stored)), Ok(due));
}

#[test]
fn what_is_not_such_a_hash_is_our_fault_and_never_right() {
    let hasher = PasswordHasher::new().unwrap();
    let long = format!(
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ${}",
        "A".repeat(600)
    );
    for stored in [
        "",
        "several unusual words",
        "$2b$12$abcdefghijklmnopqrstuv",
        "$argon2id$v=19$m=19456,t=2,p=1",
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ",
        "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$argon2id$v=19$m=19456,t=4000000,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$scrypt$ln=16,r=8,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        &long,
    ] {
        let checked = hasher.check("several unusual words", Some(stored));
        assert_eq!(checked, Err(PasswordHashError::Stored), "{stored}");
        assert_eq!(hasher.needs_rehash(stored), Err(PasswordHashError::Stored));
    }
    assert_eq!(PasswordHashError::Stored.kind(), ErrorKind::Internal);
    assert_eq!(PasswordHashError::Busy.kind(), ErrorKind::Unavailable);
}

#[test]
fn a_flood_is_answered_as_busy() {
    let hasher = PasswordHasher {
        turnstile: Turnstile::new(1, 0),
        ..PasswordHasher::new().unwrap()
    };
    let pass = hasher.turnstile.enter();
    assert_eq!(hasher.check("x", None), Err(PasswordHashError::Busy));
    assert_eq!(hasher.hash("x"), Err(PasswordHashError::Busy));
    drop(pass);
    assert_eq!(hasher.check("x", None), Ok(PasswordCheck::Wrong));
}
