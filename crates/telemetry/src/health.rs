//! How a service is, and its parts.

use serde::Serialize;

/// How a service or one of its parts is. The order is from well to worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// All works.
    Ok,
    /// Some of it works, or less well.
    Degraded,
    /// It does not work.
    Failed,
}

/// A part of a service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Component {
    /// What it is called.
    pub name: String,
    /// How it is.
    pub status: HealthStatus,
    /// What is wrong and what to do; no secrets, since it is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How long it took to answer, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
}

/// How a service is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HealthReport {
    /// How it is as a whole.
    pub status: HealthStatus,
    /// Its parts.
    pub components: Vec<Component>,
}

impl HealthReport {
    /// Sums up parts, of which some the service cannot be without: it has failed when one of those
    /// has, and is degraded when any part is not well.
    #[must_use]
    pub fn new(components: Vec<Component>, is_essential: impl Fn(&Component) -> bool) -> Self {
        let weight = |part: &Component| match part.status {
            HealthStatus::Failed if !is_essential(part) => HealthStatus::Degraded,
            status => status,
        };
        let status = components
            .iter()
            .map(weight)
            .max()
            .unwrap_or(HealthStatus::Ok);
        Self { status, components }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use HealthStatus::{Degraded, Failed, Ok};

    fn check(journal: HealthStatus, provider: HealthStatus, expected: HealthStatus) {
        let parts =
            [("journal", journal), ("provider", provider)].map(|(name, status)| Component {
                name: name.to_owned(),
                status,
                detail: None,
                latency_ms: None,
            });
        let report = HealthReport::new(parts.to_vec(), |part| part.name == "journal");
        assert_eq!(report.status, expected, "{report:?}");
    }

    #[test]
    fn only_what_is_essential_makes_the_whole_fail() {
        check(Ok, Ok, Ok);
        check(Ok, Degraded, Degraded);
        check(Ok, Failed, Degraded);
        check(Degraded, Ok, Degraded);
        check(Failed, Ok, Failed);
    }

    #[test]
    fn a_report_says_what_is_known() {
        let part = Component {
            name: "database".to_owned(),
            status: Degraded,
            detail: Some("slow".to_owned()),
            latency_ms: Some(1.5),
        };
        let report = HealthReport::new(vec![part], |_| true);
        let expected = serde_json::json!({
            "status": "degraded",
            "components": [{
                "name": "database", "status": "degraded", "detail": "slow", "latency_ms": 1.5,
            }],
        });
        assert_eq!(serde_json::to_value(&report).unwrap(), expected);
    }
}
