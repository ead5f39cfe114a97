//! Notes of proxies: nothing panics, and what stands to the left of an address that is not trusted
//! changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_validation::{
    ForwardedClient, client_of_forwarded, client_of_x_forwarded_for, is_https_of_forwarded,
    is_https_of_x_forwarded_proto,
};

fuzz_target!(|data: &[u8]| {
    let lines = || data.split(|byte| *byte == b'\n');
    let client = ForwardedClient::Known([192, 0, 2, 1].into());
    let noted = |note: &[u8]| [data, note].concat();

    std::hint::black_box(client_of_x_forwarded_for(lines(), |_| true));
    std::hint::black_box(is_https_of_x_forwarded_proto(lines()));
    let older = noted(b", 192.0.2.1");
    assert_eq!(client_of_x_forwarded_for([&*older].into_iter(), |_| false), client);

    std::hint::black_box(client_of_forwarded(lines(), |_| true));
    std::hint::black_box(is_https_of_forwarded(lines()));
    let newer = noted(b", for=192.0.2.1");
    assert_eq!(client_of_forwarded([&*newer].into_iter(), |_| false), client);
});
