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
        version -> BigInt,
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
        team_id -> Nullable<Binary>,
        owner_id -> Nullable<Binary>,
        created_by -> Text,
        previous_mac -> Nullable<Binary>,
        previous_until_us -> Nullable<BigInt>,
        scopes -> Nullable<Text>,
        allowed_ips -> Text,
        metadata -> Text,
        tags -> Text,
        blocked -> Bool,
        version -> BigInt,
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

diesel::table! {
    teams (id) {
        id -> Binary,
        org_id -> Binary,
        name -> Text,
        models -> Text,
        rpm_limit -> Nullable<BigInt>,
        tpm_limit -> Nullable<BigInt>,
        max_parallel_requests -> Nullable<BigInt>,
        max_budget_nano_usd -> Nullable<BigInt>,
        budget_duration_s -> Nullable<BigInt>,
        blocked -> Bool,
        created_at_us -> BigInt,
        deleted_at_us -> Nullable<BigInt>,
        version -> BigInt,
    }
}

diesel::table! {
    users (id) {
        id -> Binary,
        email -> Nullable<Text>,
        name -> Text,
        service_org_id -> Nullable<Binary>,
        password_hash -> Nullable<Text>,
        email_verified_at_us -> Nullable<BigInt>,
        totp -> Nullable<Binary>,
        totp_last_step -> Nullable<BigInt>,
        recovery_macs -> Binary,
        is_platform_admin -> Bool,
        blocked -> Bool,
        failed_sign_ins -> BigInt,
        last_failed_at_us -> Nullable<BigInt>,
        created_at_us -> BigInt,
        deleted_at_us -> Nullable<BigInt>,
        version -> BigInt,
    }
}

diesel::table! {
    custom_roles (id) {
        id -> Binary,
        org_id -> Binary,
        name -> Text,
        permissions -> Text,
        created_at_us -> BigInt,
        version -> BigInt,
    }
}

diesel::table! {
    memberships (org_id, user_id) {
        org_id -> Binary,
        user_id -> Binary,
        role -> Text,
        created_at_us -> BigInt,
    }
}

diesel::table! {
    team_memberships (team_id, user_id) {
        team_id -> Binary,
        user_id -> Binary,
        org_id -> Binary,
        role -> Text,
    }
}

diesel::table! {
    invitations (id) {
        id -> Binary,
        org_id -> Binary,
        email -> Text,
        role -> Text,
        team_id -> Nullable<Binary>,
        token_mac -> Binary,
        invited_by -> Nullable<Binary>,
        created_at_us -> BigInt,
        expires_at_us -> BigInt,
        accepted_at_us -> Nullable<BigInt>,
        revoked_at_us -> Nullable<BigInt>,
    }
}

diesel::table! {
    sessions (id) {
        id -> Binary,
        user_id -> Binary,
        org_id -> Nullable<Binary>,
        token_mac -> Binary,
        created_at_us -> BigInt,
        last_seen_at_us -> BigInt,
        expires_at_us -> BigInt,
        client_ip -> Nullable<Text>,
        user_agent -> Text,
        has_second_factor -> Bool,
        revoked_at_us -> Nullable<BigInt>,
    }
}

diesel::table! {
    one_time_tokens (mac) {
        mac -> Binary,
        purpose -> Text,
        user_id -> Nullable<Binary>,
        expires_at_us -> BigInt,
        used_at_us -> Nullable<BigInt>,
    }
}

diesel::table! {
    audit_entries (org_id, seq) {
        org_id -> Binary,
        seq -> BigInt,
        at_us -> BigInt,
        actor -> Text,
        action -> Text,
        object -> Text,
        outcome -> Text,
        request_id -> Text,
        client_ip -> Nullable<Text>,
        before_sha256 -> Nullable<Binary>,
        after_sha256 -> Nullable<Binary>,
        details -> Text,
        previous -> Binary,
        seal -> Binary,
    }
}

diesel::table! {
    installation_secrets (name) {
        name -> Text,
        sealed -> Binary,
        key_id -> Text,
        version -> BigInt,
    }
}

diesel::table! {
    audit_pruned (org_id) {
        org_id -> Binary,
        seq -> BigInt,
        record -> Text,
    }
}

diesel::table! {
    leases (name) {
        name -> Text,
        holder -> Text,
        until_us -> BigInt,
    }
}

diesel::table! {
    audit_heads (org_id) {
        org_id -> Binary,
        seq -> BigInt,
        seal -> Binary,
    }
}

diesel::table! {
    named_requests (org_id, actor, name) {
        org_id -> Binary,
        actor -> Text,
        name -> Text,
        digest -> Binary,
        expires_at_us -> BigInt,
        status -> Nullable<BigInt>,
        body -> Nullable<Text>,
    }
}

diesel::table! {
    refresh_tokens (mac) {
        mac -> Binary,
        session_id -> Binary,
        generation -> BigInt,
        expires_at_us -> BigInt,
        used_at_us -> Nullable<BigInt>,
        successor_mac -> Nullable<Binary>,
    }
}

diesel::table! {
    signing_keys (generation) {
        generation -> BigInt,
        kid -> Text,
        sealed -> Binary,
        key_id -> Text,
        signs_from_us -> BigInt,
    }
}

diesel::table! {
    user_identities (issuer, subject) {
        issuer -> Text,
        subject -> Text,
        user_id -> Binary,
        created_at_us -> BigInt,
    }
}
