//! The rules that every backend passes, for its tests.
//!
//! ```
//! # mod tests {
//! use tollgate_store::MemoryStore;
//!
//! tollgate_store::store_conformance!(Box::new(MemoryStore::default()));
//! # }
//! ```

#![expect(clippy::unwrap_used, reason = "a rule that does not hold panics")]

mod answers;
pub mod fixtures;
pub mod keys;
pub mod organizations;
pub mod random;
pub mod reports;
pub mod usage;

/// Generates one test per rule. The expression makes an empty store behind something that
/// dereferences to it, such as a `Box`.
#[macro_export]
macro_rules! store_conformance {
    ($empty:expr) => {
        $crate::store_conformance! {
            @rules $empty;
            organizations:
                an_organization_is_found_as_it_was_added,
                ids_and_names_are_unique,
                an_update_replaces_all_but_the_time_it_was_made,
                an_update_needs_an_organization_and_a_free_name,
                a_name_that_cannot_be_kept_is_refused;
            keys:
                a_key_is_found_as_it_was_added,
                ids_and_public_ids_are_unique,
                a_key_needs_its_organization,
                another_organization_cannot_see_or_revoke_a_key,
                pages_follow_the_order_of_ids,
                revoking_again_changes_nothing,
                the_epoch_grows_with_every_change_and_only_then,
                a_text_that_cannot_be_kept_is_refused;
            usage:
                booking_again_changes_nothing,
                only_what_is_new_of_a_batch_is_booked,
                threads_that_book_the_same_events_book_them_once,
                verification_sees_one_state,
                every_figure_reaches_its_sum,
                budgets_are_spent_by_scope_and_window,
                the_largest_figures_are_kept_and_no_sum_wraps,
                a_batch_with_an_event_that_cannot_be_kept_is_refused;
            reports:
                groups_are_paged_in_the_order_of_their_bytes,
                days_bound_a_query,
                another_organization_sees_nothing;
            random:
                batches_give_what_memory_gives;
        }
    };
    (@rules $empty:expr; $($module:ident: $($rule:ident),+;)+) => {$(
        mod $module {
            use super::*;
            $(
                #[test]
                fn $rule() {
                    $crate::conformance::$module::$rule(&*$empty);
                }
            )+
        }
    )+};
}
