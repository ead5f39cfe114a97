//! What an organization used and what it cost.

use tollgate_auth::{Granted, UsageRead};
use tollgate_store::UsageQuery;
use tollgate_validation::UsageRequest;

use crate::control::Control;
use crate::error::ControlError;
use crate::views::{Page, UsageView};

impl Control {
    /// Returns sums over the organization's usage, by group.
    ///
    /// # Errors
    /// A store's error.
    pub fn usage(
        &self,
        granted: &Granted<UsageRead>,
        request: UsageRequest,
    ) -> Result<Page<UsageView>, ControlError> {
        let (group_by, limit) = (request.group_by, request.limit);
        let rows = self.store.usage_totals(&UsageQuery {
            org: granted.org_id(),
            group_by,
            from: request.from,
            until: request.until,
            after: request.cursor,
            limit: limit.saturating_add(1),
        })?;
        let page = Page::cut(rows, limit, |row| row.group.clone());
        let data = page
            .data
            .into_iter()
            .map(|row| UsageView::new(&row, group_by))
            .collect();
        Ok(Page {
            data,
            next_cursor: page.next_cursor,
        })
    }
}
