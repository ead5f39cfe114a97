//! Why a request gets no answer from a model.

use std::borrow::Cow;
use std::time::Duration;

use tollgate_auth::{CredentialError, Denied};
use tollgate_domain::ErrorKind;
use tollgate_ledger::LedgerError;
use tollgate_store::StoreError;
use tollgate_wire::WireError;

/// An error for the client: what happened, in words and as a code, and whether to repeat.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct EngineError {
    /// What the caller can do about it.
    pub kind: ErrorKind,
    /// The machine-readable code.
    pub code: &'static str,
    /// What happened, without secrets and without prompts.
    pub message: Cow<'static, str>,
    /// The field of the request that is at fault.
    pub param: Option<String>,
    /// When it is worth repeating.
    pub retry_after: Option<Duration>,
}

impl EngineError {
    /// Makes an error without a field and without a time to repeat.
    pub fn new(kind: ErrorKind, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            code,
            message: message.into(),
            param: None,
            retry_after: None,
        }
    }

    pub(crate) fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    pub(crate) fn with_param(mut self, param: &str) -> Self {
        self.param = Some(param.to_owned());
        self
    }
}

impl From<CredentialError> for EngineError {
    fn from(error: CredentialError) -> Self {
        Self::new(error.kind(), error.code(), error.to_string())
    }
}

impl From<WireError> for EngineError {
    fn from(error: WireError) -> Self {
        let message = error.to_string();
        let param = error.param().map(ToOwned::to_owned);
        Self {
            param,
            ..Self::new(error.kind(), error.code(), message)
        }
    }
}

impl From<Denied> for EngineError {
    fn from(denied: Denied) -> Self {
        Self::new(denied.kind(), "permission_denied", denied.to_string())
    }
}

impl From<StoreError> for EngineError {
    /// A store that fails never reads as a bad credential.
    fn from(error: StoreError) -> Self {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "a look-up in the store failed"
        );
        Self::new(
            ErrorKind::Unavailable,
            "service_unavailable",
            "this request cannot be checked right now; repeat it shortly",
        )
        .with_retry_after(Duration::from_secs(2))
    }
}

impl From<LedgerError> for EngineError {
    fn from(error: LedgerError) -> Self {
        let (code, retry_after) = match &error {
            LedgerError::BudgetExceeded { .. } => ("budget_exceeded", None),
            LedgerError::BudgetUnverifiable { .. } => {
                ("budget_unverifiable", Some(Duration::from_secs(5)))
            }
            _ => ("service_unavailable", Some(Duration::from_secs(5))),
        };
        let kind = error.kind();
        if kind != ErrorKind::BudgetExceeded {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the ledger cannot reserve"
            );
        }
        Self {
            retry_after,
            ..Self::new(kind, code, error.to_string())
        }
    }
}
