//! Reads a request's body: of the right type, within its bound, within its time.

use std::pin::pin;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, StreamExt};

use crate::error::HttpError;

/// The bounds of a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimits {
    pub(crate) bytes_max: usize,
    pub(crate) timeout: Duration,
}

/// Returns the whole JSON body.
pub(crate) async fn read_json(
    request: &HttpRequest,
    payload: Payload,
    limits: BodyLimits,
) -> Result<Bytes, HttpError> {
    check_type(request.headers())?;
    if declared_length(request.headers()).is_some_and(|length| length > limits.bytes_max) {
        return Err(HttpError::body_too_large(limits.bytes_max));
    }
    let mut collecting = pin!(collect(payload, limits.bytes_max));
    // A body that came with its head needs no timer.
    if let Some(body) = collecting.as_mut().now_or_never() {
        return body;
    }
    match tokio::time::timeout(limits.timeout, collecting).await {
        Ok(body) => body,
        Err(_) => Err(HttpError::body_too_slow(limits.timeout)),
    }
}

async fn collect(mut payload: Payload, bytes_max: usize) -> Result<Bytes, HttpError> {
    let next = |chunk: Result<Bytes, _>| chunk.map_err(|_| HttpError::body_broken());
    let too_large = || HttpError::body_too_large(bytes_max);
    // Most bodies are one chunk, which needs no copy.
    let Some(first) = payload.next().await.map(next).transpose()? else {
        return Ok(Bytes::new());
    };
    let Some(second) = payload.next().await.map(next).transpose()? else {
        return if first.len() > bytes_max {
            Err(too_large())
        } else {
            Ok(first)
        };
    };
    let mut whole = BytesMut::from(&*first);
    let mut chunk = Some(second);
    while let Some(bytes) = chunk {
        if whole.len() + bytes.len() > bytes_max {
            return Err(too_large());
        }
        whole.extend_from_slice(&bytes);
        chunk = payload.next().await.map(next).transpose()?;
    }
    Ok(whole.freeze())
}

fn check_type(headers: &HeaderMap) -> Result<(), HttpError> {
    let mut types = headers.get_all(CONTENT_TYPE);
    let is_json = types.next().is_some_and(|value| is_json(value.as_bytes()));
    let is_plain = headers
        .get_all(CONTENT_ENCODING)
        .all(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"));
    if is_json && types.next().is_none() && is_plain {
        Ok(())
    } else {
        Err(HttpError::unsupported_media_type())
    }
}

/// Whether a content type is `application/json`, at most with `charset=utf-8`.
fn is_json(value: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(value) else {
        return false;
    };
    let mut parts = text.split(';').map(str::trim);
    let is_json = parts
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    is_json
        && parts.all(|parameter| {
            parameter.is_empty()
                || parameter.split_once('=').is_some_and(|(name, charset)| {
                    name.trim().eq_ignore_ascii_case("charset")
                        && charset
                            .trim()
                            .trim_matches('"')
                            .eq_ignore_ascii_case("utf-8")
                })
        })
}

fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::is_json;

    #[test]
    fn only_json_in_utf8_is_json() {
        for good in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;",
        ] {
            assert!(is_json(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            "text/plain",
            "application/json; charset=latin1",
            "application/jsonx",
            "json",
        ] {
            assert!(!is_json(bad.as_bytes()), "{bad}");
        }
    }
}
