//! Webhooks that come in, and their secrets: nothing panics, and nothing unsigned is believed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_domain::Timestamp;
use tollgate_egress::webhook::{MessageId, Received, WebhookSecret, WebhookSecrets};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fuzz_target!(|parts: (&str, &str, &str, &[u8], i64)| {
    let (id, timestamp, signature, body, now) = parts;
    if let Ok(secret) = WebhookSecret::parse(id) {
        assert_eq!(secret.expose(), id);
    }
    let secret = WebhookSecret::parse(SECRET).expect("it is one");
    let secrets = WebhookSecrets::new(secret, Vec::new()).expect("it is alone");
    let now = Timestamp::from_micros(now);
    let received = Received {
        id,
        timestamp,
        signature,
    };
    if let Ok(id) = secrets.verify(&received, body, now) {
        let at = timestamp
            .parse::<i64>()
            .expect("what is believed has a time");
        let signed = secrets.sign(&id, Timestamp::default().plus_seconds(at), body);
        assert!(signature.split(' ').any(|part| part == signed.signature));
    }
    if let Ok(id) = MessageId::parse(id) {
        let signed = secrets.sign(&id, now, body);
        let received = Received {
            id: &signed.id,
            timestamp: &signed.timestamp,
            signature: &signed.signature,
        };
        assert_eq!(
            secrets.verify(&received, body, now).is_ok(),
            now.seconds() >= 0
        );
    }
});
