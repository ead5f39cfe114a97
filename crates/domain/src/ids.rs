//! Ids: UUIDv7 inside, shown with a prefix that says what they name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::short_text::ShortText;

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id of this kind is \"{prefix}_\" and 32 hexadecimal digits")]
pub struct IdError {
    /// The prefix that was expected, without the underscore.
    pub prefix: &'static str,
}

/// Reads the 16 bytes of an id, all at once.
struct IdBytes;

impl serde::de::Visitor<'_> for IdBytes {
    type Value = [u8; 16];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the 16 bytes of an id")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<[u8; 16], E> {
        bytes
            .try_into()
            .map_err(|_| E::invalid_length(bytes.len(), &self))
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The prefix of the shown form, without the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// Wraps a UUID, which should be time-ordered (version 7).
            #[must_use]
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// Wraps the 16 bytes of a UUID.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// Returns the id as it is shown.
            #[must_use]
            pub fn text(&self) -> ShortText {
                let mut buffer = [0; 32];
                let mut text = ShortText::new();
                text.push(concat!($prefix, "_"));
                text.push(self.0.as_simple().encode_lower(&mut buffer));
                text
            }

            /// Returns the 16 bytes of the UUID.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.text())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix(concat!($prefix, "_"))
                    .filter(|hex| hex.len() == 32 && !hex.bytes().any(|b| b.is_ascii_uppercase()))
                    .and_then(|hex| Uuid::try_parse(hex).ok())
                    .map(Self)
                    .ok_or(IdError { prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    serializer.serialize_bytes(self.0.as_bytes())
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
                } else {
                    deserializer.deserialize_bytes(IdBytes).map(Self::from_bytes)
                }
            }
        }
    )*};
}

ids! {
    /// An organization: the tenant that nothing may cross.
    OrgId = "org";
    /// An API key: a caller's credential with Tollgate.
    KeyId = "key";
    /// A part of an organization.
    TeamId = "team";
    /// A person or a service account.
    UserId = "user";
    /// A role that an organization made.
    RoleId = "role";
    /// An invitation into an organization.
    InvitationId = "inv";
    /// A signed-in session.
    SessionId = "sess";
    /// One inbound request.
    RequestId = "req";
    /// One upstream call; a request has one or more.
    AttemptId = "att";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shown_form_reads_back() {
        let id = OrgId::from_bytes([7; 16]);
        assert_eq!(id.to_string(), "org_07070707070707070707070707070707");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(
            serde_json::from_str::<OrgId>(&serde_json::to_string(&id).unwrap()).unwrap(),
            id
        );
    }

    #[test]
    fn other_prefixes_lengths_and_spellings_are_refused() {
        for text in [
            "",
            "org_",
            "key_07070707070707070707070707070707",
            "org_0707070707070707070707070707070",
            "org_0707070707070707070707070707070g",
            "org_ABABABABABABABABABABABABABABABAB",
            "org_07070707-0707-0707-0707-070707070707",
        ] {
            assert_eq!(
                text.parse::<OrgId>(),
                Err(IdError { prefix: "org" }),
                "{text}"
            );
        }
    }
}
