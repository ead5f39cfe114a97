//! Why a signed token is refused.

use tollgate_domain::ErrorKind;

/// Why a signed token is refused. The texts go into logs; a caller is told no more than that its token is
/// not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than the bound.
    #[error("the token is too long")]
    TooLong,
    /// Not three parts of unpadded base64url, or a part is not a JSON object.
    #[error("the token is malformed")]
    Malformed,
    /// A member of its header, or a claim, is there twice.
    #[error("the token says something twice")]
    Duplicate,
    /// Its header brings a key of its own, or says where to get one.
    #[error("the token names a key of its own")]
    KeyInHeader,
    /// Its header demands an extension; none is supported.
    #[error("the token demands an extension")]
    Critical,
    /// Signed in a way that is not allowed, or that is not its key's.
    #[error("the token's algorithm is not allowed")]
    Algorithm,
    /// Another kind of token.
    #[error("the token is of another type")]
    Type,
    /// It names no key, or none that is known.
    #[error("the token's key is not known")]
    UnknownKey,
    /// The signature does not fit.
    #[error("the token's signature does not fit")]
    Signature,
    /// A claim that must be there is not.
    #[error("the claim {0} is missing")]
    MissingClaim(&'static str),
    /// A claim has another type or form, such as a time that is a text.
    #[error("the claim {0} is malformed")]
    InvalidClaim(&'static str),
    /// From another issuer.
    #[error("the token is from another issuer")]
    Issuer,
    /// For another audience.
    #[error("the token is for another audience")]
    Audience,
    /// Given to another client.
    #[error("the token was given to another client")]
    AuthorizedParty,
    /// From another attempt to sign in.
    #[error("the token is from another attempt to sign in")]
    Nonce,
    /// It does not belong to the access token that came with it.
    #[error("the token does not belong to its access token")]
    AccessTokenHash,
    /// Past its end.
    #[error("the token has expired")]
    Expired,
    /// Before its beginning.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Made in the future.
    #[error("the token was issued in the future")]
    IssuedInFuture,
    /// Valid for longer than tokens may be.
    #[error("the token is valid for too long")]
    LifetimeTooLong,
}

impl TokenError {
    /// Returns what the caller can do about it.
    #[must_use]
    pub const fn kind(self) -> ErrorKind {
        ErrorKind::Unauthenticated
    }

    /// Returns the machine-readable code, which is the same for every reason.
    #[must_use]
    pub const fn code(self) -> &'static str {
        "invalid_token"
    }
}
