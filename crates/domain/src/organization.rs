//! Organizations.

use crate::budget::BudgetPolicy;
use crate::ids::OrgId;
use crate::key::Limits;
use crate::time::Timestamp;

/// A tenant: everything that is stored belongs to one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Which organization.
    pub id: OrgId,
    /// Its unique name.
    pub name: String,
    /// Limits over all of its keys together.
    pub limits: Limits,
    /// A budget over all of its keys together.
    pub budget: Option<BudgetPolicy>,
    /// Whether all of its requests are refused.
    pub blocked: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Grows with every change, from 1.
    pub version: u64,
}
