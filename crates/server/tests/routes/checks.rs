//! The checks, all on one server.

use std::collections::HashSet;

use tollgate_auth::KeyText;
use tollgate_domain::{Permission, Role};
use tollgate_server::{Access, BodyClass, RouteSpec, routes};
use tollgate_testkit::Answer;

use crate::asked::{body, path};
use crate::server::{HOST, Server, Session, bearer};

/// Says what is wrong with an answer that must be this error, in the shape of its surface.
fn not_the_error(answer: &Answer, path: &str, status: u16, code: &str) -> Option<String> {
    let json = answer.json();
    let kind = answer.header("content-type").unwrap_or_default();
    let has_shape = if path.starts_with("/api/") {
        let is_problem = json["status"] == status && json["title"].is_string();
        kind == "application/problem+json" && is_problem && json["code"] == code
    } else {
        let error = &json["error"];
        let is_error = error["message"].is_string() && error["type"].is_string();
        kind == "application/json" && is_error && error["code"] == code
    };
    let is_it = answer.status == status && has_shape;
    (!is_it).then(|| format!("not {status} {code}: {} {}", answer.status, answer.text()))
}

/// Says which header is missing that no answer should lack.
fn not_hardened(answer: &Answer) -> Option<String> {
    let id = answer.header("x-request-id").unwrap_or_default();
    let safe = [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        (
            "content-security-policy",
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
        (
            "permissions-policy",
            "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        ),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ];
    let missing = safe
        .iter()
        .find(|(name, value)| answer.header(name) != Some(value))
        .map(|(name, _)| (*name).to_owned());
    missing.or_else(|| (!id.starts_with("req_")).then(|| "x-request-id".to_owned()))
}

/// A server, and what is wrong with it.
pub(crate) struct Inspection {
    pub(crate) server: Server,
    pub(crate) faults: Vec<String>,
    answers: usize,
}

impl Inspection {
    /// The server, which runs in this process, leaves no core file in which its secrets would be.
    fn process(&mut self) {
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let core = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"));
        let values: Vec<_> = core.unwrap().split_whitespace().skip(4).take(2).collect();
        if values != ["0", "0"] {
            self.faults.push(format!("core files of {values:?} bytes"));
        }
    }

    /// Notes a fault; every answer must also have the headers that none should lack.
    pub(crate) fn note(&mut self, what: &str, answer: &Answer, fault: Option<String>) {
        self.answers += 1;
        let bare = not_hardened(answer).map(|name| format!("lacks {name}"));
        let faults = fault.into_iter().chain(bare);
        self.faults
            .extend(faults.map(|fault| format!("{what}: {fault}")));
    }

    fn send(&self, route: &RouteSpec, head: &str) -> Answer {
        self.server.send(
            route.method.as_str(),
            &path(route),
            head,
            body(route).as_ref(),
        )
    }

    /// Who has no credential, or one that was never given out, gets nothing of what needs one.
    fn strangers(&mut self) {
        let forged = KeyText::generate().unwrap();
        let two = format!("{}x-api-key: other\r\n", bearer(&self.server.owner));
        let strangers = [
            ("nobody", String::new(), 401, "invalid_api_key"),
            (
                "a forged key",
                bearer(forged.expose()),
                401,
                "invalid_api_key",
            ),
            ("half a key", bearer("tg_live_x"), 401, "invalid_api_key"),
            (
                "a password",
                "authorization: Basic YTpi\r\n".to_owned(),
                401,
                "invalid_api_key",
            ),
            ("two credentials", two, 400, "conflicting_credentials"),
        ];
        for route in routes() {
            for (who, head, status, code) in &strangers {
                let answer = self.send(&route, head);
                let fault = match route.access {
                    Access::Public => (answer.status != 200).then(|| answer.text()),
                    // What they send is nothing that lets them in.
                    Access::Stranger => {
                        let is_refused = matches!(answer.status, 202 | 400 | 401 | 429);
                        (!is_refused).then(|| answer.text())
                    }
                    Access::Person if *status == 401 => {
                        not_the_error(&answer, route.path, 401, "not_signed_in")
                    }
                    Access::Person | Access::Needs(_) => {
                        not_the_error(&answer, route.path, *status, code)
                    }
                };
                self.note(
                    &format!("{who} at {} {}", route.method, route.path),
                    &answer,
                    fault,
                );
            }
        }
    }

    /// A role does what it may do and nothing else.
    fn roles(&mut self) {
        let (head, role) = (bearer(&self.server.owner), Role::PlatformAdmin.as_str());
        let body = serde_json::json!({"name": role, "role": role});
        let answer = self.server.send("POST", "/api/v1/keys", &head, Some(&body));
        let fault = (answer.status != 403).then(|| answer.text());
        self.note("an owner makes no key for the installation", &answer, fault);
        for role in Role::ALL
            .into_iter()
            .filter(|role| *role != Role::PlatformAdmin)
        {
            let head = bearer(&self.server.key(role.as_str()));
            for route in routes() {
                if route.access == Access::Stranger {
                    continue;
                }
                let answer = self.send(&route, &head);
                let may = match route.access {
                    Access::Public | Access::Stranger => true,
                    // A key is nobody who could be signed in.
                    Access::Person => {
                        let fault = not_the_error(&answer, route.path, 401, "not_signed_in");
                        self.note(&format!("a key at {}", route.path), &answer, fault);
                        continue;
                    }
                    Access::Needs(permission) => role.allows(permission),
                };
                let fault = if may {
                    matches!(answer.status, 401 | 403 | 405 | 500).then(|| answer.text())
                } else {
                    not_the_error(&answer, route.path, 403, "permission_denied")
                };
                let what = format!("{} at {} {}", role.as_str(), route.method, route.path);
                self.note(&what, &answer, fault);
            }
        }
    }

    /// A session does what its person may do, for our own pages alone, and nothing on OpenAI's surface.
    fn sessions(&mut self, session: &Session) {
        let both = format!("{}{}", session.head(), bearer(&self.server.owner));
        let evil = format!(
            "{}sec-fetch-site: cross-site\r\n{}",
            session.cookie, session.csrf
        );
        let forged = format!("{}x-csrf-token: x\r\n", session.cookie);
        for route in routes() {
            let is_read = route.method == "GET";
            let is_openai = route.path.starts_with("/v1/");
            for (who, head) in [
                ("a session alone", &session.cookie),
                ("a session of another page", &evil),
                ("a session with a wrong token", &forged),
                ("a session and a key", &both),
                ("a session", &session.head()),
            ] {
                let has_both = who.ends_with("key");
                let is_ours = who == "a session";
                let check =
                    |answer: &Answer, status, code| not_the_error(answer, route.path, status, code);
                let expected = match route.access {
                    Access::Public | Access::Stranger => continue,
                    Access::Needs(_) if is_openai && has_both => None,
                    Access::Needs(_) if is_openai => Some((401, "invalid_api_key")),
                    _ if has_both => Some((400, "conflicting_credentials")),
                    _ if is_read || (is_ours && route.access != Access::Person) => None,
                    // What people do with their own sessions is another test's.
                    Access::Person if is_ours => continue,
                    _ => Some((403, "cross_site_request")),
                };
                let answer = self.send(&route, head);
                let fault = match expected {
                    Some((status, code)) => check(&answer, status, code),
                    None => matches!(answer.status, 400 | 401 | 403 | 500).then(|| answer.text()),
                };
                let what = format!("{who} at {} {}", route.method, route.path);
                self.note(&what, &answer, fault);
            }
        }
    }

    /// Other methods are told which ones there are, other paths that there is nothing.
    fn other_requests(&mut self) {
        let head = bearer(&self.server.owner);
        let paths: HashSet<&str> = routes().iter().map(|route| route.path).collect();
        for pattern in paths {
            let here: Vec<RouteSpec> = routes().into_iter().filter(|r| r.path == pattern).collect();
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
                if here.iter().any(|route| route.method == method) {
                    continue;
                }
                let path = path(&here[0]);
                let answer = self.server.send(method, &path, &head, None);
                let allowed: HashSet<&str> = answer
                    .header("allow")
                    .unwrap_or_default()
                    .split(", ")
                    .collect();
                let expected = here.iter().map(|route| route.method.as_str()).collect();
                let fault = not_the_error(&answer, &path, 405, "method_not_allowed")
                    .or_else(|| (allowed != expected).then(|| format!("allows {allowed:?}")));
                self.note(&format!("{method} {path}"), &answer, fault);
            }
        }
        for path in [
            "/",
            "/v1",
            "/v1/nothing",
            "/V1/models",
            "//v1/models",
            "/v1/models/",
            "/api/v1/nothing",
            "/api/v2/keys",
            "/metrics",
            "/debug",
            "/health/",
        ] {
            let answer = self.server.send("GET", path, &head, None);
            let fault = not_the_error(&answer, path, 404, "not_found");
            self.note(path, &answer, fault);
        }
    }

    /// No spelling of a path leads around the credential.
    fn spellings(&mut self) {
        for path in [
            "/v1/%6dodels",
            "/v1/./models",
            "/health/../v1/models",
            "/health/..%2fv1/models",
            "/health/%2e%2e/api/v1/keys",
            "/v1/models?x=/health",
            "/api//v1/keys",
            "/health;/../api/v1/keys",
        ] {
            let answer = self.server.send("GET", path, "", None);
            let fault = (answer.status < 400).then(|| answer.text());
            self.note(path, &answer, fault);
        }
    }

    /// A body is no larger than its route takes, and of the type that it takes.
    fn bodies(&mut self, session: &Session) {
        let (key, session) = (bearer(&self.server.owner), session.head());
        let platform = bearer(&self.server.platform_key());
        for route in routes() {
            let credential = match route.access {
                Access::Needs(Permission::PlatformManage) => &platform,
                Access::Needs(_) => &key,
                Access::Person => &session,
                Access::Public | Access::Stranger => "",
            };
            let bytes_max = match route.body {
                BodyClass::None => continue,
                BodyClass::Admin => 256 << 10,
                BodyClass::Inference => 1 << 20,
            };
            let start = format!(
                "{} {} HTTP/1.1\r\nhost: {HOST}\r\n{credential}",
                route.method, route.path
            );
            let long = "x".repeat(bytes_max + 1);
            let length = long.len();
            let json = "content-type: application/json\r\n";
            for (what, status, code, rest) in [
                (
                    "an announced body",
                    413,
                    "request_too_large",
                    format!("{json}content-length: {length}\r\n\r\n"),
                ),
                (
                    "a body in chunks",
                    413,
                    "request_too_large",
                    format!(
                        "{json}transfer-encoding: chunked\r\n\r\n{length:x}\r\n{long}\r\n0\r\n\r\n"
                    ),
                ),
                (
                    "a body of no type",
                    415,
                    "unsupported_media_type",
                    "content-length: 2\r\n\r\n{}".to_owned(),
                ),
                (
                    "a body of another type",
                    415,
                    "unsupported_media_type",
                    "content-type: text/plain\r\ncontent-length: 2\r\n\r\n{}".to_owned(),
                ),
            ] {
                let answer = self.server.send_bytes(format!("{start}{rest}").as_bytes());
                let fault = not_the_error(&answer, route.path, status, code);
                self.note(
                    &format!("{what} to {} {}", route.method, route.path),
                    &answer,
                    fault,
                );
            }
        }
    }

    /// Only the host that the server is called by is answered to.
    fn hosts(&mut self) {
        for (host, is_fine) in [
            (HOST, true),
            ("gateway.test:8080", true),
            ("GATEWAY.test", true),
            ("evil.test", false),
            ("gateway.test.evil.test", false),
            ("127.0.0.1", false),
            ("gateway.test:80x", false),
            ("gateway.test/", false),
            ("user@gateway.test", false),
        ] {
            for path in ["/health", "/v1/models", "/api/v1/keys", "/nothing"] {
                let text = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
                let answer = self.server.send_bytes(text.as_bytes());
                let fault = if is_fine {
                    (answer.status == 400).then(|| answer.text())
                } else {
                    not_the_error(&answer, path, 400, "invalid_host")
                };
                self.note(&format!("host {host} at {path}"), &answer, fault);
            }
        }
        let long = format!("x-long: {}\r\n", "x".repeat(40_000));
        let answer = self.server.send("GET", "/api/v1/keys", &long, None);
        let fault = not_the_error(&answer, "/api/v1/keys", 431, "head_too_large");
        self.note("a long head", &answer, fault);
    }

    /// What anybody can see says nothing of who uses the server.
    fn public_answers(&mut self) {
        let created = self
            .server
            .send("GET", "/api/v1/keys", &bearer(&self.server.owner), None);
        let id = created.json()["data"][0]["id"].as_str().unwrap().to_owned();
        for route in routes()
            .into_iter()
            .filter(|route| route.access == Access::Public)
        {
            let answer = self.send(&route, "");
            let text = answer.text();
            let told = ["org_", "key_", "tg_live_", "default", &id]
                .into_iter()
                .find(|word| text.contains(word));
            self.note(
                route.path,
                &answer,
                told.map(|word| format!("tells {word}: {text}")),
            );
        }
    }
}

#[test]
fn t_routes_every_route_declares_what_it_needs() {
    let mut seen = HashSet::new();
    let mut permissions = HashSet::new();
    for route in routes() {
        let RouteSpec {
            method,
            path,
            access,
            body,
            ..
        } = &route;
        assert!(
            seen.insert((method.clone(), *path)),
            "{method} {path} is there twice"
        );
        let is_public = path.starts_with("/health") || path.starts_with("/.well-known/");
        assert_eq!(*access == Access::Public, is_public, "{method} {path}");
        let is_for_people = path.starts_with("/api/v1/auth/");
        let needs = matches!(access, Access::Stranger | Access::Person);
        assert_eq!(needs, is_for_people, "{method} {path}");
        let expected = match (method.as_str(), path.starts_with("/v1/")) {
            ("GET" | "DELETE", _) => BodyClass::None,
            (_, true) => BodyClass::Inference,
            (_, false) => BodyClass::Admin,
        };
        assert_eq!(*body, expected, "{method} {path}");
        if let Access::Needs(permission) = access {
            permissions.insert(*permission);
        }
    }
    // Permissions that no route asks for are those of parts that have no route yet.
    assert_eq!(
        permissions,
        HashSet::from([
            Permission::ModelsUse,
            Permission::KeysRead,
            Permission::KeysManage,
            Permission::UsageRead,
            Permission::OrgRead,
            Permission::OrgManage,
            Permission::TeamsRead,
            Permission::TeamsManage,
            Permission::UsersRead,
            Permission::UsersManage,
            Permission::RolesRead,
            Permission::RolesManage,
            Permission::AuditRead,
            Permission::PlatformManage,
        ]),
    );
}

#[test]
fn t_routes_the_documentation_tells_every_route_and_what_it_needs() {
    let text = include_str!("../../../../docs/api.md");
    for route in routes() {
        let Access::Needs(permission) = route.access else {
            continue;
        };
        if !route.path.starts_with("/api/v1/") {
            continue;
        }
        let name = format!("`{} {}`", route.method, route.path);
        let line = text.lines().find(|line| line.contains(&name));
        let line = line.unwrap_or_else(|| panic!("docs/api.md lacks {name}"));
        let needs = format!("`{permission}`");
        assert!(line.contains(&needs), "{name} needs {needs}: {line}");
    }
}

#[test]
fn t_routes_every_route_holds_what_it_declares() {
    let mut inspection = Inspection {
        server: Server::start(),
        faults: Vec::new(),
        answers: 0,
    };
    inspection.process();
    inspection.strangers();
    inspection.roles();
    let session = inspection.server.person();
    inspection.sessions(&session);
    inspection.other_requests();
    inspection.spellings();
    inspection.bodies(&session);
    inspection.hosts();
    inspection.public_answers();
    inspection.mass_assignment(&session);
    let Inspection {
        mut server,
        faults,
        answers,
    } = inspection;
    assert!(
        faults.is_empty(),
        "{} faults in {answers} answers:\n{}",
        faults.len(),
        faults.join("\n")
    );
    assert!(server.stop(), "it does not end well");
}
