//! One request more in the bytes of another: no second reader of a message may find it.
//!
//! Each attack is sent to the gateway itself, and through proxies that share their connections. Then
//! other clients ask for models that nobody has, and must get the answer that names theirs.

use std::net::SocketAddr;
use std::time::Duration;

use tollgate_testkit::{Connection, Gateway, GatewaySettings, ReverseProxy};

use crate::common::start_with;

const JSON: &str = "content-type: application/json\r\n";
const CHAT: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;

/// Bytes with a request in them that must never be answered.
struct Attack {
    name: &'static str,
    bytes: Vec<u8>,
    /// Whether the gateway must refuse it with 400 before anything else.
    is_broken: bool,
}

/// What the attacks are made of.
struct Attacker {
    authorization: String,
}

impl Attacker {
    /// The request that is smuggled.
    fn hidden(&self) -> String {
        format!(
            "GET /v1/models/smuggled HTTP/1.1\r\nhost: a\r\n{}\r\n",
            self.authorization
        )
    }

    /// A chat with these lines in its head and these bytes after it.
    fn chat(&self, lines: &str, rest: &str) -> String {
        let start = "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n";
        format!("{start}{}{JSON}{lines}\r\n{rest}", self.authorization)
    }

    /// A request of this line with a body that nobody reads, which is the hidden request.
    fn unread(&self, line: &str, lines: &str) -> String {
        let hidden = self.hidden();
        let length = hidden.len();
        format!("{line} HTTP/1.1\r\nhost: a\r\n{lines}content-length: {length}\r\n\r\n{hidden}")
    }

    /// Lengths and chunks that contradict each other.
    fn both(&self) -> Vec<Attack> {
        let hidden = self.hidden();
        let ended = format!("0\r\n\r\n{hidden}");
        let length = ended.len();
        let chunk = format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
        let both = |te: &str| self.chat(&format!("content-length: {length}\r\n{te}\r\n"), &ended);
        let short = self.chat(
            "content-length: 4\r\ntransfer-encoding: chunked\r\n",
            &chunk,
        );
        broken(vec![
            ("CL.TE", both("transfer-encoding: chunked")),
            ("TE.CL", short),
            ("CL.TE in capitals", both("Transfer-Encoding: CHUNKED")),
            (
                "TE with an unknown value",
                both("transfer-encoding: xchunked"),
            ),
            (
                "TE before a blank colon",
                both("transfer-encoding : chunked"),
            ),
            (
                "TE twice",
                both("transfer-encoding: chunked\r\ntransfer-encoding: chunked"),
            ),
            (
                "TE and identity",
                both("transfer-encoding: chunked\r\ntransfer-encoding: identity"),
            ),
            (
                "TE that is not last",
                both("transfer-encoding: chunked, identity"),
            ),
            (
                "TE that is last",
                both("transfer-encoding: identity, chunked"),
            ),
            (
                "TE after a vertical tab",
                both("transfer-encoding:\x0bchunked"),
            ),
            ("TE in quotes", both("transfer-encoding: \"chunked\"")),
            (
                "TE on a folded line",
                both("x-a: b\r\n transfer-encoding: chunked"),
            ),
            (
                "TE with its value folded",
                both("transfer-encoding:\r\n chunked"),
            ),
            (
                "TE after a bare CR",
                both("x-a: b\rtransfer-encoding: chunked"),
            ),
            (
                "TE after a zero byte",
                both("x-a: b\0\r\ntransfer-encoding: chunked"),
            ),
        ])
    }

    /// Lengths that are read in more ways than one.
    fn lengths(&self) -> Vec<Attack> {
        let hidden = self.hidden();
        let body = format!("{CHAT}{hidden}");
        let (own, all) = (CHAT.len(), body.len());
        let with = |lines: String| self.chat(&lines, &body);
        broken(vec![
            (
                "two lengths",
                with(format!(
                    "content-length: {own}\r\ncontent-length: {all}\r\n"
                )),
            ),
            (
                "the long length first",
                with(format!(
                    "content-length: {all}\r\ncontent-length: {own}\r\n"
                )),
            ),
            (
                "a list of lengths",
                with(format!("content-length: {own}, {all}\r\n")),
            ),
            (
                "a length with a sign",
                with(format!("content-length: +{own}\r\n")),
            ),
            (
                "a negative length",
                with(format!("content-length: -{own}\r\n")),
            ),
            (
                "a hexadecimal length",
                with(format!("content-length: 0x{own:x}\r\n")),
            ),
            (
                "a length with text",
                with(format!("content-length: {own}a\r\n")),
            ),
            (
                "a blank before the colon",
                with(format!("content-length : {own}\r\n")),
            ),
            (
                "a length beyond all numbers",
                with("content-length: 99999999999999999999\r\n".to_owned()),
            ),
        ])
    }

    /// Chunks that are read in more ways than one.
    fn chunks(&self) -> Vec<Attack> {
        let hidden = self.hidden();
        let size = CHAT.len();
        let with = |rest: String| self.chat("transfer-encoding: chunked\r\n", &rest);
        let end = format!("0\r\n\r\n{hidden}");
        broken(vec![
            (
                "a size with a prefix",
                with(format!("0x{size:x}\r\n{CHAT}\r\n{end}")),
            ),
            (
                "a size with a sign",
                with(format!("+{size:x}\r\n{CHAT}\r\n{end}")),
            ),
            (
                "a size after a blank",
                with(format!(" {size:x}\r\n{CHAT}\r\n{end}")),
            ),
            (
                "a size on a bare LF",
                with(format!("{size:x}\n{CHAT}\r\n{end}")),
            ),
            (
                "a size on a bare CR",
                with(format!("{size:x}\r{CHAT}\r\n{end}")),
            ),
            (
                "a chunk without its end",
                with(format!("{size:x}\r\n{CHAT}XX{end}")),
            ),
            (
                "a chunk that is longer",
                with(format!("{:x}\r\n{CHAT}\r\n{end}", size - 3)),
            ),
            (
                "an extension with a bare LF",
                with(format!("{size:x};a=\nb\r\n{CHAT}\r\n{end}")),
            ),
            (
                "a size beyond all numbers",
                with(format!("1{:016x}\r\n{CHAT}\r\n{end}", size)),
            ),
        ])
    }

    /// Heads that are read in more ways than one.
    fn heads(&self) -> Vec<Attack> {
        let hidden = self.hidden();
        let get = |lines: &str| format!("GET /v1/models HTTP/1.1\r\n{lines}\r\n{hidden}");
        broken(vec![
            ("two hosts", get("host: a\r\nhost: b\r\n")),
            ("no host", get("")),
            ("a blank before a name", get(" host: a\r\n")),
            ("a line without a colon", get("host: a\r\nnothing\r\n")),
            ("a folded host", get("host: a\r\n b\r\n")),
            (
                "another host in the line",
                format!("GET http://b/ HTTP/1.1\r\nhost: a\r\n\r\n{hidden}"),
            ),
            (
                "a second version",
                format!("GET /v1/models HTTP/1.1 HTTP/1.1\r\nhost: a\r\n\r\n{hidden}"),
            ),
            ("a host that is none", get("host: a?b\r\n")),
            (
                "chunks in HTTP/1.0",
                format!(
                    "POST /v1/models HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
                ),
            ),
        ])
    }

    /// Requests that are well formed, with a body that their route does not read: it is a body.
    fn bodies(&self) -> Vec<Attack> {
        let own = &*self.authorization;
        let json = format!("{own}{JSON}");
        let text = format!("{own}content-type: text/plain\r\n");
        let upgrade = format!("{own}connection: upgrade\r\nupgrade: websocket\r\n");
        let expect = format!("{json}expect: 100-continue\r\n");
        fine(vec![
            ("CL.0 to a page", self.unread("GET /health/live", "")),
            ("CL.0 to a list", self.unread("GET /v1/models", own)),
            ("CL.0 to nothing", self.unread("POST /nothing", &json)),
            (
                "CL.0 with a wrong method",
                self.unread("PUT /v1/models", &json),
            ),
            (
                "CL.0 with DELETE",
                self.unread("DELETE /api/v1/keys/none", own),
            ),
            (
                "CL.0 without a key",
                self.unread("POST /v1/chat/completions", JSON),
            ),
            (
                "CL.0 of another type",
                self.unread("POST /v1/chat/completions", &text),
            ),
            (
                "a body that is no JSON",
                self.unread("POST /v1/chat/completions", &json),
            ),
            (
                "a body for an administrator",
                self.unread("POST /api/v1/keys", &json),
            ),
            (
                "an upgrade that is not made",
                self.unread("GET /v1/models", &upgrade),
            ),
            (
                "an expectation",
                self.unread("POST /v1/chat/completions", &expect),
            ),
            ("TRACE", self.unread("TRACE /v1/models", own)),
        ])
    }

    fn attacks(&self) -> Vec<Attack> {
        let kinds = [
            self.both(),
            self.lengths(),
            self.chunks(),
            self.heads(),
            self.bodies(),
        ];
        kinds.into_iter().flatten().collect()
    }
}

fn attacks(texts: Vec<(&'static str, String)>, is_broken: bool) -> Vec<Attack> {
    let attack = |(name, text): (&'static str, String)| Attack {
        name,
        bytes: text.into_bytes(),
        is_broken,
    };
    texts.into_iter().map(attack).collect()
}

fn broken(texts: Vec<(&'static str, String)>) -> Vec<Attack> {
    attacks(texts, true)
}

fn fine(texts: Vec<(&'static str, String)>) -> Vec<Attack> {
    attacks(texts, false)
}

/// Sends an attack, and returns the answers that come back, in order, and whether the connection was
/// closed after them.
fn answers(address: SocketAddr, attack: &Attack) -> (Vec<(u16, String)>, bool) {
    let mut connection = Connection::open(address).unwrap();
    let patience = Duration::from_millis(700);
    connection
        .socket()
        .set_read_timeout(Some(patience))
        .unwrap();
    // The other side may close before it has read everything.
    drop(connection.send(&attack.bytes));
    let mut answers = Vec::new();
    while let Ok(answer) = connection.read_answer() {
        answers.push((answer.status, answer.text()));
    }
    (answers, connection.time_to_close(patience).is_some())
}

/// What somebody else got who asked for a model of their own.
enum Got {
    Own,
    /// The proxy's word that the server had closed the connection that it chose.
    ProxyFailure,
    Wrong(String),
}

/// Asks as somebody else.
fn victim(address: SocketAddr, authorization: &str, number: usize) -> Got {
    let ask = format!("GET /v1/models/victim-{number} HTTP/1.1\r\nhost: a\r\n{authorization}\r\n");
    let mut connection = Connection::open(address).unwrap();
    connection.send(ask.as_bytes()).unwrap();
    let answer = connection.read_answer().unwrap();
    let text = answer.text();
    match answer.status {
        404 if text.contains(&format!("victim-{number}\\\"")) => Got::Own,
        502 if text.contains("incomplete response") => Got::ProxyFailure,
        status => Got::Wrong(format!("victim {number} got {status} {text}")),
    }
}

fn gateway() -> (tollgate_testkit::ScriptedUpstream, Gateway, Attacker) {
    let (upstream, gateway) = start_with(GatewaySettings {
        server:
            "keep_alive_s = 75\nconnections_per_address_max = 0\nunauthenticated_per_minute_max = 0"
                .to_owned(),
        ..GatewaySettings::default()
    });
    let authorization = format!("authorization: Bearer {}\r\n", gateway.key());
    (upstream, gateway, Attacker { authorization })
}

#[test]
fn t_smuggle_what_is_broken_is_refused_and_ends_the_connection() {
    let (_upstream, gateway, attacker) = gateway();
    let mut faults = Vec::new();
    for attack in attacker.attacks() {
        let (answers, is_closed) = answers(gateway.address(), &attack);
        // A body that breaks while its caller is still looked up ends the connection without a word.
        let is_refused = matches!(&*answers, [] | [(400, _)]) && is_closed;
        let is_fine = match attack.is_broken {
            true => is_refused,
            false => answers.len() == 1,
        };
        if !is_fine || answers.iter().any(|(_, text)| text.contains("smuggled")) {
            faults.push(format!("{}: {answers:?}, closed: {is_closed}", attack.name));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn t_smuggle_nothing_behind_a_last_request_is_answered() {
    let (_upstream, gateway, attacker) = gateway();
    let hidden = attacker.hidden();
    let own = &attacker.authorization;
    for (status, last) in [
        (
            200,
            format!("GET /v1/models HTTP/1.1\r\nhost: a\r\n{own}connection: close\r\n\r\n"),
        ),
        (
            200,
            format!("GET /v1/models HTTP/1.0\r\nhost: a\r\n{own}\r\n"),
        ),
        (
            400,
            "GET /v1/models HTTP/1.1\r\nhost: a?b\r\n\r\n".to_owned(),
        ),
        (
            415,
            attacker.chat("content-type: text/plain\r\ncontent-length: 2\r\n", "{}"),
        ),
    ] {
        let attack = Attack {
            name: "",
            bytes: format!("{last}{hidden}{hidden}").into_bytes(),
            is_broken: false,
        };
        let (answers, is_closed) = answers(gateway.address(), &attack);
        let statuses: Vec<_> = answers.iter().map(|(status, _)| *status).collect();
        assert_eq!((statuses, is_closed), (vec![status], true), "{last}");
    }
    // Without that, one after the other is answered.
    let two = Attack {
        name: "",
        bytes: format!("{hidden}{hidden}").into_bytes(),
        is_broken: false,
    };
    assert_eq!(answers(gateway.address(), &two).0.len(), 2);
}

/// Sends every attack through a proxy, with other clients after each.
///
/// The HTTP library answers a head that it cannot read on a connection that was used before without
/// `Connection: close`, and then closes it. A proxy that is told to use connections again at any cost
/// can send one request more before it sees that, and says 502 to it: that is no answer of somebody
/// else, and can happen to the first one alone, since the connection is gone then.
fn check_behind(proxy: &ReverseProxy, attacker: &Attacker) {
    let mut faults = Vec::new();
    let mut number = 0;
    for attack in attacker.attacks() {
        // What a proxy itself takes for a second request of the same client is that client's.
        let own = answers(proxy.address(), &attack).0.len();
        for turn in 0..3 {
            number += 1;
            let fault = match victim(proxy.address(), &attacker.authorization, number) {
                Got::Own => continue,
                Got::ProxyFailure if turn == 0 => continue,
                Got::ProxyFailure => format!("victim {number} got 502, as number {turn}"),
                Got::Wrong(fault) => fault,
            };
            faults.push(format!("{} ({own}): {fault}", attack.name));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn t_smuggle_behind_nginx_nobody_gets_the_answer_of_somebody_else() {
    let (_upstream, gateway, attacker) = gateway();
    check_behind(&ReverseProxy::nginx(gateway.address()), &attacker);
}

#[test]
fn t_smuggle_behind_haproxy_nobody_gets_the_answer_of_somebody_else() {
    let (_upstream, gateway, attacker) = gateway();
    check_behind(&ReverseProxy::haproxy(gateway.address()), &attacker);
}
