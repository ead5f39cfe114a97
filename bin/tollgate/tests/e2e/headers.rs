//! What every answer says to browsers, whatever the route and whatever the status.

use serde_json::Value;
use tollgate_server::{Access, BodyClass, RouteSpec, routes};
use tollgate_testkit::{Answer, Gateway, exchange, request};

use crate::common::{chat, start, stream};

const ALWAYS: [(&str, &str); 6] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    (
        "permissions-policy",
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// Checks the headers of an answer; `what` says which one it is.
pub(crate) fn check(answer: &Answer, what: &str) {
    for (name, value) in ALWAYS {
        let found: Vec<_> = answer.headers.iter().filter(|(n, _)| n == name).collect();
        assert_eq!(found.len(), 1, "{what}: {name} in {answer:?}");
        assert_eq!(found[0].1, value, "{what}: {name}");
    }
    let policy = answer.header("content-security-policy").unwrap_or_default();
    assert!(policy.starts_with("default-src 'none'"), "{what}: {policy}");
    assert!(!policy.contains("unsafe"), "{what}: {policy}");
    let cache = answer.header("cache-control").unwrap_or_default();
    assert!(["no-store", "no-cache"].contains(&cache), "{what}: {cache}");
    let id = answer.header("x-request-id").unwrap_or_default();
    assert!(id.starts_with("req_"), "{what}: {id}");
    for leak in ["server", "x-powered-by"] {
        assert_eq!(answer.header(leak), None, "{what}");
    }
}

/// The path of a route with something in the place of its parameters.
pub(crate) fn path_of(route: &RouteSpec) -> String {
    route
        .path
        .replace("{id}", "none")
        .replace("{user_id}", "none")
        .replace("{model:.+}", "m")
}

/// Returns whether the key of an organization's owner may use a route.
pub(crate) fn is_owners(route: &RouteSpec) -> bool {
    let is_installations = route.path.starts_with("/api/v1/organizations");
    route.access != Access::Person && !is_installations
}

/// Sends one request of a route; `lines` are further header lines.
pub(crate) fn ask(gateway: &Gateway, method: &str, path: &str, lines: &str, body: &str) -> Answer {
    let head = format!("{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{lines}\r\n");
    exchange(gateway.address(), format!("{head}{body}").as_bytes())
        .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
}

#[test]
fn every_route_says_the_same_to_browsers_whatever_it_answers() {
    let (_upstream, gateway) = start();
    let key = format!("authorization: Bearer {}\r\n", gateway.key());
    let json = "content-type: application/json\r\n";
    let mut seen = std::collections::BTreeSet::new();
    for route in routes() {
        let (method, path) = (route.method.as_str(), path_of(&route));
        let mut meet = |expected: Option<u16>, case: &str, answer: Answer| {
            let what = format!("{case}: {method} {path}");
            if let Some(expected) = expected {
                assert_eq!(answer.status, expected, "{what}: {}", answer.text());
            }
            check(&answer, &what);
            seen.insert(answer.status);
        };
        let with = |lines: &str, body: &str| ask(&gateway, method, &path, lines, body);
        let large = format!("{key}x-large: {}\r\n", "a".repeat(33 << 10));
        let no_host = format!("{method} {path} HTTP/1.1\r\nhost: a?b\r\n{key}\r\n");
        let no_host = exchange(gateway.address(), no_host.as_bytes()).unwrap();
        meet(None, "an empty body", with(&format!("{key}{json}"), ""));
        meet(
            Some(405),
            "a wrong method",
            ask(&gateway, "TRACE", &path, &key, ""),
        );
        meet(
            Some(404),
            "no path",
            ask(&gateway, method, &format!("{path}//x"), &key, ""),
        );
        meet(Some(431), "a large head", with(&large, ""));
        meet(Some(400), "a wrong host", no_host);
        // Of a person's routes a key learns nothing but that a person must sign in.
        // Of what is the installation's, an organization's owner learns as little; and of a thing that is
        // not there, that comes before what is wrong with the body.
        let is_own = is_owners(&route);
        let known = |status| is_own.then_some(status);
        let found = |status| (is_own && !route.path.contains("{id}")).then_some(status);
        if ![Access::Public, Access::Stranger].contains(&route.access) {
            meet(Some(401), "no key", with("", ""));
        }
        if route.body != BodyClass::None {
            let text = format!("{key}content-type: text/plain\r\ncontent-length: 2\r\n");
            meet(known(415), "no JSON", with(&text, "{}"));
            let huge = format!("{key}{json}content-length: 99999999\r\n");
            meet(known(413), "a large body", with(&huge, ""));
            let broken = format!("{key}{json}content-length: 1\r\n");
            meet(found(400), "no JSON in it", with(&broken, "{"));
        }
    }
    let expected = [200, 400, 401, 404, 405, 413, 415, 431];
    assert!(
        expected.iter().all(|status| seen.contains(status)),
        "{seen:?}"
    );
}

#[test]
fn answers_of_models_and_the_metrics_page_say_it_too() {
    let (_upstream, gateway) = start();
    let post = |body: &Value| gateway.post("/v1/chat/completions", body);
    check(&post(&chat("m", (2, 2))), "an answer");
    let streamed = post(&stream("s", (2, 2)));
    assert!(streamed.is_done());
    check(&streamed, "a stream");
    check(&post(&chat("nobody", (2, 2))), "an unknown model");
    for path in ["/metrics", "/nothing"] {
        let answer = exchange(gateway.metrics_address(), &request("GET", path, &[], None));
        check(&answer.unwrap(), path);
    }
}
