//! Connections: kept, replaced, bounded, closed.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;
use tollgate_providers::{
    AnswerBody, ByteStream, HttpLimits, Upstream, UpstreamAnswer, UpstreamError,
};

use crate::server::{Do, Server, chunk, request, status, stream_head, stream_request, whole};

/// How soon a provider hears that nobody listens any more.
const SOON: Duration = Duration::from_millis(100);

fn stream_of(answer: UpstreamAnswer) -> ByteStream {
    match answer.body {
        AnswerBody::Stream(stream) => stream,
        AnswerBody::Whole(body) => panic!("a whole answer: {body:?}"),
    }
}

fn short_stream() -> Vec<Do> {
    vec![
        stream_head(),
        chunk("data: 1\n\n"),
        chunk("data: 2\n\n"),
        Do::Send("0\r\n\r\n".to_owned()),
    ]
}

#[tokio::test]
async fn a_connection_is_used_again_after_whole_answers_and_streams() {
    let answers = vec![
        whole("{}"),
        short_stream(),
        status(500, "", "no"),
        whole("{}"),
    ];
    let server = Server::start(answers).await;
    let provider = server.provider(HttpLimits::default());
    provider.call(request()).await.unwrap();
    let stream = stream_of(provider.call(stream_request()).await.unwrap());
    assert_eq!(stream.count().await, 2);
    for _ in 0..2 {
        provider.call(request()).await.unwrap();
    }
    let on: Vec<usize> = server.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(on, [1, 1, 1, 1]);
}

#[tokio::test]
async fn calls_at_once_have_connections_of_their_own_of_which_so_many_are_kept() {
    let limits = HttpLimits {
        idle_connections_max: 2,
        ..HttpLimits::default()
    };
    let slow: Vec<Do> = [Do::Sleep(Duration::from_millis(30))]
        .into_iter()
        .chain(whole("{}"))
        .collect();
    let server = Server::start(vec![slow]).await;
    let provider = server.provider(limits);
    for connections in [3, 4] {
        for answer in join_all((0..3).map(|_| provider.call(request()))).await {
            answer.unwrap();
        }
        assert_eq!(server.connections(), connections);
    }
}

#[tokio::test]
async fn a_connection_that_the_provider_closed_meanwhile_is_replaced() {
    let closing: Vec<Do> = whole("{}").into_iter().chain([Do::Close]).collect();
    let server = Server::start(vec![closing]).await;
    let provider = server.provider(HttpLimits::default());
    for calls in 1..=3 {
        provider.call(request()).await.unwrap();
        assert_eq!(server.connections(), calls);
        // The end of the connection has to arrive here.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_connection_is_not_used_again_when_the_provider_says_so() {
    let server = Server::start(vec![status(200, "connection: close\r\n", "{}")]).await;
    let provider = server.provider(HttpLimits::default());
    for calls in 1..=3 {
        provider.call(request()).await.unwrap();
        assert_eq!(server.connections(), calls);
    }
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_an_error_of_connecting() {
    let gone = Server::start(Vec::new()).await;
    let provider = gone.provider(HttpLimits::default());
    drop(gone);
    tokio::task::yield_now().await;
    let error = provider.call(request()).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Connect(_)), "{error:?}");
}

#[tokio::test]
async fn a_call_that_is_dropped_before_its_head_closes_the_connection() {
    let server = Server::start(vec![vec![Do::WaitForClient], whole("{}")]).await;
    let provider = server.provider(HttpLimits::default());
    {
        let call = provider.call(request());
        tokio::select! {
            answer = call => panic!("{answer:?}"),
            () = server.wait_for(1) => {}
        }
    }
    let dropped = Instant::now();
    let left = server.left().await;
    assert!(left.saturating_duration_since(dropped) < SOON);
    provider.call(request()).await.unwrap();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_stream_that_is_dropped_closes_the_connection() {
    let silent = vec![stream_head(), chunk("data: 1\n\n"), Do::WaitForClient];
    let server = Server::start(vec![silent, whole("{}")]).await;
    let provider = server.provider(HttpLimits::default());
    let mut stream = stream_of(provider.call(stream_request()).await.unwrap());
    assert_eq!(stream.next().await.unwrap().unwrap(), "data: 1\n\n");
    drop(stream);
    let dropped = Instant::now();
    let left = server.left().await;
    assert!(left.saturating_duration_since(dropped) < SOON);
    provider.call(request()).await.unwrap();
    assert_eq!(server.connections(), 2);
}
