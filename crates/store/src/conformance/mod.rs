//! The rules that every backend passes, for its tests.
//!
//! ```
//! # mod tests {
//! use tollgate_store::MemoryStore;
//! use tollgate_store::conformance::fixtures::TestSealer;
//!
//! tollgate_store::store_conformance!(Box::new(MemoryStore::new(TestSealer::shared())));
//! # }
//! ```

#![expect(clippy::unwrap_used, reason = "a rule that does not hold panics")]

pub mod accounts;
mod answers;
pub mod audit;
pub mod fixtures;
pub mod identities;
pub mod invitations;
pub mod keys;
pub mod members;
pub mod organizations;
pub mod random;
mod refusals;
pub mod repetition;
pub mod reports;
pub mod secrets;
pub mod sessions;
pub mod teams;
pub mod tokens;
pub mod upkeep;
pub mod usage;
pub mod users;

/// Generates one test per rule. The expression makes an empty store, which seals with
/// [`TestSealer`](fixtures::TestSealer), behind something that dereferences to it, such as a `Box`.
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
                a_name_that_cannot_be_kept_is_refused,
                pages_of_organizations_follow_the_order_of_ids;
            keys:
                a_key_is_found_as_it_was_added,
                ids_and_public_ids_are_unique,
                a_key_needs_its_organization,
                another_organization_cannot_see_or_revoke_a_key,
                pages_follow_the_order_of_ids,
                lists_of_keys_are_filtered_by_team_and_owner,
                lists_of_keys_are_filtered_by_state,
                an_update_of_a_key_needs_its_version,
                revoking_again_changes_nothing,
                the_epoch_grows_with_every_change_and_only_then,
                a_text_that_cannot_be_kept_is_refused;
            teams:
                a_team_is_kept_changed_and_deleted,
                names_of_teams_are_unique_while_they_are_there,
                another_organization_cannot_see_or_change_a_team,
                a_role_is_kept_changed_and_removed_when_nobody_has_it,
                a_role_of_the_installation_is_refused;
            invitations:
                an_invitation_lets_one_user_in_once,
                an_invitation_that_is_not_open_lets_nobody_in;
            users:
                a_user_is_found_as_they_were_added,
                addresses_are_unique_while_they_are_there,
                an_update_leaves_what_sign_ins_count,
                a_user_who_is_deleted_leaves_no_way_in,
                each_step_and_each_recovery_code_works_once,
                sealed_second_factors_are_replaced_where_they_are_the_same;
            members:
                members_come_change_and_go,
                a_member_needs_what_is_referred_to,
                the_last_owner_stays,
                threads_that_remove_owners_leave_one,
                teams_have_members_of_their_organization,
                every_change_to_rights_advances_the_epoch,
                every_end_of_rights_advances_the_epoch_once;
            sessions:
                a_session_is_found_used_and_ended,
                the_sessions_of_a_user_end_together,
                sessions_that_ended_are_forgotten,
                a_token_is_found_until_it_is_used_or_void,
                a_token_works_once_for_its_purpose;
            accounts:
                the_first_person_gets_all_or_nothing,
                the_first_person_joins_the_oldest_organization,
                threads_that_set_up_let_one_in,
                a_reset_leaves_no_session_and_no_other_letter;
            tokens:
                a_refresh_token_has_one_successor,
                threads_that_exchange_a_token_get_one_successor,
                a_session_is_found_by_its_id,
                a_signing_key_is_of_one_generation,
                threads_that_add_signing_keys_agree;
            identities:
                an_identity_is_of_one_user,
                a_user_who_is_deleted_leaves_no_identity;
            audit:
                every_change_has_its_entry_and_no_other,
                chains_are_sealed_and_have_no_gaps,
                lists_are_filtered_and_paged,
                threads_that_write_one_chain_leave_no_gap,
                an_entry_in_another_chain_is_refused_with_its_change;
            secrets:
                a_secret_is_added_once,
                secrets_are_replaced_together,
                threads_that_add_secrets_agree,
                a_secret_that_cannot_be_kept_is_refused;
            repetition:
                a_request_with_a_name_is_done_once,
                names_of_requests_are_their_callers,
                a_request_that_failed_gives_its_name_free,
                names_of_requests_expire,
                threads_that_begin_a_request_agree_who_is_first,
                a_request_that_cannot_be_kept_is_refused;
            upkeep:
                chains_and_their_ends_are_listed,
                a_lease_is_held_by_one,
                everybody_is_signed_out_at_once;
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
