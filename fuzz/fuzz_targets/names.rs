//! Names of permissions, roles and actors: nothing panics, and what is read shows as what it was read
//! from.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_domain::{Actor, Permission, RoleRef};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(permission) = text.parse::<Permission>() {
        assert_eq!(permission.as_str(), text);
    }
    if let Ok(role) = text.parse::<RoleRef>() {
        assert_eq!(role.to_string(), text);
    }
    if let Ok(actor) = text.parse::<Actor>() {
        assert_eq!(actor.to_string(), text);
    }
});
