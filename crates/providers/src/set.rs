//! The providers of an installation, and the gate in front of them.

use std::sync::Arc;

use crate::upstream::{CallFuture, Health, Upstream, UpstreamRequest};

/// Providers that only who holds their [`Gate`] can call.
#[derive(Debug)]
pub struct Providers {
    list: Vec<Arc<dyn Upstream>>,
}

/// Makes [`Admitted`] tokens. There is one per [`Providers`]; it cannot be cloned, so a call that
/// went around whoever holds it does not compile.
#[derive(Debug)]
pub struct Gate {
    _made_here: (),
}

/// Evidence that a call passed admission.
#[derive(Debug)]
pub struct Admitted<'gate> {
    _gate: &'gate Gate,
}

impl Gate {
    /// Declares that a call passed every check.
    #[must_use]
    pub const fn admit(&self) -> Admitted<'_> {
        Admitted { _gate: self }
    }
}

impl Providers {
    /// Takes providers over, and returns them with their gate.
    #[must_use]
    pub fn new(list: Vec<Arc<dyn Upstream>>) -> (Self, Gate) {
        (Self { list }, Gate { _made_here: () })
    }

    /// Calls the provider at this place of the list; `None` when there is none.
    pub fn call(
        &self,
        _admitted: &Admitted<'_>,
        index: usize,
        request: UpstreamRequest,
    ) -> Option<CallFuture<'_>> {
        self.list.get(index).map(|provider| provider.call(request))
    }

    /// Returns the health of each provider, in the order of the list.
    pub fn health(&self) -> impl Iterator<Item = Health> {
        self.list.iter().map(|provider| provider.health())
    }
}
