//! An answer is trusted, whole, within its time and its size, or it is an error that says so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::task::TaskTracker;
use tollgate_domain::ErrorKind;
use tollgate_egress::{
    EgressClient, EgressConfig, EgressError, EgressMethod, EgressRequest, EgressResponse,
    ResolveFuture, Resolver, UnreachableCause,
};

use crate::support::server::{Authority, Identity, NAME, Reply, serve_tls};
use crate::support::{SERVER, Scripted, Sentinel, client, config, get};

/// Sends one request to a server that replies so, within bounds that a test need not wait for.
async fn ask(reply: Reply) -> Result<EgressResponse, EgressError> {
    let tasks = TaskTracker::new();
    let (port, authority) = (Sentinel::start(&tasks).await.port, Authority::new());
    let identity = authority.issue(NAME, [2020, 2100]);
    serve_tls(port, identity, reply, &tasks).await;
    let config = EgressConfig {
        total_timeout: Duration::from_millis(800),
        answer_bytes_max: 1_000,
        ..config(port, &[SERVER], Some(authority.pem()))
    };
    let client = client(config, &Scripted::new(&[&[SERVER]]));
    get(&client, &format!("https://{NAME}:{port}/")).await
}

#[tokio::test]
async fn only_a_valid_certificate_of_the_name_from_a_trusted_authority_is_talked_to() {
    let authority = Authority::new();
    let trusted = authority.pem();
    for (what, identity, root, is_fine) in [
        (
            "fine",
            authority.issue(NAME, [2020, 2100]),
            Some(&trusted),
            true,
        ),
        (
            "wrong name",
            authority.issue("other.example", [2020, 2100]),
            Some(&trusted),
            false,
        ),
        (
            "expired",
            authority.issue(NAME, [2020, 2021]),
            Some(&trusted),
            false,
        ),
        (
            "not yet valid",
            authority.issue(NAME, [2099, 2100]),
            Some(&trusted),
            false,
        ),
        (
            "self-signed",
            Identity::self_signed(NAME),
            Some(&trusted),
            false,
        ),
        (
            "unknown authority",
            authority.issue(NAME, [2020, 2100]),
            None,
            false,
        ),
        (
            "other authority",
            Authority::new().issue(NAME, [2020, 2100]),
            Some(&trusted),
            false,
        ),
    ] {
        let tasks = TaskTracker::new();
        let port = Sentinel::start(&tasks).await.port;
        let seen = serve_tls(port, identity, Reply::ok(""), &tasks).await;
        let config = config(port, &[SERVER], root.cloned());
        let client = client(config, &Scripted::new(&[&[SERVER]]));
        match get(&client, &format!("https://{NAME}:{port}/")).await {
            Ok(answer) => assert!(is_fine && answer.status.is_success(), "{what}"),
            Err(EgressError::Unreachable {
                cause: UnreachableCause::NotTrusted,
            }) => {
                assert!(!is_fine, "{what}");
            }
            Err(other) => panic!("{what}: {other:?}"),
        }
        let requests = seen.lock().unwrap().len();
        assert_eq!(
            requests,
            usize::from(is_fine),
            "{what}: nothing is sent to strangers"
        );
    }
}

#[tokio::test]
async fn a_body_is_read_up_to_its_bound_and_no_further() {
    let fits = ask(Reply::ok(&"a".repeat(1_000))).await.unwrap();
    assert_eq!(fits.body.len(), 1_000);
    let chunk = format!("100\r\n{}\r\n", "a".repeat(256)).into_bytes();
    let endless = Reply::Endless(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec(),
        chunk,
    );
    let until_close = Reply::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'a'; 256]);
    for reply in [Reply::ok(&"a".repeat(1_001)), endless, until_close] {
        let started = Instant::now();
        let error = ask(reply).await.unwrap_err();
        assert!(
            matches!(error, EgressError::AnswerTooLarge { max: 1_000 }),
            "{error:?}"
        );
        assert!(
            started.elapsed() < Duration::from_millis(700),
            "it did not wait for the end"
        );
    }
}

#[tokio::test]
async fn an_answer_that_does_not_end_in_time_is_a_timeout() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n";
    let begun = [&head[..], b"abc"].concat();
    for reply in [
        Reply::Stall(Vec::new()),
        Reply::Stall(head.to_vec()),
        Reply::Stall(begun),
    ] {
        let error = ask(reply).await.unwrap_err();
        assert!(matches!(error, EgressError::Timeout { .. }), "{error:?}");
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert_eq!(error.to_string(), "no whole answer within 800 ms");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_is_not_http_is_broken() {
    let many: String = (0..101).map(|at| format!("x-{at}: a\r\n")).collect();
    for reply in [
        Reply::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc".to_vec()),
        Reply::Bytes(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab".to_vec()),
        Reply::Bytes(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()),
        Reply::Bytes(Vec::new()),
        Reply::head("200 OK", &many, ""),
    ] {
        let error = ask(reply).await.unwrap_err();
        assert!(matches!(error, EgressError::Broken), "{error:?}");
    }
}

#[tokio::test]
async fn a_compressed_answer_stays_compressed() {
    let answer = ask(Reply::head(
        "200 OK",
        "content-encoding: gzip\r\n",
        "not gzip",
    ))
    .await
    .unwrap();
    assert_eq!(&*answer.body, b"not gzip");
}

#[tokio::test]
async fn a_server_that_does_not_agree_on_keys_is_given_up_on() {
    let tasks = TaskTracker::new();
    let port = Sentinel::start(&tasks).await.port;
    let silent = tokio::net::TcpListener::bind((SERVER, port)).await.unwrap();
    let config = EgressConfig {
        connect_timeout: Duration::from_millis(100),
        ..config(port, &[SERVER], None)
    };
    let client = client(config, &Scripted::new(&[&[SERVER]]));
    let started = Instant::now();
    let error = get(&client, &format!("https://{NAME}:{port}/"))
        .await
        .unwrap_err();
    let cause = UnreachableCause::NoConnection;
    assert!(
        matches!(error, EgressError::Unreachable { cause: found } if found == cause),
        "{error:?}"
    );
    assert!(started.elapsed() < Duration::from_secs(5));
    drop(silent);
}

#[tokio::test]
async fn every_cause_of_no_connection_reads_the_same_to_who_chose_the_url() {
    let tasks = TaskTracker::new();
    // Nothing listens at the server's address: that is the fourth cause.
    let port = Sentinel::start(&tasks).await.port;
    let mut messages = Vec::new();
    for (answers, cause) in [
        (&[][..], UnreachableCause::NoAddress),
        (&[&[][..]], UnreachableCause::NoAddress),
        (&[&["127.0.0.1"][..]], UnreachableCause::AddressRefused),
        (&[&[SERVER][..]], UnreachableCause::NoConnection),
    ] {
        let client = client(config(port, &[SERVER], None), &Scripted::new(answers));
        let error = get(&client, &format!("https://{NAME}:{port}/"))
            .await
            .unwrap_err();
        assert!(
            matches!(error, EgressError::Unreachable { cause: found } if found == cause),
            "{error:?}"
        );
        assert!(std::error::Error::source(&error).is_none());
        messages.push(error.to_string());
    }
    messages.dedup();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(
        !messages
            .iter()
            .any(|message| message.contains(NAME) || message.contains("127."))
    );
}

#[tokio::test]
async fn a_body_to_send_beyond_its_bound_is_not_sent() {
    let config = EgressConfig {
        request_bytes_max: 10,
        ..EgressConfig::default()
    };
    let client = client(config, &Scripted::new(&[]));
    let target = client.target(&format!("https://{NAME}/")).unwrap();
    let request = EgressRequest::new(EgressMethod::Post, target).body(vec![0; 11]);
    let error = client.send(request).await.unwrap_err();
    assert!(
        matches!(error, EgressError::RequestTooLarge { max: 10 }),
        "{error:?}"
    );
}

/// Never answers.
struct Silent;

impl Resolver for Silent {
    fn resolve(&self, _: &str) -> ResolveFuture {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_name_whose_servers_are_silent_is_given_up_on() {
    let config = EgressConfig {
        connect_timeout: Duration::from_millis(100),
        ..EgressConfig::default()
    };
    let client = EgressClient::with_resolver(config, Arc::new(Silent)).unwrap();
    let started = Instant::now();
    let error = get(&client, &format!("https://{NAME}/")).await.unwrap_err();
    assert!(
        matches!(error, EgressError::Unreachable { .. }),
        "{error:?}"
    );
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_request_that_is_not_answered_is_not_made_again() {
    let tasks = TaskTracker::new();
    let (port, authority) = (Sentinel::start(&tasks).await.port, Authority::new());
    let identity = authority.issue(NAME, [2020, 2100]);
    let seen = serve_tls(port, identity, Reply::Bytes(Vec::new()), &tasks).await;
    let config = config(port, &[SERVER], Some(authority.pem()));
    let client = client(config, &Scripted::new(&[&[SERVER]]));
    let error = get(&client, &format!("https://{NAME}:{port}/"))
        .await
        .unwrap_err();
    assert!(matches!(error, EgressError::Broken), "{error:?}");
    assert_eq!(seen.lock().unwrap().len(), 1);
}
