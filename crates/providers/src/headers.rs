//! The headers of an answer that are of use beyond its connection.

use bytes::Bytes;

macro_rules! answer_headers {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)*) => {
        /// A header of an answer that is of use to the gateway or to its client. All others, such as
        /// a provider's cookies, are left behind.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum AnswerHeader {
            $($(#[$doc])* $variant,)*
        }

        impl AnswerHeader {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Returns its name, in lower case.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

answer_headers! {
    /// What the body is.
    ContentType = "content-type";
    /// When to ask again, in seconds.
    RetryAfter = "retry-after";
    /// When to ask again, in milliseconds.
    RetryAfterMs = "retry-after-ms";
    /// The provider's own limit of requests.
    LimitRequests = "x-ratelimit-limit-requests";
    /// What is left of it.
    RemainingRequests = "x-ratelimit-remaining-requests";
    /// When it is whole again.
    ResetRequests = "x-ratelimit-reset-requests";
    /// The provider's own limit of tokens.
    LimitTokens = "x-ratelimit-limit-tokens";
    /// What is left of it.
    RemainingTokens = "x-ratelimit-remaining-tokens";
    /// When it is whole again.
    ResetTokens = "x-ratelimit-reset-tokens";
    /// How long the provider took.
    ProcessingMs = "openai-processing-ms";
    /// The version of the provider's API.
    Version = "openai-version";
    /// The model that answered.
    Model = "openai-model";
}

impl AnswerHeader {
    pub(crate) fn find(name: &str) -> Option<Self> {
        // Most headers begin with none of the letters that these begin with.
        let first = name.as_bytes().first()?.to_ascii_lowercase();
        if !matches!(first, b'c' | b'r' | b'x' | b'o') {
            return None;
        }
        let is_named = |header: &Self| header.name().eq_ignore_ascii_case(name);
        Self::ALL.iter().copied().find(is_named)
    }
}

/// Headers of an answer, in the order in which they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnswerHeaders {
    list: Vec<(AnswerHeader, Bytes)>,
}

impl AnswerHeaders {
    /// Returns headers that say only what the body is.
    #[must_use]
    pub fn content_type(value: &'static str) -> Self {
        let value = Bytes::from_static(value.as_bytes());
        Self::from_iter([(AnswerHeader::ContentType, value)])
    }

    /// Returns the value of a header: the first, if there are several.
    #[must_use]
    pub fn get(&self, header: AnswerHeader) -> Option<&[u8]> {
        let found = self.list.iter().find(|(name, _)| *name == header);
        found.map(|(_, value)| &**value)
    }

    /// Returns all of them.
    pub fn iter(&self) -> impl Iterator<Item = (AnswerHeader, &Bytes)> {
        self.list.iter().map(|(header, value)| (*header, value))
    }
}

impl FromIterator<(AnswerHeader, Bytes)> for AnswerHeaders {
    fn from_iter<I: IntoIterator<Item = (AnswerHeader, Bytes)>>(headers: I) -> Self {
        let list = headers.into_iter().collect();
        Self { list }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_found_by_its_name_in_any_case() {
        for header in AnswerHeader::ALL {
            assert_eq!(AnswerHeader::find(header.name()), Some(*header));
            assert_eq!(
                AnswerHeader::find(&header.name().to_uppercase()),
                Some(*header)
            );
        }
        for other in ["set-cookie", "x-ratelimit-limit", "content-typ", ""] {
            assert_eq!(AnswerHeader::find(other), None, "{other}");
        }
    }
}
