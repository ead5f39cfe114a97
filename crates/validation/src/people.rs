//! What people send to sign in, and about their accounts.
//!
//! Only lengths are checked here: whether an address, a name or a password will do is said by
//! [`EmailAddress`](crate::EmailAddress), [`DisplayName`](crate::DisplayName) and
//! [`PasswordRules`](crate::PasswordRules), so that each of them is said once.

use std::fmt;

use garde::Validate;
use serde::Deserialize;

/// The most bytes of an address, a name or a code as it comes.
const TEXT_BYTES_MAX: usize = 1_024;

/// The most bytes of a password as it comes.
const PASSWORD_BYTES_MAX: usize = 4_096;

/// The most bytes of a secret token as it comes.
const TOKEN_BYTES_MAX: usize = 1_024;

macro_rules! inputs {
    ($($(#[$doc:meta])* $name:ident {$(
        $(#[$field_doc:meta])* $field:ident: $kind:ty, $max:expr;
    )*})*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Deserialize, Validate)]
        #[serde(deny_unknown_fields)]
        pub struct $name {$(
            $(#[$field_doc])*
            #[garde(length(bytes, max = $max))]
            pub $field: $kind,
        )*}

        /// Shows nothing of what was sent.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )*};
}

inputs! {
    /// The first person of an installation.
    SetUpInput {
        /// The token of the set-up link.
        token: String, TOKEN_BYTES_MAX;
        /// Their address.
        email: String, TEXT_BYTES_MAX;
        /// What others call them.
        name: String, TEXT_BYTES_MAX;
        /// The password that they chose.
        password: String, PASSWORD_BYTES_MAX;
    }

    /// Somebody who signs in.
    SignInInput {
        /// Their address.
        email: String, TEXT_BYTES_MAX;
        /// Their password.
        password: String, PASSWORD_BYTES_MAX;
        /// A code of the authenticator app, or a recovery code.
        code: Option<String>, TEXT_BYTES_MAX;
    }

    /// A password to be changed by whoever knows it.
    PasswordChangeInput {
        /// The one that they have.
        current_password: String, PASSWORD_BYTES_MAX;
        /// The one that they chose.
        new_password: String, PASSWORD_BYTES_MAX;
    }

    /// Whose password is forgotten.
    ResetRequestInput {
        /// Their address.
        email: String, TEXT_BYTES_MAX;
    }

    /// A password to be set by whoever has the token of a letter.
    ResetInput {
        /// The token of the letter.
        token: String, TOKEN_BYTES_MAX;
        /// The password that they chose.
        new_password: String, PASSWORD_BYTES_MAX;
    }

    /// What proves that an address is read.
    VerifyEmailInput {
        /// The token of the letter.
        token: String, TOKEN_BYTES_MAX;
    }

    /// A second factor to be made.
    TotpEnrolInput {
        /// The password of whoever asks.
        password: String, PASSWORD_BYTES_MAX;
    }

    /// A second factor to be put into use.
    TotpConfirmInput {
        /// What the enrolment answered.
        enrolment: String, TOKEN_BYTES_MAX;
        /// The first code of the app.
        code: String, TEXT_BYTES_MAX;
    }

    /// A second factor to be turned off, or its recovery codes to be made anew.
    TotpChangeInput {
        /// The password of whoever asks.
        password: String, PASSWORD_BYTES_MAX;
        /// A code of the app, or a recovery code.
        code: String, TEXT_BYTES_MAX;
    }

    /// An invitation that is accepted; `name` and `password` are those of somebody new.
    AcceptInput {
        /// The token of the invitation.
        token: String, TOKEN_BYTES_MAX;
        /// What others call them.
        name: Option<String>, TEXT_BYTES_MAX;
        /// The password that they chose.
        password: Option<String>, PASSWORD_BYTES_MAX;
    }

    /// A refresh token to be exchanged.
    RefreshInput {
        /// The token.
        refresh_token: String, TOKEN_BYTES_MAX;
    }
}

/// Somebody who signs out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct SignOutInput {
    /// Whether all of their sessions end, and not only the one that asks.
    #[serde(default)]
    #[garde(skip)]
    pub everywhere: bool,
}

/// A request that says all by its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct NoInput {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Valid;

    fn problems(value: &serde_json::Value) -> Vec<String> {
        let read = Valid::<ResetInput>::from_json(value.to_string().as_bytes());
        let shown = format!("{read:?}");
        assert!(!shown.contains("hush"), "{shown}");
        read.map_or_else(
            |error| error.problems.into_iter().map(|one| one.field).collect(),
            |_| Vec::new(),
        )
    }

    #[test]
    fn what_is_null_missing_unknown_or_too_long_is_named_and_not_repeated() {
        assert!(problems(&json!({"token": "", "new_password": "hush"})).is_empty());
        let long = "x".repeat(TOKEN_BYTES_MAX + 1);
        for (wrong, field) in [
            (json!({"token": null, "new_password": "hush"}), "token"),
            (json!({"token": 1, "new_password": "hush"}), "token"),
            (json!({"token": ["hush"], "new_password": "hush"}), "token"),
            (json!({"token": long, "new_password": "hush"}), "token"),
        ] {
            assert_eq!(problems(&wrong), [field], "{wrong}");
        }
        for wrong in [
            json!({"new_password": "hush"}),
            json!({"token": "", "new_password": "hush", "user": "other"}),
            json!([]),
            json!(null),
        ] {
            assert_eq!(problems(&wrong).len(), 1, "{wrong}");
        }
        assert!(Valid::<NoInput>::from_json(b"{}").is_ok());
        assert!(Valid::<NoInput>::from_json(b"{\"a\":1}").is_err());
    }
}
