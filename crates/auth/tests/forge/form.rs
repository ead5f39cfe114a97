//! Keys, signatures and bytes that are not those of the token.

use data_encoding::{BASE64, BASE64URL, BASE64URL_NOPAD};
use tollgate_auth::TokenError::{Malformed, MissingClaim, Signature, TooLong, UnknownKey};
use tollgate_auth::{KeyText, SecretToken, SigningKey, TokenPurpose};

use crate::{Target, changed, encoded, json, payload};

#[test]
fn t_forge_08_the_key_of_another_ring() {
    let (target, attacker) = (Target::new(), Target::new());
    target.refuses(&attacker.good(), UnknownKey);
    target.refuses(&attacker.signed(&target.header(), &payload()), Signature);
}

#[test]
fn t_forge_09_the_name_of_another_key_of_the_ring() {
    let target = Target::new();
    let next = target
        .tokens
        .ring()
        .keys()
        .nth(1)
        .map(SigningKey::kid)
        .unwrap();
    target.refuses_header(&[("kid", &format!("\"{next}\""))], Signature);
}

#[test]
fn t_forge_10_the_signature_of_another_token() {
    let target = Target::new();
    let other = target.signed(&target.header(), &changed(&payload(), &[("epoch", "4")]));
    let (message, _) = other.rsplit_once('.').unwrap();
    let good = target.good();
    let (_, signature) = good.rsplit_once('.').unwrap();
    target.refuses(&format!("{message}.{signature}"), Signature);
}

#[test]
fn t_forge_11_any_bit_of_the_signature() {
    let target = Target::new();
    let good = target.good();
    let (message, signature) = good.rsplit_once('.').unwrap();
    let bytes = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        target.refuses(
            &format!("{message}.{}", BASE64URL_NOPAD.encode(&bytes)),
            Signature,
        );
    }
}

#[test]
fn t_forge_12_a_signature_that_is_cut_long_empty_or_zero() {
    let target = Target::new();
    let good = target.good();
    let (message, signature) = good.rsplit_once('.').unwrap();
    let bytes = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
    for bytes in [
        &bytes[..63],
        &bytes[..0],
        &[0; 64],
        &[bytes.as_slice(), &[0]].concat(),
    ] {
        target.refuses(
            &format!("{message}.{}", BASE64URL_NOPAD.encode(bytes)),
            Signature,
        );
    }
}

#[test]
fn t_forge_13_the_second_form_of_the_same_signature() {
    // The order of the group, L: adding it to S gives a second value that fits the equation.
    // Source: https://www.rfc-editor.org/rfc/rfc8032#section-5.1.7 (S must be below L).
    const ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
    let target = Target::new();
    let good = target.good();
    let (message, signature) = good.rsplit_once('.').unwrap();
    let mut bytes = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
    let order = data_encoding::HEXLOWER.decode(ORDER.as_bytes()).unwrap();
    let mut carry = 0;
    for (byte, add) in bytes[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    target.refuses(
        &format!("{message}.{}", BASE64URL_NOPAD.encode(&bytes)),
        Signature,
    );
}

#[test]
fn t_forge_14_a_changed_payload_or_header() {
    let target = Target::new();
    let good = target.good();
    let parts: Vec<&str> = good.split('.').collect();
    let payload = encoded(&json(&changed(&payload(), &[("epoch", "9")])));
    target.refuses(&format!("{}.{payload}.{}", parts[0], parts[2]), Signature);
    let header = encoded(&json(&changed(&target.header(), &[("x", "1")])));
    target.refuses(&format!("{header}.{}.{}", parts[1], parts[2]), Signature);
}

#[test]
fn t_forge_27_data_after_the_end() {
    let target = Target::new();
    let good = target.good();
    for token in [
        format!("{good}.x"),
        format!("{good}."),
        format!(".{good}"),
        format!("{good} "),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{good}\0"),
        format!("{good}.{good}"),
        good.replacen('.', "..", 1),
        good.replacen('.', ".e30.", 1),
    ] {
        target.refuses(&token, Malformed);
    }
    let (header, payload) = (json(&target.header()), json(&payload()));
    target.refuses(
        &target.signed_text(&header, &format!("{payload}{payload}")),
        Malformed,
    );
    target.refuses(
        &target.signed_text(&header, &format!("{payload}x")),
        Malformed,
    );
    target.refuses(
        &target.signed_text(&format!("{header}0"), &payload),
        Malformed,
    );
}

#[test]
fn t_forge_28_other_forms_of_base64() {
    let target = Target::new();
    let (header, payload) = (json(&target.header()), format!("{} ", json(&payload())));
    let padded = |text: &str| BASE64URL.encode(text.as_bytes());
    let spaced = (0..3).map(|spaces| format!("{payload}{}", " ".repeat(spaces)));
    let padded_payload = spaced
        .map(|text| padded(&text))
        .find(|text| text.ends_with('='))
        .unwrap();
    target.refuses(
        &target.signed_parts(&encoded(&header), &padded_payload),
        Malformed,
    );
    let good = target.good();
    target.refuses(&format!("{good}=="), Malformed);
    target.refuses(&format!("{good}="), Malformed);
    // The last digit of a signature holds two bits that mean nothing: only zeros are accepted.
    let stray = (b'A'..=b'z')
        .filter(u8::is_ascii_alphanumeric)
        .map(char::from);
    let cut = &good[..good.len() - 1];
    let accepted = stray
        .filter(|last| target.check(&format!("{cut}{last}")) == Ok(()))
        .count();
    assert_eq!(accepted, 1);
    let odd = "{\"\u{fb}\u{fb}\u{ff}\u{ff}>>>???\":1}";
    let standard = BASE64.encode(odd.as_bytes()).replace('=', "");
    assert!(standard.contains(['+', '/']));
    target.refuses(
        &target.signed_parts(&encoded(&header), &standard),
        Malformed,
    );
    target.refuses(&good.replacen('.', "\n.", 1), Malformed);
}

#[test]
fn t_forge_29_empty_parts() {
    let target = Target::new();
    let good = target.good();
    let parts: Vec<&str> = good.split('.').collect();
    for token in [
        "",
        ".",
        "..",
        "...",
        parts[0],
        &format!("{}.{}", parts[0], parts[1]),
    ] {
        target.refuses(token, Malformed);
    }
    target.refuses(&format!(".{}.{}", parts[1], parts[2]), Malformed);
    target.refuses(&target.signed_parts("", parts[1]), Malformed);
    target.refuses(&target.signed_parts(parts[0], ""), Malformed);
    target.refuses(&format!("{}..{}", parts[0], parts[2]), Signature);
    target.refuses(&format!("{}.{}.", parts[0], parts[1]), Signature);
}

#[test]
fn t_forge_33_a_payload_that_is_not_encoded() {
    let target = Target::new();
    let header = changed(&target.header(), &[("crit", "[\"b64\"]"), ("b64", "false")]);
    let token = target.signed_parts(&encoded(&json(&header)), &json(&payload()));
    target.refuses(&token, Malformed);
}

#[test]
fn t_forge_34_longer_than_the_bound() {
    let target = Target::new();
    let with = |count: usize| {
        let filler = format!("\"{}\"", "x".repeat(count));
        target.signed(&target.header(), &changed(&payload(), &[("x", &filler)]))
    };
    let room = (4_096 - with(0).len()) * 3 / 4;
    assert!(with(room).len() > 4_090);
    assert_eq!(target.check(&with(room - 1)), Ok(()));
    target.refuses(&with(room + 10), TooLong);
    target.refuses(&"a".repeat(10_000_000), TooLong);
}

#[test]
fn t_forge_37_parts_that_are_no_objects() {
    let target = Target::new();
    let (header, payload) = (json(&target.header()), json(&payload()));
    let deep = "[".repeat(1_000);
    for text in [
        "",
        "null",
        "[]",
        "5",
        "\"x\"",
        "{",
        "{\"exp\"}",
        "\u{feff}{}",
        &deep,
    ] {
        target.refuses(&target.signed_text(&header, text), Malformed);
        target.refuses(&target.signed_text(text, &payload), Malformed);
    }
    let no_text = BASE64URL_NOPAD.encode(b"{\"sub\":\"\xff\"}");
    target.refuses(&target.signed_parts(&encoded(&header), &no_text), Malformed);
    target.refuses(&target.signed_text(&header, "{}"), MissingClaim("iss"));
}

#[test]
fn t_forge_38_a_token_within_a_token() {
    let target = Target::new();
    let header = json(&changed(&target.header(), &[("cty", "\"JWT\"")]));
    target.refuses(&target.signed_text(&header, &target.good()), Malformed);
    target.refuses(&format!("{}.a.b.c.d", encoded(&header)), Malformed);
}

#[test]
fn t_forge_39_other_credentials() {
    let target = Target::new();
    target.refuses(KeyText::generate().unwrap().expose(), Malformed);
    for purpose in TokenPurpose::ALL {
        target.refuses(SecretToken::generate(purpose).unwrap().expose(), Malformed);
    }
}
