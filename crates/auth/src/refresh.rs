//! The rotation of refresh tokens: each is used once, and one that is used again ends its family.
//! Source: <https://www.rfc-editor.org/rfc/rfc9700#section-4.14.2>
//!
//! Only decisions are made here; the store keeps the records. [`decide`] says what a presented token
//! leads to, and the store carries it out with one condition, so that two at the same time cannot both:
//! a token is marked as used only while it is not.

use tollgate_domain::{MAC_BYTES, SessionId, Timestamp};

/// For how long a token that was used is answered with the successor it got: an answer was lost, or two
/// tabs asked at once.
pub const REUSE_GRACE_SECONDS: i64 = 10;

/// One refresh token, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshRecord {
    /// The family, which is the session: all tokens that descend from one sign-in.
    pub family: SessionId,
    /// How many tokens of the family were before it.
    pub generation: u32,
    /// From when on it is refused.
    pub expires_at: Timestamp,
    /// Whether it was used, and what came of it.
    pub used: Option<Used>,
}

/// A token that was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// When that was.
    pub at: Timestamp,
    /// The digest of the token that it was exchanged for.
    pub successor: [u8; MAC_BYTES],
}

/// What is known of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshFamily {
    /// From when on none of its tokens is accepted, however often they were exchanged.
    pub ends_at: Timestamp,
    /// Whether it was revoked.
    pub is_revoked: bool,
}

/// What a presented refresh token leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshDecision {
    /// Exchange it: mark it as used while it is not, and add its successor. When it is used by then,
    /// read it again and decide again.
    Exchange,
    /// It was exchanged a moment ago: answer the same successor, whose digest this is, and change nothing.
    Repeat {
        /// The digest of the successor.
        successor: [u8; MAC_BYTES],
    },
    /// It was used before, so that two have it and one of them stole it: revoke the family.
    Revoke,
    /// It, or its family, is no longer valid: change nothing.
    Refuse,
}

/// Returns what a presented refresh token leads to.
#[must_use]
pub fn decide(record: &RefreshRecord, family: &RefreshFamily, now: Timestamp) -> RefreshDecision {
    if family.is_revoked || now >= family.ends_at {
        return RefreshDecision::Refuse;
    }
    match record.used {
        // A replica's clock may be a little behind the one that used it.
        Some(used) if now < used.at.plus_seconds(REUSE_GRACE_SECONDS) => RefreshDecision::Repeat {
            successor: used.successor,
        },
        // Even an expired one: that it is known twice does not get better with time.
        Some(_) => RefreshDecision::Revoke,
        None if now >= record.expires_at => RefreshDecision::Refuse,
        None => RefreshDecision::Exchange,
    }
}

impl RefreshRecord {
    /// Returns the first token of a family.
    #[must_use]
    pub const fn first(family: SessionId, expires_at: Timestamp) -> Self {
        Self {
            family,
            generation: 0,
            expires_at,
            used: None,
        }
    }

    /// Returns this token as used now, and the record of its successor; `None` when it is used already.
    #[must_use]
    pub fn exchange(
        &self,
        successor: [u8; MAC_BYTES],
        successor_expires_at: Timestamp,
        now: Timestamp,
    ) -> Option<(Self, Self)> {
        if self.used.is_some() {
            return None;
        }
        let used = Self {
            used: Some(Used { at: now, successor }),
            ..*self
        };
        let next = Self {
            generation: self.generation.saturating_add(1),
            ..Self::first(self.family, successor_expires_at)
        };
        Some((used, next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);
    const FAMILY: RefreshFamily = RefreshFamily {
        ends_at: START.plus_seconds(86_400),
        is_revoked: false,
    };

    fn first() -> RefreshRecord {
        RefreshRecord::first(SessionId::from_bytes([1; 16]), START.plus_seconds(3_600))
    }

    fn check(record: &RefreshRecord, seconds: i64, expected: RefreshDecision) {
        let decision = decide(record, &FAMILY, START.plus_seconds(seconds));
        assert_eq!(decision, expected, "after {seconds} s");
    }

    #[test]
    fn an_unused_token_is_exchanged_until_it_expires() {
        check(&first(), 0, RefreshDecision::Exchange);
        check(&first(), 3_599, RefreshDecision::Exchange);
        check(&first(), 3_600, RefreshDecision::Refuse);
    }

    #[test]
    fn a_used_token_is_answered_alike_for_ten_seconds_and_then_ends_the_family() {
        let (used, next) = first()
            .exchange([7; 32], START.plus_seconds(7_200), START)
            .unwrap();
        let repeat = RefreshDecision::Repeat { successor: [7; 32] };
        check(&used, -3, repeat);
        check(&used, 0, repeat);
        check(&used, 9, repeat);
        check(&used, 10, RefreshDecision::Revoke);
        check(&used, 80_000, RefreshDecision::Revoke);
        check(&next, 10, RefreshDecision::Exchange);
        assert_eq!((next.generation, next.family), (1, used.family));
        assert_eq!(used.exchange([8; 32], START, START), None);
    }

    #[test]
    fn a_family_that_ended_answers_nothing() {
        let (used, next) = first().exchange([7; 32], START, START).unwrap();
        let revoked = RefreshFamily {
            is_revoked: true,
            ..FAMILY
        };
        for record in [first(), used, next] {
            assert_eq!(decide(&record, &revoked, START), RefreshDecision::Refuse);
            let late = START.plus_seconds(86_400);
            assert_eq!(decide(&record, &FAMILY, late), RefreshDecision::Refuse);
        }
    }
}
