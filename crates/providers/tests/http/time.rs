//! Every part of a call has its time.

use std::time::Duration;

use futures_util::StreamExt;
use tokio_util::task::TaskTracker;
use tollgate_providers::{AnswerBody, HttpLimits, HttpProvider, Phase, Upstream, UpstreamError};

use crate::server::{Do, Server, chunk, request, stream_head, stream_request};

const SHORT: Duration = Duration::from_millis(40);

fn phase(error: &UpstreamError) -> Phase {
    match error {
        UpstreamError::Timeout(phase) => *phase,
        error => panic!("no timeout: {error:?}"),
    }
}

#[tokio::test]
async fn a_connection_that_is_never_ready_times_out_as_such() {
    let silent = Server::start(Vec::new()).await;
    let limits = HttpLimits {
        connect_timeout: SHORT,
        ..HttpLimits::default()
    };
    let url = format!("https://{}/v1", silent.address);
    let provider = HttpProvider::new(&url, None, limits, TaskTracker::new()).unwrap();
    let error = provider.call(request()).await.unwrap_err();
    assert_eq!(
        phase(&error),
        Phase::Connect,
        "the TLS handshake is never answered"
    );
}

#[tokio::test]
async fn a_head_that_never_comes_times_out_and_closes_the_connection() {
    let limits = HttpLimits {
        first_byte_timeout: SHORT,
        ..HttpLimits::default()
    };
    for start in ["", "HTTP/1.1 200 OK\r\nx-half: "] {
        let answer = vec![Do::Send(start.to_owned()), Do::WaitForClient];
        let server = Server::start(vec![answer]).await;
        let error = server.provider(limits).call(request()).await.unwrap_err();
        assert_eq!(phase(&error), Phase::FirstByte);
        server.left().await;
    }
}

#[tokio::test]
async fn a_body_that_falls_silent_times_out_and_closes_the_connection() {
    let limits = HttpLimits {
        idle_timeout: SHORT,
        ..HttpLimits::default()
    };
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{";
    let server = Server::start(vec![vec![Do::Send(half.to_owned()), Do::WaitForClient]]).await;
    let error = server.provider(limits).call(request()).await.unwrap_err();
    assert_eq!(phase(&error), Phase::Idle);
    server.left().await;

    let silent = vec![stream_head(), chunk("data: 1\n\n"), Do::WaitForClient];
    let server = Server::start(vec![silent]).await;
    let answer = server
        .provider(limits)
        .call(stream_request())
        .await
        .unwrap();
    let AnswerBody::Stream(mut stream) = answer.body else {
        panic!("a whole answer")
    };
    stream.next().await.unwrap().unwrap();
    assert_eq!(
        phase(&stream.next().await.unwrap().unwrap_err()),
        Phase::Idle
    );
    drop(stream);
    server.left().await;
}

#[tokio::test]
async fn a_slow_stream_that_goes_on_is_not_silent() {
    let limits = HttpLimits {
        idle_timeout: Duration::from_secs(1),
        ..HttpLimits::default()
    };
    let mut slow = vec![stream_head()];
    for _ in 0..4 {
        slow.extend([Do::Sleep(Duration::from_millis(350)), chunk("data: 1\n\n")]);
    }
    slow.push(Do::Send("0\r\n\r\n".to_owned()));
    let server = Server::start(vec![slow]).await;
    let answer = server
        .provider(limits)
        .call(stream_request())
        .await
        .unwrap();
    let AnswerBody::Stream(stream) = answer.body else {
        panic!("a whole answer")
    };
    let chunks: Vec<_> = stream.collect().await;
    assert!(
        chunks.len() == 4 && chunks.iter().all(Result::is_ok),
        "{chunks:?}"
    );
}
