//! A raw HTTP/1.1 client: what is sent is what is written, what is answered is kept as it came.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

/// An answer.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body without its framing, as far as it came.
    pub body: Vec<u8>,
    /// Whether the body came to the end that its framing announced.
    pub is_whole: bool,
}

impl Answer {
    /// Returns the first header of this name, given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the body as JSON, `null` when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Returns the data of each event of a stream, `[DONE]` included.
    #[must_use]
    pub fn events(&self) -> Vec<String> {
        self.text()
            .lines()
            .filter_map(|line| line.strip_prefix("data: ").map(str::to_owned))
            .collect()
    }

    /// Returns whether this is a stream that came to its `[DONE]`.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.is_whole && self.events().last().is_some_and(|data| data == "[DONE]")
    }

    /// Returns the content of a chat answer, streamed or not.
    #[must_use]
    pub fn content(&self) -> String {
        if let Some(text) = self.json()["choices"][0]["message"]["content"].as_str() {
            return text.to_owned();
        }
        let deltas = self.events().into_iter().filter_map(|data| {
            let chunk: Value = serde_json::from_str(&data).ok()?;
            Some(chunk["choices"][0]["delta"]["content"].as_str()?.to_owned())
        });
        deltas.collect()
    }
}

/// A connection on which requests are sent one after the other.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Connection {
    /// Connects. Reading and writing give up after 60 seconds.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.set_write_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self {
            stream,
            unread: Vec::new(),
        })
    }

    /// Returns the socket, to close it or to change its timeouts.
    #[must_use]
    pub const fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// When the other side is gone.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Reads one answer to its end, or as far as it comes once its head is there.
    ///
    /// # Errors
    /// When no whole head comes, or none that is HTTP.
    pub fn read_answer(&mut self) -> io::Result<Answer> {
        let mut answer = self.read_head()?;
        answer.is_whole = self.read_body(&mut answer, |_| true).is_ok();
        Ok(answer)
    }

    /// Reads one answer until its body satisfies the condition, which is asked after each piece.
    ///
    /// # Errors
    /// When no whole head comes, or none that is HTTP.
    pub fn read_answer_until(&mut self, is_enough: impl Fn(&[u8]) -> bool) -> io::Result<Answer> {
        let mut answer = self.read_head()?;
        answer.is_whole = self
            .read_body(&mut answer, |body| !is_enough(body))
            .is_ok_and(|whole| whole);
        Ok(answer)
    }

    /// Reads the rest of a chunked body after [`Connection::read_answer_until`].
    ///
    /// # Errors
    /// When it breaks off.
    pub fn read_rest(&mut self) -> io::Result<String> {
        let mut rest = Answer {
            headers: vec![chunked()],
            ..Answer::default()
        };
        self.read_body(&mut rest, |_| true)?;
        Ok(rest.text())
    }

    /// Reads exactly so many bytes, whatever they are.
    ///
    /// # Errors
    /// When fewer come.
    pub fn read_bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < count {
            self.fill()?;
        }
        Ok(self.unread.drain(..count).collect())
    }

    /// Returns how long it takes until the other side closes, reading what it still sends; `None`
    /// when it does not within `limit`.
    pub fn time_to_close(&mut self, limit: Duration) -> Option<Duration> {
        let start = Instant::now();
        loop {
            let left = limit
                .checked_sub(start.elapsed())
                .filter(|left| !left.is_zero())?;
            self.stream.set_read_timeout(Some(left)).ok()?;
            match self.stream.read(&mut [0; 4096]) {
                Ok(0) => return Some(start.elapsed()),
                Ok(_) => {}
                Err(error) if is_timeout(&error) => return None,
                Err(_) => return Some(start.elapsed()),
            }
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut piece = [0; 16_384];
        let count = self.stream.read(&mut piece)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.unread.extend_from_slice(&piece[..count]);
        Ok(())
    }

    /// Reads the head of one answer.
    ///
    /// # Errors
    /// When no whole head comes, or none that is HTTP.
    pub fn read_head(&mut self) -> io::Result<Answer> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; 64];
            let mut response = httparse::Response::new(&mut headers);
            if let httparse::Status::Complete(length) =
                response.parse(&self.unread).map_err(io::Error::other)?
            {
                let answer = Answer {
                    status: response.code.unwrap_or_default(),
                    headers: response
                        .headers
                        .iter()
                        .map(|h| {
                            (
                                h.name.to_lowercase(),
                                String::from_utf8_lossy(h.value).into_owned(),
                            )
                        })
                        .collect(),
                    ..Answer::default()
                };
                self.unread.drain(..length);
                if answer.status != 100 {
                    return Ok(answer);
                }
            } else {
                self.fill()?;
            }
        }
    }

    /// Reads a body to its end (`true`) or until it is enough (`false`).
    fn read_body(
        &mut self,
        answer: &mut Answer,
        goes_on: impl Fn(&[u8]) -> bool,
    ) -> io::Result<bool> {
        let is_chunked = answer
            .header("transfer-encoding")
            .is_some_and(|v| v.contains("chunked"));
        let length = answer
            .header("content-length")
            .and_then(|v| v.parse::<usize>().ok());
        if is_chunked {
            loop {
                let size = self.read_line()?;
                let size = usize::from_str_radix(size.split(';').next().unwrap_or_default(), 16)
                    .map_err(io::Error::other)?;
                self.read_exactly(size, answer)?;
                self.read_line()?;
                if size == 0 {
                    return Ok(true);
                }
                if !goes_on(&answer.body) {
                    return Ok(false);
                }
            }
        }
        match length {
            Some(length) => self.read_exactly(length, answer)?,
            None if matches!(answer.status, 204 | 304) => {}
            None => {
                while self.fill().is_ok() {}
                answer.body.append(&mut self.unread);
            }
        }
        Ok(true)
    }

    /// Moves bytes into the body; those that come before the connection ends are kept.
    fn read_exactly(&mut self, count: usize, answer: &mut Answer) -> io::Result<()> {
        let mut left = count;
        loop {
            let take = left.min(self.unread.len());
            answer.body.extend(self.unread.drain(..take));
            left -= take;
            if left == 0 {
                return Ok(());
            }
            self.fill()?;
        }
    }

    fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|pair| pair == b"\r\n") {
                let line = String::from_utf8_lossy(&self.unread[..end]).into_owned();
                self.unread.drain(..end + 2);
                return Ok(line);
            }
            self.fill()?;
        }
    }
}

fn chunked() -> (String, String) {
    ("transfer-encoding".to_owned(), "chunked".to_owned())
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// Returns the bytes of a request with a JSON body; `headers` are further lines.
#[must_use]
pub fn request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    let body = body.map(ToString::to_string).unwrap_or_default();
    if !body.is_empty() {
        text += &format!(
            "content-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        );
    }
    format!("{text}\r\n{body}").into_bytes()
}

/// Sends one request on a connection of its own and reads the answer.
///
/// # Errors
/// When nobody listens or no answer comes.
pub fn exchange(address: SocketAddr, bytes: &[u8]) -> io::Result<Answer> {
    let mut connection = Connection::open(address)?;
    connection.send(bytes)?;
    connection.read_answer()
}
