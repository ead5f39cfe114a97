//! E-mail addresses.
//! Source: <https://www.rfc-editor.org/rfc/rfc5321#section-4.1.2> (dot-string and domain), and section
//! 4.5.3.1 for the lengths.

use std::fmt;

/// The most bytes of an address, of what is before the `@`, and of a label of its domain.
pub const EMAIL_BYTES_MAX: usize = 254;
const LOCAL_BYTES_MAX: usize = 64;
const LABEL_BYTES_MAX: usize = 63;

/// A text that is not an e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an e-mail address such as name@example.com")]
pub struct EmailError;

/// An e-mail address in plain ASCII, as `name@example.com`. Quoted names, comments, addresses of
/// machines in brackets and names outside of ASCII are not accepted; an international domain is
/// written in its `xn--` form.
///
/// Two are equal when their [`canonical`](Self::canonical) forms are.
#[derive(Clone)]
pub struct EmailAddress {
    shown: String,
    canonical: String,
}

impl EmailAddress {
    /// Reads an address. Spaces around it are not part of it.
    ///
    /// # Errors
    /// When it is none, or longer than 254 bytes, or 64 before its `@`.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let text = text.trim_matches(' ');
        let (local, domain) = text.split_once('@').ok_or(EmailError)?;
        if text.len() > EMAIL_BYTES_MAX || !is_local(local) || !is_domain(domain) {
            return Err(EmailError);
        }
        let domain = domain.to_ascii_lowercase();
        Ok(Self {
            canonical: format!("{}@{domain}", local.to_ascii_lowercase()),
            shown: format!("{local}@{domain}"),
        })
    }

    /// Returns the address to send to: as it was written, with its domain in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// Returns the form in which an address is unique: all of it in lower case. The standard leaves it
    /// to the receiver whether case matters before the `@`; where it does, the second person cannot
    /// register, which is better than two accounts that people cannot tell apart.
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// Returns what is before the `@`.
    #[must_use]
    pub fn local(&self) -> &str {
        self.shown.split_once('@').map_or("", |(local, _)| local)
    }

    /// Returns what is after the `@`.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.shown.split_once('@').map_or("", |(_, domain)| domain)
    }
}

impl PartialEq for EmailAddress {
    fn eq(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }
}

impl Eq for EmailAddress {}

/// Addresses are personal: logs and panics do not show them.
impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmailAddress(…)")
    }
}

fn is_local(local: &str) -> bool {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
    local.len() <= LOCAL_BYTES_MAX
        && local
            .split('.')
            .all(|part| !part.is_empty() && part.bytes().all(is_plain))
}

fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A last label of digits alone makes it an address of a machine.
    let is_name = |label: &str| label.bytes().any(|byte| !byte.is_ascii_digit());
    domain.split('.').all(is_label) && domain.rsplit('.').next().is_some_and(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_kept_as_written_and_unique_in_lower_case() {
        for (text, shown, canonical) in [
            ("a@b.co", "a@b.co", "a@b.co"),
            (
                "Ann.Lee@Example.COM",
                "Ann.Lee@example.com",
                "ann.lee@example.com",
            ),
            (" a+tag@b.co ", "a+tag@b.co", "a+tag@b.co"),
            ("o'neil@b.co", "o'neil@b.co", "o'neil@b.co"),
            ("root@localhost", "root@localhost", "root@localhost"),
            (
                "a@xn--bcher-kva.example",
                "a@xn--bcher-kva.example",
                "a@xn--bcher-kva.example",
            ),
            ("a@1.example", "a@1.example", "a@1.example"),
        ] {
            let address = EmailAddress::parse(text).unwrap();
            assert_eq!((address.as_str(), address.canonical()), (shown, canonical));
            assert_eq!(format!("{}@{}", address.local(), address.domain()), shown);
        }
        let written = EmailAddress::parse("ANN@b.co");
        assert_eq!(written, EmailAddress::parse("ann@B.CO"));
        assert_ne!(written, EmailAddress::parse("anna@b.co"));
    }

    #[test]
    fn what_is_no_plain_address_is_refused() {
        for bad in [
            "",
            "@",
            "a",
            "a@",
            "@b.co",
            "a@@b.co",
            "a@b@c.co",
            "a b@c.co",
            "a@b c.co",
            "a@b.co\n",
            "\ta@b.co",
            "a\0@b.co",
            ".a@b.co",
            "a.@b.co",
            "a..b@c.co",
            "a@.co",
            "a@b.",
            "a@b..co",
            "a@-b.co",
            "a@b-.co",
            "a@b_c.co",
            "a@127.0.0.1",
            "a@[127.0.0.1]",
            "\"a b\"@c.co",
            "a(x)@b.co",
            "a@b.co,c@d.co",
            "a@b.co>",
            "<a@b.co>",
            "ä@b.co",
            "a@bücher.example",
            "a\u{200b}@b.co",
            "a@b.co\r\nBcc: c@d.co",
        ] {
            assert_eq!(EmailAddress::parse(bad), Err(EmailError), "{bad:?}");
        }
    }

    #[test]
    fn lengths_are_bounded_exactly() {
        let local = "l".repeat(64);
        let label = "d".repeat(63);
        let domain = format!("{label}.{label}.{}", "d".repeat(61));
        let longest = format!("{local}@{domain}");
        assert_eq!(longest.len(), 254);
        assert!(EmailAddress::parse(&longest).is_ok());
        for bad in [
            format!("{longest}d"),
            format!("l{local}@b.co"),
            format!("a@d{label}.co"),
        ] {
            assert!(EmailAddress::parse(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_is_not_shown_where_nobody_asked_for_it() {
        let address = EmailAddress::parse("ann@b.co").unwrap();
        assert_eq!(format!("{address:?}"), "EmailAddress(…)");
    }

    proptest! {
        #[test]
        fn the_canonical_form_is_its_own_canonical_form(text in "[ -~]{0,20}@[a-zA-Z0-9.-]{0,20}|\\PC{0,40}") {
            if let Ok(address) = EmailAddress::parse(&text) {
                prop_assert_eq!(address.as_str().matches('@').count(), 1);
                let again = EmailAddress::parse(address.canonical()).unwrap();
                prop_assert_eq!(again.as_str(), address.canonical());
                prop_assert_eq!(again, address);
            }
        }
    }
}
