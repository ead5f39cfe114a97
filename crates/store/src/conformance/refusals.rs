//! What the rules expect to be refused.

use std::fmt::Debug;

use crate::StoreError;

pub(super) fn conflict<T: Debug>(result: Result<T, StoreError>) {
    let error = result.unwrap_err();
    assert!(matches!(error, StoreError::Conflict { .. }), "{error:?}");
}

pub(super) fn missing<T: Debug>(result: Result<T, StoreError>) {
    let error = result.unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }), "{error:?}");
}

pub(super) fn invalid<T: Debug>(result: Result<T, StoreError>) {
    let error = result.unwrap_err();
    assert!(matches!(error, StoreError::Invalid { .. }), "{error:?}");
}

pub(super) fn needed<T: Debug>(result: Result<T, StoreError>) {
    let error = result.unwrap_err();
    assert!(matches!(error, StoreError::Needed { .. }), "{error:?}");
}

pub(super) fn outdated<T: Debug>(result: Result<T, StoreError>) {
    let error = result.unwrap_err();
    assert!(matches!(error, StoreError::Outdated { .. }), "{error:?}");
}
