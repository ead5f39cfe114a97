//! A body is JSON and says so, or is not read.

use tollgate_server::{BodyClass, routes};

use crate::common::{chat, start};
use crate::headers::{ask, check, is_owners, path_of};

const WRONG: [&str; 17] = [
    "",
    "content-type: \r\n",
    "content-type: text/plain\r\n",
    "content-type: text/json\r\n",
    "content-type: text/html; charset=utf-8\r\n",
    "content-type: application/x-www-form-urlencoded\r\n",
    "content-type: multipart/form-data; boundary=x\r\n",
    "content-type: application/octet-stream\r\n",
    "content-type: application/xml\r\n",
    "content-type: application/jsonp\r\n",
    "content-type: application/json-patch+json\r\n",
    "content-type: application/vnd.api+json\r\n",
    "content-type: application/json; charset=utf-16\r\n",
    "content-type: application/json; boundary=x\r\n",
    "content-type: application/json, text/plain\r\n",
    "content-type: application/json\r\ncontent-type: text/plain\r\n",
    "content-type: application/json\r\ncontent-encoding: gzip\r\n",
];

#[test]
fn t_ctype_no_route_reads_a_body_of_another_type() {
    let (upstream, gateway) = start();
    let key = format!("authorization: Bearer {}\r\n", gateway.key());
    let body = chat("m", (2, 2)).to_string();
    let mut asked = 0;
    for route in routes()
        .iter()
        .filter(|route| route.body != BodyClass::None)
        // What an organization's owner may not use is refused before its body is looked at.
        .filter(|route| is_owners(route))
    {
        let (method, path) = (route.method.as_str(), path_of(route));
        for wrong in WRONG {
            let lines = format!("{key}{wrong}content-length: {}\r\n", body.len());
            let answer = ask(&gateway, method, &path, &lines, &body);
            let what = format!("{method} {path}, {wrong}");
            assert_eq!(answer.status, 415, "{what}: {}", answer.text());
            let json = answer.json();
            let code = json["error"]["code"].as_str().or(json["code"].as_str());
            assert_eq!(code, Some("unsupported_media_type"), "{what}");
            check(&answer, &what);
            asked += 1;
        }
    }
    assert!(asked >= 4 * WRONG.len(), "{asked}");
    assert_eq!(upstream.calls().len(), 0);
}
