//! Bodies: whole or as they come, never more than is accepted, never less than was sent.

use futures_util::StreamExt;
use tollgate_providers::{AnswerBody, HttpLimits, Upstream, UpstreamError};

use crate::server::{Do, Server, chunk, request, status, stream_head, stream_request, whole};

const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";

async fn body_of(server: &Server, limits: HttpLimits) -> Result<String, UpstreamError> {
    match server.provider(limits).call(request()).await?.body {
        AnswerBody::Whole(body) => Ok(String::from_utf8(body.to_vec()).unwrap()),
        AnswerBody::Stream(_) => panic!("a stream"),
    }
}

fn small() -> HttpLimits {
    HttpLimits {
        answer_bytes_max: 10,
        ..HttpLimits::default()
    }
}

#[tokio::test]
async fn a_body_in_pieces_is_put_together() {
    let pieces = vec![
        Do::Send(CHUNKED.to_owned()),
        chunk("{\"a\":"),
        Do::Send("1\r\n1\r\n1\r\n}\r\n0\r\nx-trailer: 1\r\n\r\n".to_owned()),
    ];
    let server = Server::start(vec![pieces]).await;
    assert_eq!(
        body_of(&server, HttpLimits::default()).await.unwrap(),
        "{\"a\":1}"
    );
}

#[tokio::test]
async fn a_body_without_a_length_ends_with_the_connection() {
    let until_close = vec![Do::Send("HTTP/1.1 200 OK\r\n\r\n{}".to_owned()), Do::Close];
    let server = Server::start(vec![until_close]).await;
    assert_eq!(body_of(&server, HttpLimits::default()).await.unwrap(), "{}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_broken() {
    let announced = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"half\":";
    let chunked = format!("{CHUNKED}9\r\n{{\"half\":");
    for broken in [
        announced,
        &chunked,
        "HTTP/1.1 200 OK\r\ncontent-le",
        "",
        "220 mail.test\r\n\r\n",
    ] {
        let server = Server::start(vec![vec![Do::Send(broken.to_owned()), Do::Close]]).await;
        let error = body_of(&server, HttpLimits::default()).await.unwrap_err();
        assert!(
            matches!(error, UpstreamError::Broken(_)),
            "{broken:?}: {error:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read_to_its_end() {
    let announced = "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n".to_owned();
    let growing = vec![
        Do::Send(CHUNKED.to_owned()),
        chunk("123456"),
        chunk("78901"),
        Do::WaitForClient,
    ];
    for large in [vec![Do::Send(announced), Do::WaitForClient], growing] {
        let server = Server::start(vec![large]).await;
        let error = body_of(&server, small()).await.unwrap_err();
        assert!(
            matches!(error, UpstreamError::TooLarge { bytes_max: 10 }),
            "{error:?}"
        );
        server.left().await;
    }
    let server = Server::start(vec![whole("1234567890")]).await;
    assert_eq!(body_of(&server, small()).await.unwrap(), "1234567890");
}

#[tokio::test]
async fn a_stream_comes_chunk_by_chunk() {
    let paced = vec![
        stream_head(),
        chunk("data: 1\n\n"),
        Do::WaitForTest,
        chunk("data: 2\n\n"),
        Do::WaitForTest,
        Do::Send("0\r\n\r\n".to_owned()),
    ];
    let server = Server::start(vec![paced]).await;
    let answer = server
        .provider(HttpLimits::default())
        .call(stream_request())
        .await
        .unwrap();
    let AnswerBody::Stream(mut stream) = answer.body else {
        panic!("a whole answer")
    };
    for expected in ["data: 1\n\n", "data: 2\n\n"] {
        assert_eq!(stream.next().await.unwrap().unwrap(), expected);
        server.go_on.notify_one();
    }
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_broken_after_what_came() {
    let cut = vec![stream_head(), chunk("data: 1\n\n"), Do::Close];
    let server = Server::start(vec![cut]).await;
    let answer = server
        .provider(HttpLimits::default())
        .call(stream_request())
        .await
        .unwrap();
    let AnswerBody::Stream(mut stream) = answer.body else {
        panic!("a whole answer")
    };
    assert_eq!(stream.next().await.unwrap().unwrap(), "data: 1\n\n");
    let error = stream.next().await.unwrap().unwrap_err();
    assert!(matches!(error, UpstreamError::Broken(_)), "{error:?}");
}

#[tokio::test]
async fn only_what_was_asked_for_as_a_stream_and_is_one_is_streamed() {
    let events = "content-type: text/event-stream\r\n";
    let json = "content-type: application/json\r\n";
    for (asked, code, headers, is_streamed) in [
        (stream_request(), 200, events, true),
        (stream_request(), 200, json, false),
        (stream_request(), 500, events, false),
        (request(), 200, events, false),
    ] {
        let server = Server::start(vec![status(code, headers, "data: 1\n\n")]).await;
        let answer = server
            .provider(HttpLimits::default())
            .call(asked)
            .await
            .unwrap();
        let is_stream = matches!(answer.body, AnswerBody::Stream(_));
        assert_eq!(is_stream, is_streamed, "{code} {headers}");
    }
}
