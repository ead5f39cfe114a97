//! What is sent, and to whom.

use http::HeaderValue;
use tokio_util::task::TaskTracker;
use tollgate_providers::{
    AnswerBody, AnswerHeader, Endpoint, HttpLimits, HttpProvider, Upstream, UpstreamRequest,
};

use crate::server::{Server, request, status, stream_request, whole};

/// The value of a header in a request's head.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut values = head
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let value = values.next();
    assert_eq!(values.next(), None, "{name} is there twice");
    value
}

#[tokio::test]
async fn a_request_says_what_it_is_and_nothing_more() {
    let server = Server::start(vec![whole("{}")]).await;
    let provider = server.provider(HttpLimits::default());
    let traced = UpstreamRequest {
        trace_parent: Some(HeaderValue::from_static("00-1-2-01")),
        ..stream_request()
    };
    for request in [request(), traced] {
        provider.call(request).await.unwrap();
    }
    let seen = server.seen();
    let address = server.address.to_string();
    for seen in &seen {
        assert!(
            seen.head
                .starts_with("post /v1/chat/completions http/1.1\r\n"),
            "{}",
            seen.head
        );
        assert_eq!(header(&seen.head, "host"), Some(address.as_str()));
        assert_eq!(
            header(&seen.head, "authorization"),
            Some("bearer sk-secret")
        );
        assert_eq!(header(&seen.head, "content-type"), Some("application/json"));
        assert_eq!(
            header(&seen.head, "accept-encoding"),
            None,
            "what is compressed cannot be read"
        );
        assert!(
            header(&seen.head, "user-agent")
                .unwrap()
                .starts_with("tollgate/")
        );
        assert_eq!(seen.body, r#"{"model":"m"}"#);
    }
    let value = |place: usize, name| header(&seen[place].head, name);
    assert_eq!(
        (value(0, "accept"), value(0, "traceparent")),
        (Some("application/json"), None)
    );
    assert_eq!(value(1, "accept"), Some("text/event-stream"));
    assert_eq!(value(1, "traceparent"), Some("00-1-2-01"));
}

#[tokio::test]
async fn the_path_of_the_base_url_is_kept() {
    let server = Server::start(vec![whole("{}")]).await;
    for (base, endpoint, path) in [
        ("", Endpoint::ChatCompletions, "/chat/completions"),
        ("/", Endpoint::ChatCompletions, "/chat/completions"),
        ("/a/b", Endpoint::Embeddings, "/a/b/embeddings"),
        ("/a/b//", Endpoint::ChatCompletions, "/a/b/chat/completions"),
    ] {
        let url = format!("http://{}{base}", server.address);
        let provider = HttpProvider::new(&url, None, HttpLimits::default(), TaskTracker::new());
        provider
            .unwrap()
            .call(UpstreamRequest {
                endpoint,
                ..request()
            })
            .await
            .unwrap();
        let seen = server.seen().pop().unwrap();
        assert!(
            seen.head.starts_with(&format!("post {path} http/1.1\r\n")),
            "{base}: {}",
            seen.head
        );
        assert_eq!(
            header(&seen.head, "authorization"),
            None,
            "none was configured"
        );
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_the_credential_goes_nowhere_else() {
    let elsewhere = Server::start(vec![whole("{}")]).await;
    let location = format!(
        "location: http://{}/v1/chat/completions\r\n",
        elsewhere.address
    );
    for code in [301, 302, 307, 308] {
        let server = Server::start(vec![status(code, &location, "")]).await;
        let answer = server
            .provider(HttpLimits::default())
            .call(request())
            .await
            .unwrap();
        assert_eq!(answer.status.as_u16(), code);
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn a_credential_is_not_shown_and_one_that_no_header_can_hold_is_refused() {
    let server = Server::start(vec![whole("{}")]).await;
    let shown = format!("{:?}", server.provider(HttpLimits::default()));
    assert!(
        !shown.contains("sk-secret") && shown.contains("redacted"),
        "{shown}"
    );
    let key = "sk-se\ncret".to_owned().into();
    let url = "https://provider.test/v1";
    let refused = HttpProvider::new(url, Some(&key), HttpLimits::default(), TaskTracker::new());
    let refused = refused.unwrap_err();
    assert!(!format!("{refused} {refused:?}").contains("sk-se"));
}

#[tokio::test]
async fn status_useful_headers_and_body_of_any_answer_are_passed_on() {
    let headers = "content-type: application/json\r\nretry-after: 7\r\nx-odd: 1\r\nx-odd: 2\r\n";
    let server = Server::start(vec![status(429, headers, "{\"error\":{}}")]).await;
    let answer = server
        .provider(HttpLimits::default())
        .call(request())
        .await
        .unwrap();
    assert_eq!(answer.status.as_u16(), 429);
    let known: Vec<_> = answer.headers.iter().collect();
    let (kind, wait) = ("application/json".into(), "7".into());
    assert_eq!(
        known,
        [
            (AnswerHeader::ContentType, &kind),
            (AnswerHeader::RetryAfter, &wait)
        ],
        "what is of no use is left behind"
    );
    let AnswerBody::Whole(body) = answer.body else {
        panic!("a stream")
    };
    assert_eq!(body, "{\"error\":{}}");
}
