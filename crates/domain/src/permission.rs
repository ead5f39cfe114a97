//! What can be allowed, and sets of it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::event::UnknownName;

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Something a principal may be allowed to do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Permission {
            $($(#[$doc])* $name,)*
        }

        impl Permission {
            /// Every permission.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Returns the name used in the API and the database.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

permissions! {
    /// Call models.
    ModelsUse = "models.use",
    /// See API keys, never their secrets.
    KeysRead = "keys.read",
    /// Create, change and revoke API keys.
    KeysManage = "keys.manage",
    /// See what was used and what it cost.
    UsageRead = "usage.read",
    /// See single requests: their attempts and figures, never their prompts.
    RequestsRead = "requests.read",
    /// See the organization, its limits and its budget.
    OrgRead = "org.read",
    /// Change the organization's name, limits and budget.
    OrgManage = "org.manage",
    /// See teams and who is in them.
    TeamsRead = "teams.read",
    /// Make, change and delete teams.
    TeamsManage = "teams.manage",
    /// See who belongs to the organization.
    UsersRead = "users.read",
    /// Change memberships and send invitations.
    UsersManage = "users.manage",
    /// See the organization's own roles.
    RolesRead = "roles.read",
    /// Make, change and delete the organization's own roles.
    RolesManage = "roles.manage",
    /// Change budgets.
    BudgetsManage = "budgets.manage",
    /// See providers and their health, never their credentials.
    ProvidersRead = "providers.read",
    /// Change providers.
    ProvidersManage = "providers.manage",
    /// See models and their targets.
    ModelsRead = "models.read",
    /// Change models.
    ModelsManage = "models.manage",
    /// Change how a model picks among its targets.
    RoutesManage = "routes.manage",
    /// Change prices.
    PricesManage = "prices.manage",
    /// See guardrails.
    GuardrailsRead = "guardrails.read",
    /// Change guardrails.
    GuardrailsManage = "guardrails.manage",
    /// See alerts.
    AlertsRead = "alerts.read",
    /// Change alerts.
    AlertsManage = "alerts.manage",
    /// See the organization's audit entries.
    AuditRead = "audit.read",
    /// See settings.
    SettingsRead = "settings.read",
    /// Change settings.
    SettingsManage = "settings.manage",
    /// End the sessions of others.
    SessionsManage = "sessions.manage",
    /// See prompts and answers: for breaking the glass, and in no built-in role.
    PromptsRead = "prompts.read",
    /// Change the installation, and make organizations.
    PlatformManage = "platform.manage",
    /// See the installation's audit entries.
    PlatformAudit = "platform.audit",
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Permission {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let found = Self::ALL.iter().find(|one| one.as_str() == text);
        found.copied().ok_or(UnknownName { what: "permission" })
    }
}

/// A set of permissions. Written as a list of their names.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct PermissionSet(u64);

// Each permission has a bit of its own.
const _: () = assert!(Permission::ALL.len() <= 64);

impl PermissionSet {
    /// Nothing.
    pub const EMPTY: Self = Self(0);
    /// Everything.
    pub const ALL: Self = Self::of(Permission::ALL);
    /// What concerns the whole installation and no organization alone.
    pub const PLATFORM: Self = Self::of(&[Permission::PlatformManage, Permission::PlatformAudit]);

    /// Returns the set of these permissions.
    #[must_use]
    pub const fn of(permissions: &[Permission]) -> Self {
        let mut bits = 0;
        let mut rest = permissions;
        while let [first, others @ ..] = rest {
            bits |= 1 << *first as u8;
            rest = others;
        }
        Self(bits)
    }

    /// Returns whether the permission is in the set.
    #[must_use]
    pub const fn contains(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u8) != 0
    }

    /// Returns whether nothing is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns whether all of this is in the other set, too.
    #[must_use]
    pub const fn is_subset_of(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Returns what is in both.
    #[must_use]
    pub const fn intersect(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns what is in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns what is in this one and not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns the permissions, in the order of [`Permission::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        let all = Permission::ALL.iter().copied();
        all.filter(move |permission| self.contains(*permission))
    }
}

impl FromIterator<Permission> for PermissionSet {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        permissions
            .into_iter()
            .fold(Self::EMPTY, |set, one| set.union(Self::of(&[one])))
    }
}

impl fmt::Debug for PermissionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.iter().map(Permission::as_str))
            .finish()
    }
}

impl Serialize for PermissionSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Permission::as_str))
    }
}

impl<'de> Deserialize<'de> for PermissionSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        let permissions = names.iter().map(|name| name.parse::<Permission>());
        permissions
            .collect::<Result<_, _>>()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_reads_back_and_is_its_own() {
        let mut names = std::collections::HashSet::new();
        for permission in Permission::ALL {
            let name = permission.as_str();
            assert_eq!(name.parse(), Ok(*permission));
            assert!(names.insert(name) && name.contains('.'), "{name}");
        }
        for text in ["", "models", "models.use ", "MODELS.USE", "keys.*"] {
            assert!(text.parse::<Permission>().is_err(), "{text}");
        }
    }

    #[test]
    fn sets_are_what_they_are_made_of() {
        for permission in Permission::ALL {
            let one = PermissionSet::of(&[*permission]);
            assert_eq!(one.iter().collect::<Vec<_>>(), [*permission]);
            assert!(one.is_subset_of(PermissionSet::ALL));
            assert_eq!(PermissionSet::ALL.intersect(one), one);
            assert!(!PermissionSet::ALL.without(one).contains(*permission));
            assert_eq!(
                PermissionSet::ALL.without(one).union(one),
                PermissionSet::ALL
            );
        }
        assert!(PermissionSet::EMPTY.is_empty() && !PermissionSet::ALL.is_empty());
        let all: PermissionSet = Permission::ALL.iter().copied().collect();
        assert_eq!(all, PermissionSet::ALL);
        assert!(!PermissionSet::ALL.is_subset_of(PermissionSet::EMPTY));
    }

    #[test]
    fn a_set_is_written_as_names_and_an_unknown_name_is_refused() {
        let set = PermissionSet::of(&[Permission::UsageRead, Permission::ModelsUse]);
        let text = serde_json::to_string(&set).unwrap();
        assert_eq!(text, r#"["models.use","usage.read"]"#);
        assert_eq!(serde_json::from_str::<PermissionSet>(&text).unwrap(), set);
        assert!(serde_json::from_str::<PermissionSet>(r#"["everything"]"#).is_err());
    }
}
