//! Signed messages to URLs that somebody chose, and the way to check them: Standard Webhooks 1.0.0,
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>, with
//! its symmetric signatures.
//!
//! ```
//! use std::time::SystemTime;
//! use tollgate_domain::Timestamp;
//! use tollgate_egress::webhook::{MessageId, Received, WebhookSecret, WebhookSecrets};
//!
//! let secret = WebhookSecret::generate()?; // shown once to whoever receives the messages
//! let secrets = WebhookSecrets::new(secret, Vec::new())?;
//! let now = Timestamp::from(SystemTime::now());
//! let body = br#"{"type":"budget.exhausted"}"#;
//! let signed = secrets.sign(&MessageId::parse("msg_1")?, now, body);
//!
//! let received = Received { id: &signed.id, timestamp: &signed.timestamp, signature: &signed.signature };
//! assert!(secrets.verify(&received, body, now).is_ok());
//! assert!(secrets.verify(&received, b"{}", now).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod delivery;
mod secret;
mod signature;

use bytes::Bytes;
use tollgate_domain::Timestamp;

use crate::header::{HeaderError, PlainName};
use crate::request::{EgressMethod, EgressRequest};
use crate::target::Target;

pub use self::delivery::{DeliverySchedule, NextDelivery};
pub use self::secret::{
    SECRET_BYTES_MAX, SECRET_BYTES_MIN, SECRETS_MAX, SecretError, WebhookSecret, WebhookSecrets,
};
pub use self::signature::{
    MESSAGE_ID_BYTES_MAX, MessageId, MessageIdError, Received, SIGNATURES_MAX, SignedHeaders,
    TOLERANCE_SECONDS, VerifyError,
};

/// Makes the request that delivers a message of JSON. `at` is the time of this attempt; `id` stays the
/// same over all attempts, so that the receiver can leave out what it has seen.
///
/// # Errors
/// None in practice: what is signed fits into headers.
pub fn request(
    target: Target,
    secrets: &WebhookSecrets,
    id: &MessageId,
    at: Timestamp,
    body: Bytes,
) -> Result<EgressRequest, HeaderError> {
    let signed = secrets.sign(id, at, &body);
    EgressRequest::new(EgressMethod::Post, target)
        .header(PlainName::CONTENT_TYPE, "application/json")?
        .header(PlainName::WEBHOOK_ID, &signed.id)?
        .header(PlainName::WEBHOOK_TIMESTAMP, &signed.timestamp)?
        .header(PlainName::WEBHOOK_SIGNATURE, &signed.signature)
        .map(|request| request.body(body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::url_policy::UrlPolicy;

    #[test]
    fn a_delivery_carries_its_body_and_what_was_signed() {
        let target = Target::parse("https://hooks.example.com/in", &UrlPolicy::default()).unwrap();
        let secrets = WebhookSecrets::new(WebhookSecret::generate().unwrap(), Vec::new()).unwrap();
        let id = MessageId::parse("msg_1").unwrap();
        let at = Timestamp::from_micros(1_700_000_000_000_000);
        let request = request(target, &secrets, &id, at, Bytes::from_static(b"{}")).unwrap();
        let header = |name| request.headers.get(name).unwrap().to_str().unwrap();
        let received = Received {
            id: header("webhook-id"),
            timestamp: header("webhook-timestamp"),
            signature: header("webhook-signature"),
        };
        assert_eq!(secrets.verify(&received, &request.body, at), Ok(id));
        assert_eq!(header("content-type"), "application/json");
        assert_eq!(request.method, EgressMethod::Post);
    }
}
