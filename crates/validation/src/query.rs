//! Queries of lists: which page, and of what.

use std::borrow::Cow;

use tollgate_domain::{Actor, AuditOutcome, KeyState, TeamId, Timestamp, UsageGroup, UserId};

use crate::error::{Problem, ValidationError};

/// How many entries a page has if nobody says, and at the most.
const LIMIT_DEFAULT: u16 = 50;
const LIMIT_MAX: u16 = 200;

/// The longest cursor: longer than any id or name that a list is ordered by.
const CURSOR_BYTES_MAX: usize = 512;

/// The longest name of an action or an object, in bytes.
const WORD_BYTES_MAX: usize = 128;

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageQuery {
    /// How many entries, 1 to 200.
    pub limit: u16,
    /// What the page before named as `next_cursor`; absent is the first page.
    pub cursor: Option<String>,
}

/// Which keys, and which page of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysQuery {
    /// Those of this team.
    pub team_id: Option<TeamId>,
    /// Those of this owner.
    pub owner_id: Option<UserId>,
    /// Those in this state.
    pub state: Option<KeyState>,
    /// Which page.
    pub page: PageQuery,
}

/// Which audit entries, and which page of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditQuery {
    /// Those of this actor.
    pub actor: Option<Actor>,
    /// Those of this action, such as `key.create`.
    pub action: Option<String>,
    /// Those about this object, as its id is shown.
    pub object: Option<String>,
    /// Those that ended like this.
    pub outcome: Option<AuditOutcome>,
    /// From this time on.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// Which page.
    pub page: PageQuery,
}

/// From where on audit entries are exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportQuery {
    /// Those after the one with this number.
    pub after_seq: u64,
}

/// Which usage, and by what it is summed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRequest {
    /// By what it is summed.
    pub group_by: UsageGroup,
    /// From the day of this time on.
    pub from: Option<Timestamp>,
    /// Before the day of this time.
    pub until: Option<Timestamp>,
    /// How many groups, 1 to 200.
    pub limit: u16,
    /// What the page before named as `next_cursor`; absent is the first page.
    pub cursor: Option<String>,
}

impl PageQuery {
    /// Reads `limit` and `cursor` from the query of a URL, without its question mark.
    ///
    /// # Errors
    /// When one is out of range or there twice, or something else is there.
    pub fn from_query(query: &str) -> Result<Self, ValidationError> {
        let mut pairs = Pairs::read(query, &["limit", "cursor"]);
        let page = pairs.page();
        pairs.end(page)
    }

    /// Returns the id after which the page begins; `None` for the first page.
    ///
    /// # Errors
    /// When the cursor is none of this list.
    pub fn after<T: std::str::FromStr>(&self) -> Result<Option<T>, ValidationError> {
        let read = self.cursor.as_deref().map(str::parse).transpose();
        read.map_err(|_| {
            let message = "must be a next_cursor that a page has named";
            ValidationError::one(Problem::new("cursor", "invalid_value", message))
        })
    }
}

impl KeysQuery {
    /// Reads `team_id`, `owner_id`, `state`, `limit` and `cursor` from the query of a URL, without its
    /// question mark.
    ///
    /// # Errors
    /// When one is out of range or there twice, or something else is there.
    pub fn from_query(query: &str) -> Result<Self, ValidationError> {
        let mut pairs = Pairs::read(query, &["team_id", "owner_id", "state", "limit", "cursor"]);
        let read = Self {
            team_id: pairs.id("team_id", "must be the id of a team, team_…"),
            owner_id: pairs.id("owner_id", "must be the id of a user, user_…"),
            state: pairs.key_state(),
            page: pairs.page(),
        };
        pairs.end(read)
    }
}

impl AuditQuery {
    /// Reads `actor`, `action`, `object`, `outcome`, `from`, `until`, `limit` and `cursor` from the query
    /// of a URL, without its question mark.
    ///
    /// # Errors
    /// When one is out of range or there twice, or something else is there.
    pub fn from_query(query: &str) -> Result<Self, ValidationError> {
        let known = [
            "actor", "action", "object", "outcome", "from", "until", "limit", "cursor",
        ];
        let mut pairs = Pairs::read(query, &known);
        let actor = "must be a key_… or user_… id, system or anonymous";
        let (from, until) = pairs.times();
        let read = Self {
            actor: pairs.id("actor", actor),
            action: pairs.word("action"),
            object: pairs.word("object"),
            outcome: pairs.id("outcome", "must be done or denied"),
            from,
            until,
            page: pairs.page(),
        };
        pairs.end(read)
    }
}

impl ExportQuery {
    /// Reads `after_seq` from the query of a URL, without its question mark.
    ///
    /// # Errors
    /// When it is no whole number or there twice, or something else is there.
    pub fn from_query(query: &str) -> Result<Self, ValidationError> {
        let mut pairs = Pairs::read(query, &["after_seq"]);
        let after_seq = pairs.id("after_seq", "must be the number of an entry");
        pairs.end(Self {
            after_seq: after_seq.unwrap_or(0),
        })
    }
}

impl UsageRequest {
    /// Reads `group_by`, `from`, `until`, `limit` and `cursor` from the query of a URL, without its
    /// question mark. Times are given as `2026-11-23` or `2026-11-23T08:00:00Z`.
    ///
    /// # Errors
    /// When one is missing, out of range or there twice, or something else is there.
    pub fn from_query(query: &str) -> Result<Self, ValidationError> {
        let mut pairs = Pairs::read(query, &["group_by", "from", "until", "limit", "cursor"]);
        let group_by = pairs.group_by();
        let (from, until) = pairs.times();
        let PageQuery { limit, cursor } = pairs.page();
        pairs.end(Self {
            group_by,
            from,
            until,
            limit,
            cursor,
        })
    }
}

/// The parameters of a query and what is wrong with them.
struct Pairs<'a> {
    values: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    problems: Vec<Problem>,
}

impl<'a> Pairs<'a> {
    fn read(query: &'a str, known: &[&str]) -> Self {
        let mut pairs = Self {
            values: Vec::new(),
            problems: Vec::new(),
        };
        // One more than there can be shows that there is one too many.
        for (name, value) in form_urlencoded::parse(query.as_bytes()).take(known.len() + 1) {
            if !known.contains(&&*name) {
                let field: String = name.chars().take(64).collect();
                let message = format!("is not known; known are {}", known.join(", "));
                pairs
                    .problems
                    .push(Problem::new(field, "unknown_field", message));
            } else if pairs.find(&name).is_some() {
                pairs
                    .problems
                    .push(Problem::new(name, "duplicate_field", "is there twice"));
            } else {
                pairs.values.push((name, value));
            }
        }
        pairs
    }

    fn find(&self, name: &str) -> Option<&str> {
        self.values
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| &**value)
    }

    fn refuse(&mut self, field: &str, message: &str) {
        self.problems
            .push(Problem::new(field, "invalid_value", message));
    }

    fn id<T: std::str::FromStr>(&mut self, name: &str, message: &str) -> Option<T> {
        let read = self.find(name).map(str::parse);
        if matches!(read, Some(Err(_))) {
            self.refuse(name, message);
        }
        read?.ok()
    }

    fn key_state(&mut self) -> Option<KeyState> {
        let name = self.find("state")?;
        let state = KeyState::ALL.into_iter().find(|one| one.as_str() == name);
        if state.is_none() {
            self.refuse("state", "must be active, blocked, expired or revoked");
        }
        state
    }

    fn page(&mut self) -> PageQuery {
        let limit = match self.find("limit").map(str::parse) {
            None => LIMIT_DEFAULT,
            Some(Ok(limit @ 1..=LIMIT_MAX)) => limit,
            Some(_) => {
                self.refuse("limit", "must be a whole number from 1 to 200");
                LIMIT_DEFAULT
            }
        };
        let cursor = self.find("cursor").map(ToOwned::to_owned);
        if cursor
            .as_ref()
            .is_some_and(|cursor| cursor.is_empty() || cursor.len() > CURSOR_BYTES_MAX)
        {
            self.refuse("cursor", "must be a next_cursor that a page has named");
        }
        PageQuery { limit, cursor }
    }

    fn group_by(&mut self) -> UsageGroup {
        match self.find("group_by") {
            Some("key") => return UsageGroup::Key,
            Some("model") => return UsageGroup::Model,
            Some("day") => return UsageGroup::Day,
            Some(_) => self.refuse("group_by", "must be key, model or day"),
            None => {
                let message = "is required: key, model or day";
                self.problems
                    .push(Problem::new("group_by", "missing_field", message));
            }
        }
        UsageGroup::Model
    }

    /// A name as the log has them: 1 to 128 of letters, digits and `._-:`.
    fn word(&mut self, name: &str) -> Option<String> {
        let value = self.find(name)?.to_owned();
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:".contains(&byte);
        if !(1..=WORD_BYTES_MAX).contains(&value.len()) || !value.bytes().all(is_word) {
            self.refuse(name, "must be 1 to 128 of letters, digits and . _ - :");
        }
        Some(value)
    }

    fn times(&mut self) -> (Option<Timestamp>, Option<Timestamp>) {
        let (from, until) = (self.time("from"), self.time("until"));
        if let (Some(from), Some(until)) = (from, until)
            && from >= until
        {
            self.refuse("until", "must be later than from");
        }
        (from, until)
    }

    fn time(&mut self, name: &str) -> Option<Timestamp> {
        let value = self.find(name)?;
        let time = value
            .parse()
            .or_else(|_| format!("{value}T00:00:00Z").parse())
            .ok();
        if time.is_none() {
            self.refuse(
                name,
                "must be a day as 2026-11-23 or a time as 2026-11-23T08:00:00Z",
            );
        }
        time
    }

    fn end<T>(self, read: T) -> Result<T, ValidationError> {
        if self.problems.is_empty() {
            return Ok(read);
        }
        Err(ValidationError {
            problems: self.problems,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_defaults_and_bounds() {
        let read = |query: &str| {
            let page = PageQuery::from_query(query).unwrap();
            (page.limit, page.cursor)
        };
        assert_eq!(read(""), (50, None));
        assert_eq!(read("limit=1"), (1, None));
        assert_eq!(
            read("cursor=a%2Fb+c&limit=200"),
            (200, Some("a/b c".to_owned()))
        );
    }

    #[test]
    fn keys_are_asked_for_by_team_owner_and_state() {
        let team = "team_01010101010101010101010101010101";
        let read = KeysQuery::from_query(&format!("team_id={team}&state=revoked&limit=3")).unwrap();
        assert_eq!(read.team_id.unwrap().to_string(), team);
        assert_eq!((read.owner_id, read.page.limit), (None, 3));
        assert_eq!(read.state, Some(KeyState::Revoked));
        let wrong = "team_id=user_1&owner_id=me&state=dead&limit=0&x=1";
        let error = KeysQuery::from_query(wrong).unwrap_err();
        let fields: Vec<_> = error
            .problems
            .iter()
            .map(|one| one.field.as_str())
            .collect();
        assert_eq!(fields, ["x", "team_id", "owner_id", "state", "limit"]);
    }

    #[test]
    fn audit_entries_are_asked_for_by_who_what_and_when() {
        let read = "actor=system&action=key.create&outcome=denied&from=2026-11-23&limit=2";
        let read = AuditQuery::from_query(read).unwrap();
        assert_eq!(read.actor, Some(Actor::System));
        assert_eq!(read.action.as_deref(), Some("key.create"));
        assert_eq!(
            (read.outcome, read.page.limit),
            (Some(AuditOutcome::Denied), 2)
        );
        let wrong = "actor=me&action=a%20b&object=&outcome=well&from=2026-11-24&until=2026-11-23";
        let error = AuditQuery::from_query(wrong).unwrap_err();
        let mut fields: Vec<_> = error.problems.iter().map(|one| &*one.field).collect();
        fields.sort_unstable();
        assert_eq!(fields, ["action", "actor", "object", "outcome", "until"]);
    }

    #[test]
    fn what_a_page_does_not_know_is_named() {
        let check = |query: &str, field: &str, code: &str| {
            let error = PageQuery::from_query(query).unwrap_err();
            assert_eq!(error.problems.len(), 1, "{error}");
            let found = error.problems.first().map(|p| (p.field.as_str(), p.code));
            assert_eq!(found, Some((field, code)), "{query}");
        };
        for query in [
            "limit=0",
            "limit=201",
            "limit=-1",
            "limit=",
            "limit=1.5",
            "limit=99999",
        ] {
            check(query, "limit", "invalid_value");
        }
        check("limit=1&limit=2", "limit", "duplicate_field");
        check("cursor=", "cursor", "invalid_value");
        check(
            &format!("cursor={}", "x".repeat(513)),
            "cursor",
            "invalid_value",
        );
        check("offset=5", "offset", "unknown_field");
        assert!(
            PageQuery::from_query(&"x=1&".repeat(100_000))
                .unwrap_err()
                .problems
                .len()
                <= 3
        );
    }

    #[test]
    fn usage_is_asked_for_by_group_and_time() {
        let query =
            "group_by=day&from=2026-11-01&until=2026-11-23T08%3A00%3A00Z&limit=7&cursor=2026";
        let usage = UsageRequest::from_query(query).unwrap();
        assert_eq!(usage.group_by, UsageGroup::Day);
        assert_eq!(usage.from.unwrap().to_string(), "2026-11-01T00:00:00Z");
        assert_eq!(usage.until.unwrap().to_string(), "2026-11-23T08:00:00Z");
        assert_eq!((usage.limit, usage.cursor.as_deref()), (7, Some("2026")));
        let least = UsageRequest::from_query("group_by=key").unwrap();
        assert_eq!(
            (least.group_by, least.from, least.limit),
            (UsageGroup::Key, None, 50)
        );
    }

    #[test]
    fn every_problem_of_a_usage_query_is_named() {
        let error =
            UsageRequest::from_query("from=yesterday&until=2026-13-01&limit=x").unwrap_err();
        let fields: Vec<_> = error.problems.iter().map(|p| p.field.as_str()).collect();
        assert_eq!(fields, ["group_by", "from", "until", "limit"]);
        for query in [
            "group_by=",
            "group_by=user",
            "group_by=key&from=2026-11-02&until=2026-11-02",
            "group_by=key&from=2026-11-02&until=2026-11-01",
            "group_by=key&x=1",
        ] {
            assert_eq!(
                UsageRequest::from_query(query).unwrap_err().problems.len(),
                1,
                "{query}"
            );
        }
    }
}
