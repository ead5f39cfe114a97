//! Answers and errors of providers: nothing panics, and what is read as a whole object is one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use tollgate_wire::{is_context_overflow, read_answer, read_error};

fuzz_target!(|data: &[u8]| {
    if read_answer(data).is_ok() {
        serde_json::from_slice::<IgnoredAny>(data).expect("what is accepted is JSON");
    }
    if let Some(facts) = read_error(data) {
        assert!(facts.message.chars().count() <= 2_001);
        std::hint::black_box(is_context_overflow(&facts));
    }
});
