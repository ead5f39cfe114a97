use super::*;
use crate::route::Outcome;

#[test]
fn a_request_is_counted_in_every_way() {
    let metrics = Metrics::new("0.0.0").unwrap();
    metrics.route("chat_completions", "m").observe(&Outcome {
        status: 503,
        duration_us: 2_000_000,
        overhead_us: 80,
        first_byte_us: Some(1_000),
        tokens: [3, 0, 0, 0, 5, 0, 0],
        cost_nano_usd: 1_500_000_000,
    });
    let text = metrics.render();
    for line in [
        "tollgate_requests_total{model=\"m\",status=\"5xx\",surface=\"chat_completions\"} 1",
        "tollgate_tokens_total{model=\"m\",type=\"output\"} 5",
        "tollgate_cost_usd_total{model=\"m\"} 1.5",
        "tollgate_gateway_overhead_seconds_bucket{surface=\"chat_completions\",le=\"0.0001\"} 1",
        "tollgate_build_info{version=\"0.0.0\"} 1",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[test]
fn many_model_names_make_a_bounded_number_of_series() {
    let metrics = Metrics::new("0.0.0").unwrap();
    let known = metrics.route("chat_completions", "known");
    for at in 0..1_000 {
        metrics
            .route("chat_completions", &format!("m{at}"))
            .observe(&Outcome::default());
        metrics
            .route("embeddings", &format!("m{at}"))
            .observe(&Outcome::default());
    }
    let long = "x".repeat(1_000);
    metrics
        .route("chat_completions", &long)
        .observe(&Outcome::default());
    let text = metrics.render();
    assert!(!text.contains(&long));
    let series = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
    assert_eq!(series("tollgate_cost_usd_total{"), MODELS_MAX + 1);
    let other =
        "tollgate_requests_total{model=\"other\",status=\"2xx\",surface=\"chat_completions\"}";
    assert!(
        text.contains(&format!("{other} {}", 1_000 - (MODELS_MAX - 1) + 1)),
        "{text}"
    );
    assert!(Arc::ptr_eq(
        &known,
        &metrics.route("chat_completions", "known")
    ));
}

#[test]
fn what_is_read_on_demand_is_shown() {
    let metrics = Metrics::new("0.0.0").unwrap();
    metrics.begin();
    metrics.begin();
    metrics.end();
    metrics.attempt("openai", "upstream_error");
    metrics.rejection("rate_limit_exceeded");
    metrics.set_breaker("openai", "m", 2);
    metrics.set_backlog(7, 900, Duration::from_millis(1_500));
    metrics.set_pool("writer", 1, 0, 1);
    metrics.set_overruns(4);
    metrics.set_log_dropped(3);
    let text = metrics.render();
    for line in [
        "tollgate_inflight_requests 1",
        "tollgate_attempts_total{provider=\"openai\",state=\"upstream_error\"} 1",
        "tollgate_rejections_total{code=\"rate_limit_exceeded\"} 1",
        "tollgate_breaker_state{model=\"m\",provider=\"openai\"} 2",
        "tollgate_journal_backlog{unit=\"events\"} 7",
        "tollgate_journal_backlog{unit=\"bytes\"} 900",
        "tollgate_journal_backlog{unit=\"age_seconds\"} 1.5",
        "tollgate_database_pool_connections{pool=\"writer\",state=\"idle\"} 0",
        "tollgate_reserve_overruns 4",
        "tollgate_log_lines_dropped 3",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}
