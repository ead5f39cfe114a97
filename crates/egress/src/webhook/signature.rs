//! Signing and verifying.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tollgate_domain::{ErrorKind, Timestamp};

use super::secret::WebhookSecrets;

/// How far a message's time may be from now, before or after, in seconds.
pub const TOLERANCE_SECONDS: u64 = 300;
/// The longest id of a message.
pub const MESSAGE_ID_BYTES_MAX: usize = 256;
/// The most signatures of one message that are looked at.
pub const SIGNATURES_MAX: usize = 16;
/// The signature's version for HMAC-SHA256.
const VERSION: &str = "v1,";

/// A text that cannot be the id of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message's id is 1 to {MESSAGE_ID_BYTES_MAX} visible ASCII characters without a dot")]
pub struct MessageIdError;

/// What a message is recognised by when it comes again. It has no dot: that is what separates it from
/// the time in what is signed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MessageId(String);

impl MessageId {
    /// Reads an id.
    ///
    /// # Errors
    /// When it is empty, too long, or holds another character.
    pub fn parse(text: &str) -> Result<Self, MessageIdError> {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'.';
        let fits = (1..=MESSAGE_ID_BYTES_MAX).contains(&text.len());
        if fits && text.bytes().all(is_plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(MessageIdError)
        }
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The values of the three headers of a message that is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHeaders {
    /// `webhook-id`
    pub id: String,
    /// `webhook-timestamp`: seconds since 1970-01-01.
    pub timestamp: String,
    /// `webhook-signature`: one signature for each secret that holds, the current one's first.
    pub signature: String,
}

/// The values of the three headers of a message that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received<'a> {
    /// `webhook-id`
    pub id: &'a str,
    /// `webhook-timestamp`
    pub timestamp: &'a str,
    /// `webhook-signature`
    pub signature: &'a str,
}

/// Why a message is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Its id, its time or its signatures have not their form.
    #[error("a header of the webhook has not its form")]
    Malformed,
    /// It is old, perhaps sent again by somebody else.
    #[error("the webhook is older than {TOLERANCE_SECONDS} s")]
    TooOld,
    /// It comes from the future: a clock is wrong.
    #[error("the webhook is more than {TOLERANCE_SECONDS} s ahead of this clock")]
    TooNew,
    /// No signature fits.
    #[error("no signature of the webhook fits")]
    NoMatch,
}

impl VerifyError {
    /// Returns what the caller can do about it.
    #[must_use]
    pub const fn kind(self) -> ErrorKind {
        match self {
            Self::Malformed => ErrorKind::InvalidRequest,
            Self::TooOld | Self::TooNew | Self::NoMatch => ErrorKind::Unauthenticated,
        }
    }
}

impl WebhookSecrets {
    /// Signs a message with every secret that holds, so that a receiver with the old one and one with
    /// the new one both believe it.
    #[must_use]
    pub fn sign(&self, id: &MessageId, at: Timestamp, body: &[u8]) -> SignedHeaders {
        let timestamp = at.seconds().to_string();
        let head = signed_head(id.as_str(), &timestamp);
        let signatures: Vec<_> = self
            .keys()
            .map(|key| {
                let mut context = hmac::Context::with_key(key);
                context.update(head.as_bytes());
                context.update(body);
                format!("{VERSION}{}", STANDARD.encode(context.sign()))
            })
            .collect();
        SignedHeaders {
            id: id.as_str().to_owned(),
            timestamp,
            signature: signatures.join(" "),
        }
    }

    /// Checks a message that came in, and returns its id: what has been handled already must not be
    /// handled again. Signatures are compared in constant time, all with all; those of other versions
    /// are passed over.
    ///
    /// # Errors
    /// See [`VerifyError`].
    pub fn verify(
        &self,
        received: &Received<'_>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<MessageId, VerifyError> {
        let id = MessageId::parse(received.id).map_err(|_| VerifyError::Malformed)?;
        let sent_at = seconds(received.timestamp).ok_or(VerifyError::Malformed)?;
        let signatures = signatures(received.signature).ok_or(VerifyError::Malformed)?;
        if now.seconds().abs_diff(sent_at) > TOLERANCE_SECONDS {
            let is_old = sent_at < now.seconds();
            return Err(if is_old {
                VerifyError::TooOld
            } else {
                VerifyError::TooNew
            });
        }
        let mut message = signed_head(id.as_str(), received.timestamp).into_bytes();
        message.extend_from_slice(body);
        let mut is_match = false;
        for key in self.keys() {
            for signature in &signatures {
                is_match |= hmac::verify(key, &message, signature).is_ok();
            }
        }
        is_match.then_some(id).ok_or(VerifyError::NoMatch)
    }
}

/// What is signed is `id.timestamp.body`.
fn signed_head(id: &str, timestamp: &str) -> String {
    format!("{id}.{timestamp}.")
}

/// Reads digits alone: `i64` by itself would also take a sign.
fn seconds(text: &str) -> Option<i64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

/// Returns the signatures of our version; `None` when there is none, or more than the bound of all.
fn signatures(text: &str) -> Option<Vec<Vec<u8>>> {
    let parts: Vec<_> = text.split(' ').take(SIGNATURES_MAX + 1).collect();
    let ours = parts
        .iter()
        .filter_map(|part| STANDARD.decode(part.strip_prefix(VERSION)?).ok())
        .collect::<Vec<_>>();
    (parts.len() <= SIGNATURES_MAX && !ours.is_empty()).then_some(ours)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::secret::WebhookSecret;
    use super::*;

    /// From the specification's reference libraries:
    /// <https://github.com/standard-webhooks/standard-webhooks/tree/main/libraries>
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const SENT_AT: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn secrets(previous: &[&str]) -> WebhookSecrets {
        let previous = previous
            .iter()
            .map(|text| WebhookSecret::parse(text).unwrap());
        WebhookSecrets::new(WebhookSecret::parse(SECRET).unwrap(), previous.collect()).unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn check(signature: &str, timestamp: &str, now: i64, expected: Result<(), VerifyError>) {
        let received = Received {
            id: ID,
            timestamp,
            signature,
        };
        let found = secrets(&[]).verify(&received, BODY, at(now)).map(|_| ());
        assert_eq!(found, expected, "{signature:?} {timestamp:?} {now}");
    }

    #[test]
    fn the_reference_vector_is_signed_and_verified() {
        let signed = secrets(&[]).sign(&MessageId::parse(ID).unwrap(), at(SENT_AT), BODY);
        let expected = SignedHeaders {
            id: ID.to_owned(),
            timestamp: SENT_AT.to_string(),
            signature: SIGNATURE.to_owned(),
        };
        assert_eq!(signed, expected);
        check(SIGNATURE, "1614265330", SENT_AT, Ok(()));
    }

    #[test]
    fn five_minutes_are_tolerated_in_both_directions() {
        for (now, expected) in [
            (SENT_AT + 300, Ok(())),
            (SENT_AT + 301, Err(VerifyError::TooOld)),
            (SENT_AT - 300, Ok(())),
            (SENT_AT - 301, Err(VerifyError::TooNew)),
            (0, Err(VerifyError::TooNew)),
        ] {
            check(SIGNATURE, "1614265330", now, expected);
        }
        check(
            SIGNATURE,
            "9223372036854775807",
            SENT_AT,
            Err(VerifyError::TooNew),
        );
        check(SIGNATURE, "0", SENT_AT, Err(VerifyError::TooOld));
    }

    #[test]
    fn one_fitting_signature_among_others_is_enough() {
        let other = format!("v1,{}", STANDARD.encode([7; 32]));
        for signature in [
            format!("{other} {SIGNATURE}"),
            format!("{SIGNATURE} {other}"),
            format!("v1a,AAAA v2,x {SIGNATURE}"),
            format!("nonsense {SIGNATURE} "),
        ] {
            check(&signature, "1614265330", SENT_AT, Ok(()));
        }
        check(&other, "1614265330", SENT_AT, Err(VerifyError::NoMatch));
        let cut = format!("v1,{}", STANDARD.encode([0x83, 0x48]));
        check(&cut, "1614265330", SENT_AT, Err(VerifyError::NoMatch));
        check("v1,", "1614265330", SENT_AT, Err(VerifyError::NoMatch));
    }

    #[test]
    fn headers_without_their_form_are_refused() {
        let bare = SIGNATURE.trim_start_matches(VERSION);
        let other_version = SIGNATURE.replace("v1,", "v1a,");
        let many = [SIGNATURE; SIGNATURES_MAX + 1].join(" ");
        for signature in ["", " ", bare, &other_version, &many, "v1,*"] {
            check(
                signature,
                "1614265330",
                SENT_AT,
                Err(VerifyError::Malformed),
            );
        }
        for timestamp in [
            "",
            "+1614265330",
            "-1",
            "1614265330.0",
            " 1614265330",
            "9223372036854775808",
        ] {
            check(SIGNATURE, timestamp, SENT_AT, Err(VerifyError::Malformed));
        }
        for id in [
            "",
            "a.b",
            "a b",
            "ä",
            "a\n",
            &"a".repeat(MESSAGE_ID_BYTES_MAX + 1),
        ] {
            assert_eq!(MessageId::parse(id), Err(MessageIdError), "{id:?}");
        }
    }

    #[test]
    fn during_a_rotation_the_old_and_the_new_secret_both_hold() {
        let old = WebhookSecret::generate().unwrap();
        let both = secrets(&[old.expose()]);
        let id = MessageId::parse(ID).unwrap();
        let signed = both.sign(&id, at(SENT_AT), BODY);
        assert_eq!(signed.signature.split(' ').count(), 2);
        assert!(signed.signature.starts_with(SIGNATURE));
        let only_old = WebhookSecrets::new(old, Vec::new()).unwrap();
        for (signer, verifier) in [
            (&both, &only_old),
            (&only_old, &both),
            (&both, &secrets(&[])),
        ] {
            let signed = signer.sign(&id, at(SENT_AT), BODY);
            let received = Received {
                id: &signed.id,
                timestamp: &signed.timestamp,
                signature: &signed.signature,
            };
            assert_eq!(
                verifier.verify(&received, BODY, at(SENT_AT)),
                Ok(id.clone())
            );
        }
        let signed = only_old.sign(&id, at(SENT_AT), BODY);
        check(
            &signed.signature,
            &signed.timestamp,
            SENT_AT,
            Err(VerifyError::NoMatch),
        );
    }

    proptest! {
        #[test]
        fn a_change_to_any_part_is_found(
            body in prop::collection::vec(any::<u8>(), 1..100),
            at_byte in any::<prop::sample::Index>(),
            bit in 0_u8..8,
        ) {
            let secrets = secrets(&[]);
            let signed = secrets.sign(&MessageId::parse("m1").unwrap(), at(SENT_AT), &body);
            let received = Received { id: &signed.id, timestamp: &signed.timestamp, signature: &signed.signature };
            prop_assert!(secrets.verify(&received, &body, at(SENT_AT)).is_ok());
            let mut changed = body.clone();
            changed[at_byte.index(body.len())] ^= 1 << bit;
            prop_assert_eq!(secrets.verify(&received, &changed, at(SENT_AT)), Err(VerifyError::NoMatch));
            let later = (SENT_AT + 1).to_string();
            for other in [Received { id: "m2", ..received }, Received { timestamp: &later, ..received }] {
                prop_assert_eq!(secrets.verify(&other, &body, at(SENT_AT)), Err(VerifyError::NoMatch));
            }
        }

        #[test]
        fn nothing_from_outside_panics_or_is_believed(
            id in "\\PC{0,20}", timestamp in "[0-9+-]{0,20}", signature in "(v1,[A-Za-z0-9+/=]{0,50} ?|\\PC{0,9}){0,4}",
            body in prop::collection::vec(any::<u8>(), 0..40), now in any::<i64>(),
        ) {
            let received = Received { id: &id, timestamp: &timestamp, signature: &signature };
            prop_assert!(secrets(&[]).verify(&received, &body, Timestamp::from_micros(now)).is_err());
        }
    }
}
