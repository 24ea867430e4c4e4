//! HTTP/1.1 clients that only want to know whether a scrape was answered.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::service::PATIENCE;

const SCRAPE: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
const LAST_SCRAPE: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// A client that keeps its connection. If the server has closed it while it was idle, the request is repeated on a new one.
#[derive(Debug)]
pub struct Kept {
    address: SocketAddr,
    connection: Option<TcpStream>,
    pub(super) asked_again: usize,
}

/// How a request on an open connection failed.
enum Failure {
    /// The server had closed the connection, and not a byte of an answer came.
    Closed(String),
    Broken(String),
}

/// Asks once, on a connection of its own.
pub(super) async fn ask_anew(address: SocketAddr) -> Result<(), String> {
    let asking = async {
        let mut connection = connect(address).await?;
        ask(&mut connection, LAST_SCRAPE)
            .await
            .map_err(Failure::into_text)?;
        Ok(())
    };
    timeout(PATIENCE, asking)
        .await
        .unwrap_or_else(|_| Err("no answer in time".to_owned()))
}

impl Kept {
    /// Connects at the first request.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            connection: None,
            asked_again: 0,
        }
    }

    /// Scrapes `/metrics` and reads the whole answer. If the future is dropped, the connection is closed.
    ///
    /// # Errors
    ///
    /// Why there is no good answer.
    pub async fn ask(&mut self) -> Result<(), String> {
        let asked = timeout(PATIENCE, self.ask_or_ask_again()).await;
        asked.unwrap_or_else(|_| Err("no answer in time".to_owned()))
    }

    async fn ask_or_ask_again(&mut self) -> Result<(), String> {
        if let Some(mut idle) = self.connection.take() {
            match ask(&mut idle, SCRAPE).await {
                Ok(keep) => {
                    self.connection = keep.then_some(idle);
                    return Ok(());
                }
                Err(Failure::Closed(_)) => self.asked_again += 1,
                Err(broken) => return Err(broken.into_text()),
            }
        }
        let mut fresh = connect(self.address).await?;
        let keep = ask(&mut fresh, SCRAPE).await.map_err(Failure::into_text)?;
        self.connection = keep.then_some(fresh);
        Ok(())
    }
}

impl Failure {
    fn into_text(self) -> String {
        match self {
            Self::Closed(why) => format!("closed unanswered: {why}"),
            Self::Broken(why) => why,
        }
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    let connected = TcpStream::connect(address).await;
    connected.map_err(|error| format!("not connected: {}", error.kind()))
}

/// Whether the connection can be used again.
async fn ask(connection: &mut TcpStream, request: &[u8]) -> Result<bool, Failure> {
    let closed = |error: io::Error| Failure::Closed(error.kind().to_string());
    connection.write_all(request).await.map_err(closed)?;
    let mut answer = Vec::with_capacity(16 * 1024);
    loop {
        let read = connection.read_buf(&mut answer).await;
        match read {
            Ok(0) if answer.is_empty() => return Err(Failure::Closed("end of file".to_owned())),
            Err(error) if answer.is_empty() => return Err(closed(error)),
            Ok(0) => return Err(Failure::Broken("cut off".to_owned())),
            Err(error) => return Err(Failure::Broken(format!("cut off: {}", error.kind()))),
            Ok(_) => {}
        }
        if let Some(keep) = complete(&answer)? {
            return Ok(keep);
        }
    }
}

/// Whether the connection can be used again, once the whole answer is there.
fn complete(answer: &[u8]) -> Result<Option<bool>, Failure> {
    let Some(head) = answer.windows(4).position(|end| end == b"\r\n\r\n") else {
        return Ok(None);
    };
    let body = &answer[head + 4..];
    let head = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
    if !head.starts_with("http/1.1 200 ") {
        let status = head.lines().next().unwrap_or_default();
        return Err(Failure::Broken(format!("answered with {status}")));
    }
    let keep = !head.contains("\r\nconnection: close");
    Ok(is_whole(&head, body)?.then_some(keep))
}

/// Whether the body is complete; `head` is in lower case.
fn is_whole(head: &str, body: &[u8]) -> Result<bool, Failure> {
    // Go's server sends long answers this way. Metrics contain no such line elsewhere.
    if head.contains("\r\ntransfer-encoding: chunked") {
        return Ok(body.ends_with(b"\r\n0\r\n\r\n"));
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .and_then(|length| length.parse::<usize>().ok())
        .ok_or_else(|| Failure::Broken("answered without a length".to_owned()))?;
    Ok(body.len() >= length)
}
