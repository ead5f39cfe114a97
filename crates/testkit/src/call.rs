//! A call that was made to the scripted upstream, and the connection that it came by.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::script::Step;

/// How a call ended, seen from the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It has not ended.
    Pending,
    /// The answer was written to its end.
    Whole,
    /// The script closed or reset the connection.
    Broken,
    /// The caller closed the connection before the end.
    Cancelled(Instant),
}

/// One call that was made to the upstream.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its place among all calls, from 1; the answer's id is `chatcmpl-<number>`.
    pub number: u64,
    /// When its request was read to the end.
    pub at: Instant,
    /// The method.
    pub method: String,
    /// The path and the query.
    pub path: String,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The model that was asked for.
    pub model: String,
    /// Answer tokens that were written, the last one perhaps not to its end.
    pub tokens_served: u64,
    /// The usage that was reported last: prompt tokens, answer tokens.
    pub reported: Option<(u64, u64)>,
    /// How it ended.
    pub end: End,
}

impl Call {
    /// Returns the first header of this name, given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// Takes down what a step says of the answer.
    pub(crate) const fn note(&mut self, step: &Step) {
        match step {
            Step::Token => self.tokens_served += 1,
            Step::Reported(prompt, answer) => self.reported = Some((*prompt, *answer)),
            _ => {}
        }
    }

    /// Returns the body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the body as JSON, `null` when it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// The caller's connection.
pub(crate) struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Connection {
    pub(crate) const fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// Reads one request; `None` at the end of the connection.
    pub(crate) async fn read_call(&mut self) -> io::Result<Option<Call>> {
        loop {
            if let Some((mut call, head_bytes, body_bytes)) = parse_head(&self.unread)? {
                while self.unread.len() < head_bytes + body_bytes {
                    if self.stream.read_buf(&mut self.unread).await? == 0 {
                        return Ok(None);
                    }
                }
                let rest = self.unread.split_off(head_bytes + body_bytes);
                call.body = self.unread.split_off(head_bytes);
                call.at = Instant::now();
                self.unread = rest;
                return Ok(Some(call));
            }
            if self.stream.read_buf(&mut self.unread).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Plays the steps to their end, or until the caller leaves, and tells `note` of those that only
    /// note something.
    pub(crate) async fn play(
        &mut self,
        steps: &[Step],
        note: &(dyn Fn(&Step) + Send + Sync),
    ) -> End {
        for step in steps {
            let end = match step {
                Step::Send(bytes) => match self.stream.write_all(bytes).await {
                    Ok(()) => None,
                    Err(_) => Some(End::Cancelled(Instant::now())),
                },
                Step::Token | Step::Reported(..) => {
                    note(step);
                    None
                }
                Step::Wait(time) if time.is_zero() => None,
                Step::Wait(time) => self.wait(*time).await,
                Step::Forever(steps) => loop {
                    let end = Box::pin(self.play(steps, note)).await;
                    if end != End::Whole {
                        break Some(end);
                    }
                    tokio::task::yield_now().await;
                },
                Step::Close => {
                    drop(self.stream.shutdown().await);
                    Some(End::Broken)
                }
                Step::Reset => {
                    drop(socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)));
                    Some(End::Broken)
                }
            };
            if let Some(end) = end {
                return end;
            }
        }
        End::Whole
    }

    /// Waits, and returns early when the caller leaves.
    async fn wait(&mut self, time: Duration) -> Option<End> {
        let sleep = tokio::time::sleep(time);
        tokio::pin!(sleep);
        loop {
            tokio::select! {
                () = &mut sleep => return None,
                read = self.stream.read_buf(&mut self.unread) => match read {
                    Ok(0) | Err(_) => return Some(End::Cancelled(Instant::now())),
                    Ok(_) => {}
                },
            }
        }
    }
}

/// Returns the call without its body, and the lengths of head and body; `None` when the head is
/// not whole yet.
fn parse_head(bytes: &[u8]) -> io::Result<Option<(Call, usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let head_bytes = match request.parse(bytes).map_err(io::Error::other)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Ok(None),
    };
    let headers: Vec<(String, String)> = request
        .headers
        .iter()
        .map(|h| {
            (
                h.name.to_lowercase(),
                String::from_utf8_lossy(h.value).into_owned(),
            )
        })
        .collect();
    let call = Call {
        number: 0,
        at: Instant::now(),
        method: request.method.unwrap_or_default().to_owned(),
        path: request.path.unwrap_or_default().to_owned(),
        headers,
        body: Vec::new(),
        model: String::new(),
        tokens_served: 0,
        reported: None,
        end: End::Pending,
    };
    let length = call
        .header("content-length")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    Ok(Some((call, head_bytes, length)))
}
