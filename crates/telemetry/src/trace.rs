//! A span per request and per upstream call, with the `GenAI` semantic conventions
//! (<https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/>).

use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _,
    TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, Span,
};

use crate::error::TelemetryError;
use crate::trace_parent::{parse, written};

/// How long one export may take.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the end waits for the last export.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// Spans that wait at most; those beyond it are dropped, and the log says so.
const QUEUE_MAX: usize = 8_192;

/// Where spans go.
#[derive(Debug, Clone)]
pub struct TraceConfig {
    /// The collector's OTLP/HTTP address, such as `http://127.0.0.1:4318`; `None` is off.
    pub otlp_endpoint: Option<String>,
    /// The share of requests that is traced when the client did not decide, 0 to 1.
    pub sample_ratio: f64,
    /// The `service.name`.
    pub service_name: String,
}

/// Makes spans, or nothing when traces are off. Batches leave on a thread of their own; a
/// collector that is away costs dropped spans and nothing else.
#[derive(Debug, Clone)]
pub struct Tracer {
    on: Option<(SdkTracerProvider, SdkTracer)>,
}

/// A request's span from its beginning on.
#[derive(Debug)]
pub struct RequestSpan {
    span: Option<(Span, SdkTracer)>,
    /// What the client sent, passed on when traces are off here.
    received: Option<String>,
}

/// What is known of a request when it has ended.
#[derive(Debug, Clone, Copy, Default)]
pub struct SpanFacts<'a> {
    /// `chat` or `embeddings`.
    pub operation: &'a str,
    /// The request's id.
    pub request_id: &'a str,
    /// The model that was asked for.
    pub model: Option<&'a str>,
    /// Whose it was.
    pub org_id: Option<&'a str>,
    /// The API key's id.
    pub key_id: Option<&'a str>,
    /// The status of the answer.
    pub status: u16,
    /// The code of the error.
    pub error_code: Option<&'a str>,
    /// Prompt tokens, all kinds.
    pub input_tokens: u64,
    /// Answer tokens, all kinds.
    pub output_tokens: u64,
    /// What it cost in US dollars.
    pub cost_usd: Option<&'a str>,
}

/// What is known of an upstream call when it has ended.
#[derive(Debug, Clone, Copy)]
pub struct AttemptFacts<'a> {
    /// `chat` or `embeddings`.
    pub operation: &'a str,
    /// The provider.
    pub provider: &'a str,
    /// The model that it was asked for.
    pub model: &'a str,
    /// The status that it answered.
    pub status: Option<u16>,
    /// How it ended.
    pub state: &'a str,
    /// When it began.
    pub started: SystemTime,
    /// How long it took.
    pub duration: Duration,
}

impl Tracer {
    /// Starts exporting, if an address is given.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub fn new(config: &TraceConfig) -> Result<Self, TelemetryError> {
        let Some(endpoint) = &config.otlp_endpoint else {
            return Ok(Self { on: None });
        };
        // The exporter's client has no cryptography of its own. One that is there already serves as well.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .with_timeout(EXPORT_TIMEOUT)
            .build()?;
        let share = Sampler::TraceIdRatioBased(config.sample_ratio.clamp(0.0, 1.0));
        let resource = Resource::builder()
            .with_service_name(config.service_name.clone())
            .build();
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE_MAX)
            .build();
        let processor = BatchSpanProcessor::builder(exporter)
            .with_batch_config(batches)
            .build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_sampler(Sampler::ParentBased(Box::new(share)))
            .with_resource(resource)
            .build();
        let tracer = provider.tracer("tollgate");
        Ok(Self {
            on: Some((provider, tracer)),
        })
    }

    /// Begins a request's span, within the client's trace if it sent a valid `traceparent`.
    #[must_use]
    pub fn begin(&self, trace_parent: Option<&str>) -> RequestSpan {
        let parent = trace_parent.and_then(parse);
        let Some((_, tracer)) = &self.on else {
            let received = parent.as_ref().map(written);
            return RequestSpan {
                span: None,
                received,
            };
        };
        let context = match parent {
            Some(parent) => Context::new().with_remote_span_context(parent),
            None => Context::new(),
        };
        let builder = SpanBuilder::from_name("request").with_kind(SpanKind::Server);
        let span = tracer.build_with_context(builder, &context);
        RequestSpan {
            span: Some((span, tracer.clone())),
            received: None,
        }
    }

    /// Sends what is left, for at most two seconds, and ends.
    pub fn stop(self) {
        if let Some((provider, _)) = self.on
            && let Err(error) = provider.shutdown_with_timeout(LAST_WAIT)
        {
            tracing::warn!(%error, "the last traces could not be exported");
        }
    }
}

impl RequestSpan {
    /// Returns the `traceparent` for upstream calls.
    #[must_use]
    pub fn trace_parent(&self) -> Option<String> {
        let Some((span, _)) = &self.span else {
            return self.received.clone();
        };
        Some(written(span.span_context()))
    }

    /// Returns the id of the trace.
    #[must_use]
    pub fn trace_id(&self) -> Option<String> {
        match &self.span {
            Some((span, _)) => Some(span.span_context().trace_id().to_string()),
            None => self
                .received
                .as_deref()
                .and_then(|text| text.get(3..35))
                .map(ToOwned::to_owned),
        }
    }

    /// Returns whether anybody will see the span: if not, nothing needs to be gathered for it.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.span
            .as_ref()
            .is_some_and(|(span, _)| span.is_recording())
    }

    /// Ends the span and makes one for each upstream call.
    pub fn finish<'a>(
        self,
        facts: &SpanFacts<'a>,
        attempts: impl Iterator<Item = AttemptFacts<'a>>,
    ) {
        let Some((mut span, tracer)) = self.span else {
            return;
        };
        if !span.is_recording() {
            return;
        }
        let here = Context::new().with_remote_span_context(span.span_context().clone());
        for attempt in attempts {
            attempt.record(&tracer, &here);
        }
        span.update_name(named(facts.operation, facts.model));
        span.set_attribute(KeyValue::new(
            "gen_ai.operation.name",
            facts.operation.to_owned(),
        ));
        span.set_attribute(KeyValue::new(
            "tollgate.request.id",
            facts.request_id.to_owned(),
        ));
        span.set_attribute(KeyValue::new(
            "http.response.status_code",
            i64::from(facts.status),
        ));
        let texts = [
            ("gen_ai.request.model", facts.model),
            ("tollgate.org.id", facts.org_id),
            ("tollgate.key.id", facts.key_id),
            ("tollgate.cost_usd", facts.cost_usd),
            ("error.type", facts.error_code),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                span.set_attribute(KeyValue::new(name, text.to_owned()));
            }
        }
        let counts = [
            ("gen_ai.usage.input_tokens", facts.input_tokens),
            ("gen_ai.usage.output_tokens", facts.output_tokens),
        ];
        for (name, count) in counts {
            span.set_attribute(KeyValue::new(
                name,
                i64::try_from(count).unwrap_or(i64::MAX),
            ));
        }
        if facts.status >= 500 {
            span.set_status(Status::error(
                facts.error_code.unwrap_or_default().to_owned(),
            ));
        }
        span.end();
    }
}

impl AttemptFacts<'_> {
    fn record(&self, tracer: &SdkTracer, parent: &Context) {
        let mut attributes = vec![
            KeyValue::new("gen_ai.operation.name", self.operation.to_owned()),
            KeyValue::new("gen_ai.provider.name", self.provider.to_owned()),
            KeyValue::new("gen_ai.request.model", self.model.to_owned()),
            KeyValue::new("tollgate.attempt.state", self.state.to_owned()),
        ];
        if let Some(status) = self.status {
            attributes.push(KeyValue::new(
                "http.response.status_code",
                i64::from(status),
            ));
        }
        if self.state != "ok" {
            let status = self.status.filter(|status| *status >= 400);
            let kind = status.map_or_else(|| self.state.to_owned(), |status| status.to_string());
            attributes.push(KeyValue::new("error.type", kind));
        }
        let builder = SpanBuilder::from_name(named(self.operation, Some(self.model)))
            .with_kind(SpanKind::Client)
            .with_start_time(self.started)
            .with_attributes(attributes);
        let mut span = tracer.build_with_context(builder, parent);
        if self.state != "ok" {
            span.set_status(Status::error(self.state.to_owned()));
        }
        span.end_with_timestamp(self.started + self.duration);
    }
}

/// The convention's name of a span: the operation and the model.
fn named(operation: &str, model: Option<&str>) -> String {
    model.map_or_else(
        || operation.to_owned(),
        |model| format!("{operation} {model}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn without_a_collector_the_clients_trace_is_passed_on() {
        let config = TraceConfig {
            otlp_endpoint: None,
            sample_ratio: 1.0,
            service_name: String::new(),
        };
        let tracer = Tracer::new(&config).unwrap();
        let span = tracer.begin(Some(PARENT));
        assert_eq!(span.trace_parent().as_deref(), Some(PARENT));
        assert_eq!(
            span.trace_id().as_deref(),
            Some("0af7651916cd43dd8448eb211c80319c")
        );
        assert_eq!(tracer.begin(Some("junk")).trace_parent(), None);
        assert_eq!(tracer.begin(None).trace_parent(), None);
    }
}
