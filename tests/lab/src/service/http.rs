//! A simple HTTP/1.1 client over TCP or a Unix socket. It can send any bytes, complete requests or parts.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::path::{Path, PathBuf};

use socket2::{SockAddr, Socket, Type};

use super::PATIENCE;

/// A request for the metrics; the connection stays open.
pub const SCRAPE: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The same request; the server closes the connection after the response.
pub const LAST_SCRAPE: &[u8] =
    b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// What Prometheus 2.42 asks for: OpenMetrics, and gzip.
pub const PROMETHEUS: [(&str, &str); 2] = [
    (
        "Accept",
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    ),
    ("Accept-Encoding", "gzip"),
];

/// A request without a body, with these headers; the connection stays open.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let headers = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"));
    let headers: String = headers.collect();
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").into_bytes()
}

/// The address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a Unix stream socket.
    Unix(PathBuf),
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl From<&Path> for Endpoint {
    fn from(path: &Path) -> Self {
        Self::Unix(path.to_owned())
    }
}

impl From<&Endpoint> for Endpoint {
    fn from(endpoint: &Endpoint) -> Self {
        endpoint.clone()
    }
}

/// A complete response.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header names as received, and values.
    pub headers: Vec<(String, String)>,
    /// The body; chunks are joined.
    pub body: Vec<u8>,
}

impl Response {
    /// The first response in `bytes`, and its length; `None` if it is incomplete.
    pub(crate) fn parse(bytes: &[u8]) -> io::Result<Option<(Self, usize)>> {
        let Some((mut response, head)) = Self::parse_head(bytes)? else {
            return Ok(None);
        };
        let body = &bytes[head..];
        // Go's server sends long answers in chunks.
        let parsed = match response.header("content-length") {
            Some(length) => {
                let length: usize = length.parse().map_err(|_| malformed(length.as_bytes()))?;
                body.get(..length).map(|body| (body.to_vec(), length))
            }
            None if response.header("transfer-encoding") == Some("chunked") => parse_chunks(body)?,
            None => return Err(malformed(&bytes[..head])),
        };
        Ok(parsed.map(|(body, length)| {
            response.body = body;
            (response, head + length)
        }))
    }

    /// Status line and headers: the whole response to a HEAD request.
    fn parse_head(bytes: &[u8]) -> io::Result<Option<(Self, usize)>> {
        let Some(head) = bytes.windows(4).position(|end| end == b"\r\n\r\n") else {
            return Ok(None);
        };
        let parse = || {
            let mut lines = str::from_utf8(&bytes[..head]).ok()?.split("\r\n");
            let status = lines.next()?.strip_prefix("HTTP/1.1 ")?;
            let header = |line: &str| {
                let (name, value) = line.split_once(':')?;
                Some((name.to_owned(), value.trim().to_owned()))
            };
            Some(Self {
                status: status.split(' ').next()?.parse().ok()?,
                headers: lines.map(header).collect::<Option<_>>()?,
                body: Vec::new(),
            })
        };
        let response = parse().ok_or_else(|| malformed(&bytes[..head]))?;
        Ok(Some((response, head + 4)))
    }

    /// The value of the first header of this name, ignoring case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find_map(|(sent, value)| sent.eq_ignore_ascii_case(name).then_some(value.as_str()))
    }

    /// The body as text; panics if it is not UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }
}

/// The body in these chunks, and the length of the chunks; `None` if the last chunk is missing.
fn parse_chunks(bytes: &[u8]) -> io::Result<Option<(Vec<u8>, usize)>> {
    let (mut body, mut at) = (Vec::new(), 0);
    while let Some(end) = bytes[at..].windows(2).position(|end| end == b"\r\n") {
        let line = &bytes[at..at + end];
        let length = str::from_utf8(line).ok();
        let length = length.and_then(|length| usize::from_str_radix(length, 16).ok());
        let length = length.ok_or_else(|| malformed(line))?;
        let start = at + end + 2;
        let Some(chunk) = bytes.get(start..start + length + 2) else {
            break;
        };
        body.extend_from_slice(&chunk[..length]);
        at = start + length + 2;
        if length == 0 {
            return Ok(Some((body, at)));
        }
    }
    Ok(None)
}

fn malformed(what: &[u8]) -> io::Error {
    let text = format!("not HTTP/1.1: {}", what.escape_ascii());
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Sends a GET request on a new connection that is closed after the response.
///
/// # Errors
/// If the server cannot be reached, takes longer than [`PATIENCE`] or does not speak HTTP/1.1.
pub fn get(endpoint: impl Into<Endpoint>, path: &str) -> io::Result<Response> {
    Connection::open(endpoint)?.request("GET", path, &[("Connection", "close")])
}

/// A connection that stays open between requests. Reads and writes time out after [`PATIENCE`].
#[derive(Debug)]
pub struct Connection {
    stream: Socket,
    /// The bytes of the next response that have been read already.
    received: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// If no server listens there, or the connection is not established within [`PATIENCE`].
    pub fn open(endpoint: impl Into<Endpoint>) -> io::Result<Self> {
        let address = match endpoint.into() {
            Endpoint::Tcp(address) => address.into(),
            Endpoint::Unix(path) => SockAddr::unix(path)?,
        };
        let stream = Socket::new(address.domain(), Type::STREAM, None)?;
        stream.connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let received = Vec::new();
        Ok(Self { stream, received })
    }

    /// Sends a GET and reads the response.
    ///
    /// # Errors
    /// See [`Connection::receive`].
    pub fn get(&mut self, path: &str) -> io::Result<Response> {
        self.request("GET", path, &[])
    }

    /// Sends a request without a body and reads the response.
    ///
    /// # Errors
    /// See [`Connection::receive`].
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> io::Result<Response> {
        self.send(&request(method, path, headers))?;
        match method {
            "HEAD" => self.read_until(Response::parse_head),
            _ => self.receive(),
        }
    }

    /// Sends these bytes unchanged.
    ///
    /// # Errors
    /// If the server has closed the connection or does not read.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Reads one response with its body.
    ///
    /// # Errors
    /// If the connection ends before the end of the response, time runs out, or the response is not HTTP/1.1.
    pub fn receive(&mut self) -> io::Result<Response> {
        self.read_until(Response::parse)
    }

    /// Reads until `parse` returns a response, and keeps the bytes after it.
    fn read_until(
        &mut self,
        parse: impl Fn(&[u8]) -> io::Result<Option<(Response, usize)>>,
    ) -> io::Result<Response> {
        let mut buffer = [0; 16 * 1024];
        loop {
            if let Some((response, length)) = parse(&self.received)? {
                self.received.drain(..length);
                return Ok(response);
            }
            match self.stream.read(&mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                length => self.received.extend_from_slice(&buffer[..length]),
            }
        }
    }

    /// All bytes until the server closes or resets the connection.
    ///
    /// # Errors
    /// If the server keeps the connection open for longer than [`PATIENCE`].
    pub fn read_to_close(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = std::mem::take(&mut self.received);
        match self.stream.read_to_end(&mut bytes) {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => Err(error),
            _ => Ok(bytes),
        }
    }

    /// Shuts down the sending direction; responses can still be read.
    ///
    /// # Errors
    /// If the connection is closed.
    pub fn finish(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }
}

#[cfg(test)]
mod tests;
