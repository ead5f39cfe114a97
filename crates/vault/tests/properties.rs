//! What holds for every value, place and key.
#![expect(clippy::unwrap_used, reason = "what cannot be set up fails its test")]

use proptest::prelude::*;
use tollgate_domain::{ErrorKind, OrgId};
use tollgate_vault::{
    ExposeSecret, MasterKey, PLAINTEXT_BYTES_MAX, Place, Sealed, Vault, VaultError,
};

const PLACE: Place<'_> = Place {
    table: "providers",
    row: b"row",
    column: "api_key",
    org_id: None,
};

/// Where the master key's id ends.
const HEAD: usize = 9;

fn key(number: u8) -> MasterKey {
    let bytes = std::array::from_fn(|at| match u8::try_from(at).unwrap() {
        0 => number,
        at => at.wrapping_mul(at).wrapping_mul(37) ^ at,
    });
    MasterKey::from_bytes(&bytes).unwrap()
}

fn vault(number: u8) -> Vault {
    Vault::new(&key(number), []).unwrap()
}

type Parts = (String, Vec<u8>, String, Option<[u8; 16]>);

/// Few different ones, so that two are often the same.
fn places() -> impl Strategy<Value = Parts> {
    (
        "[ab]{0,2}",
        prop::collection::vec(b'a'..=b'b', 0..2),
        "[ab]{0,1}",
        prop::option::of(Just([7; 16])),
    )
}

fn place(parts: &Parts) -> Place<'_> {
    Place {
        table: &parts.0,
        row: &parts.1,
        column: &parts.2,
        org_id: parts.3.map(OrgId::from_bytes),
    }
}

#[test]
fn each_flipped_bit_is_refused() {
    let vault = vault(1);
    let whole = vault.seal(&PLACE, b"sk-0123456789").unwrap().to_bytes();
    for bit in 0..8 * whole.len() {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let opened = Sealed::from_bytes(&bytes).and_then(|sealed| vault.open(&PLACE, &sealed));
        assert!(opened.is_err(), "bit {bit}");
    }
}

#[test]
fn a_value_is_sealed_up_to_its_bound() {
    let (vault, longest) = (vault(1), vec![7; PLAINTEXT_BYTES_MAX]);
    let sealed = vault.seal(&PLACE, &longest).unwrap();
    assert_eq!(sealed.to_bytes().len(), PLAINTEXT_BYTES_MAX + 97);
    assert_eq!(
        vault.open(&PLACE, &sealed).unwrap().expose_secret(),
        longest
    );
    let longer = vec![7; PLAINTEXT_BYTES_MAX + 1];
    assert_eq!(vault.seal(&PLACE, &longer), Err(VaultError::TooLarge));
    assert_eq!(VaultError::TooLarge.kind(), ErrorKind::TooLarge);
}

#[test]
fn nothing_is_shown() {
    let vault = Vault::new(&key(1), [&key(2)]).unwrap();
    assert_eq!(
        format!("{vault:?}"),
        format!("Vault({} and 1 old)", vault.key_id())
    );
    let opened = vault
        .open(&PLACE, &vault.seal(&PLACE, b"abc").unwrap())
        .unwrap();
    assert!(!format!("{opened:?}").contains("abc"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_is_sealed_opens_at_its_place_and_nowhere_else(
        plaintext in prop::collection::vec(any::<u8>(), 0..300),
        here in places(),
        there in places(),
    ) {
        let vault = vault(1);
        let bytes = vault.seal(&place(&here), &plaintext).unwrap().to_bytes();
        let sealed = Sealed::from_bytes(&bytes).unwrap();
        let opened = vault.open(&place(&here), &sealed).unwrap();
        prop_assert_eq!(opened.expose_secret(), &plaintext[..]);
        let elsewhere = vault.open(&place(&there), &sealed);
        prop_assert_eq!(elsewhere.is_ok(), here == there);
        let rewrapped = vault.rewrap(&place(&there), &sealed);
        prop_assert_eq!(rewrapped.is_ok(), here == there);
    }

    #[test]
    fn a_flipped_bit_anywhere_is_refused(
        plaintext in prop::collection::vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
        bit in 0..8,
    ) {
        let vault = vault(1);
        let mut bytes = vault.seal(&PLACE, &plaintext).unwrap().to_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        let opened = Sealed::from_bytes(&bytes).and_then(|sealed| vault.open(&PLACE, &sealed));
        prop_assert!(opened.is_err());
    }

    #[test]
    fn another_key_opens_nothing(one in 0..20_u8, other in 0..20_u8) {
        let mut bytes = vault(one).seal(&PLACE, b"x").unwrap().to_bytes();
        let opens = |bytes: &[u8]| {
            vault(other).open(&PLACE, &Sealed::from_bytes(bytes).unwrap()).is_ok()
        };
        prop_assert_eq!(opens(&bytes), one == other);
        // Nor when the bytes claim to be its own.
        let own = vault(other).seal(&PLACE, b"x").unwrap().to_bytes();
        bytes[..HEAD].copy_from_slice(&own[..HEAD]);
        prop_assert_eq!(opens(&bytes), one == other);
    }

    #[test]
    fn no_bytes_make_it_panic_or_open(rest in prop::collection::vec(any::<u8>(), 0..300)) {
        let vault = vault(1);
        let mut bytes = vault.seal(&PLACE, b"x").unwrap().to_bytes();
        bytes.truncate(HEAD);
        bytes.extend(rest);
        if let Ok(sealed) = Sealed::from_bytes(&bytes) {
            prop_assert_eq!(sealed.to_bytes(), bytes);
            prop_assert!(vault.open(&PLACE, &sealed).is_err());
        }
    }
}
