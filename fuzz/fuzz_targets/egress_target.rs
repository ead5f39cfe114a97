//! URLs and allow-lists: nothing panics, and what passes without a list is https to a public name, and
//! is read the same again.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use tollgate_egress::{AllowList, Target, UrlPolicy};

fuzz_target!(|text: &str| {
    let policy = UrlPolicy::default();
    if let Ok(target) = Target::parse(text, &policy) {
        let origin = target.origin();
        assert!(origin.is_tls() && origin.port() == 443);
        assert!(origin.host().contains('.') && !origin.host().starts_with('['));
        assert!(origin.host().parse::<IpAddr>().is_err());
        let again = Target::parse(target.as_str(), &policy).expect("what passed passes again");
        assert_eq!(again, target);
    }
    if let Ok(list) = AllowList::parse(text.lines()) {
        std::hint::black_box(list);
    }
});
