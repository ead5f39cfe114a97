//! Limits and budgets as they are changed, of whatever has them.

use tollgate_domain::{BudgetDuration, BudgetPolicy, Limits, Money};

use crate::error::ControlError;

/// What is to change: a value sets, `null` removes, absence leaves as it is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LimitsChange {
    pub(crate) rpm_limit: Option<Option<u32>>,
    pub(crate) tpm_limit: Option<Option<u32>>,
    pub(crate) max_parallel_requests: Option<Option<u32>>,
    pub(crate) max_budget: Option<Option<Money>>,
    pub(crate) budget_duration: Option<Option<BudgetDuration>>,
}

impl LimitsChange {
    pub(crate) fn limits(&self, old: Limits) -> Limits {
        Limits {
            rpm_limit: self.rpm_limit.unwrap_or(old.rpm_limit),
            tpm_limit: self.tpm_limit.unwrap_or(old.tpm_limit),
            max_parallel_requests: self
                .max_parallel_requests
                .unwrap_or(old.max_parallel_requests),
        }
    }

    /// # Errors
    /// `Invalid` for a window without a budget.
    pub(crate) fn budget(
        &self,
        old: Option<BudgetPolicy>,
    ) -> Result<Option<BudgetPolicy>, ControlError> {
        let max_budget = self
            .max_budget
            .unwrap_or(old.map(|budget| budget.max_budget));
        let duration = self
            .budget_duration
            .unwrap_or(old.and_then(|budget| budget.duration));
        if max_budget.is_none() && self.budget_duration.flatten().is_some() {
            return Err(ControlError::Invalid("budget_duration needs a max_budget"));
        }
        Ok(max_budget.map(|max_budget| BudgetPolicy {
            max_budget,
            duration,
        }))
    }

    /// Returns each field, and whether it is to change.
    pub(crate) const fn fields(&self) -> [(&'static str, bool); 5] {
        [
            ("rpm_limit", self.rpm_limit.is_some()),
            ("tpm_limit", self.tpm_limit.is_some()),
            (
                "max_parallel_requests",
                self.max_parallel_requests.is_some(),
            ),
            ("max_budget", self.max_budget.is_some()),
            ("budget_duration", self.budget_duration.is_some()),
        ]
    }
}

/// Returns the names of the fields that are to change, as an audit entry has them.
pub(crate) fn given_names(fields: impl IntoIterator<Item = (&'static str, bool)>) -> String {
    let given = fields.into_iter().filter(|(_, is_given)| *is_given);
    let names: Vec<_> = given.map(|(name, _)| name).collect();
    names.join(", ")
}
