//! The tables, the same for both backends. `migrations/` at the root of the workspace makes them.

diesel::table! {
    organizations (id) {
        id -> Binary,
        name -> Text,
        rpm_limit -> Nullable<BigInt>,
        tpm_limit -> Nullable<BigInt>,
        max_parallel_requests -> Nullable<BigInt>,
        max_budget_nano_usd -> Nullable<BigInt>,
        budget_duration_s -> Nullable<BigInt>,
        blocked -> Bool,
        created_at_us -> BigInt,
    }
}

diesel::table! {
    api_keys (id) {
        id -> Binary,
        org_id -> Binary,
        public_id -> Text,
        mac -> Binary,
        name -> Text,
        role -> Text,
        models -> Text,
        rpm_limit -> Nullable<BigInt>,
        tpm_limit -> Nullable<BigInt>,
        max_parallel_requests -> Nullable<BigInt>,
        max_budget_nano_usd -> Nullable<BigInt>,
        budget_duration_s -> Nullable<BigInt>,
        created_at_us -> BigInt,
        expires_at_us -> Nullable<BigInt>,
        revoked_at_us -> Nullable<BigInt>,
    }
}

diesel::table! {
    auth_epoch (id) {
        id -> BigInt,
        epoch -> BigInt,
    }
}

diesel::table! {
    usage_events (attempt_id) {
        attempt_id -> Binary,
        request_id -> Binary,
        attempt -> BigInt,
        is_final -> Bool,
        org_id -> Binary,
        key_id -> Binary,
        surface -> Text,
        model -> Text,
        provider -> Text,
        upstream_model -> Text,
        started_at_us -> BigInt,
        latency_us -> BigInt,
        first_token_us -> Nullable<BigInt>,
        input_tokens -> BigInt,
        cached_input_tokens -> BigInt,
        cache_write_tokens -> BigInt,
        audio_input_tokens -> BigInt,
        output_tokens -> BigInt,
        reasoning_tokens -> BigInt,
        audio_output_tokens -> BigInt,
        provenance -> Text,
        cost_nano_usd -> BigInt,
        price_version -> Text,
        state -> Text,
        upstream_status -> Nullable<BigInt>,
        org_window_start_us -> Nullable<BigInt>,
        key_window_start_us -> Nullable<BigInt>,
    }
}

diesel::table! {
    usage_rollups (org_id, day, key_id, model) {
        org_id -> Binary,
        day -> Text,
        key_id -> Binary,
        model -> Text,
        requests -> BigInt,
        attempts -> BigInt,
        errors -> BigInt,
        input_tokens -> BigInt,
        cached_input_tokens -> BigInt,
        cache_write_tokens -> BigInt,
        audio_input_tokens -> BigInt,
        output_tokens -> BigInt,
        reasoning_tokens -> BigInt,
        audio_output_tokens -> BigInt,
        cost_nano_usd -> BigInt,
    }
}

diesel::table! {
    budget_spent (scope, window_start_us) {
        scope -> Text,
        window_start_us -> BigInt,
        spent_nano_usd -> BigInt,
    }
}
