//! Ranges of addresses: nothing panics, what is read shows as what it was read from, and the first
//! address of a range lies in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_domain::IpRange;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(range) = text.parse::<IpRange>() else {
        return;
    };
    let shown = range.to_string();
    assert_eq!(shown.parse(), Ok(range));
    let (first, _) = shown.split_once('/').expect("an address and a length");
    assert!(range.contains(first.parse().expect("an address")));
});
