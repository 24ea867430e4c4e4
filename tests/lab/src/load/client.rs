//! Clients that only check whether a scrape is answered.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::service::PATIENCE;
use crate::service::http::{LAST_SCRAPE, Response, request};

/// A client that keeps its connection. If the server has closed the idle connection, the client repeats the request on a new one.
#[derive(Debug)]
pub struct Kept {
    address: SocketAddr,
    request: Vec<u8>,
    connection: Option<TcpStream>,
    pub(super) retries: usize,
}

/// How a request on an open connection failed.
enum Failure {
    /// The server had closed the connection before it sent any byte of a response.
    Closed(String),
    Broken(String),
}

/// Scrapes once, on a new connection.
pub(super) async fn scrape_once(address: SocketAddr) -> Result<(), String> {
    in_time(async { request_on(&mut connect(address).await?, LAST_SCRAPE).await }).await?;
    Ok(())
}

impl Kept {
    /// A client that connects with its first request.
    pub fn new(address: SocketAddr) -> Self {
        Self::asking(address, &[])
    }

    /// As [`Kept::new`], with these headers.
    pub fn asking(address: SocketAddr, headers: &[(&str, &str)]) -> Self {
        Self {
            address,
            request: request("GET", "/metrics", headers),
            connection: None,
            retries: 0,
        }
    }

    /// Scrapes `/metrics` and reads the whole response. If the future is dropped, the connection is closed.
    ///
    /// # Errors
    ///
    /// The reason why there is no complete response with status 200.
    pub async fn scrape(&mut self) -> Result<(), String> {
        in_time(self.scrape_or_retry()).await
    }

    async fn scrape_or_retry(&mut self) -> Result<(), Failure> {
        if let Some(mut idle) = self.connection.take() {
            match request_on(&mut idle, &self.request).await {
                Ok(answer) => {
                    self.keep(idle, &answer);
                    return Ok(());
                }
                Err(Failure::Closed(_)) => self.retries += 1,
                Err(broken) => return Err(broken),
            }
        }
        let mut fresh = connect(self.address).await?;
        let answer = request_on(&mut fresh, &self.request).await?;
        self.keep(fresh, &answer);
        Ok(())
    }

    fn keep(&mut self, connection: TcpStream, answer: &Response) {
        let closes = answer.header("connection") == Some("close");
        self.connection = (!closes).then_some(connection);
    }
}

async fn in_time<T>(exchange: impl Future<Output = Result<T, Failure>>) -> Result<T, String> {
    match timeout(PATIENCE, exchange).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(Failure::Closed(why))) => Err(format!("closed unanswered: {why}")),
        Ok(Err(Failure::Broken(why))) => Err(why),
        Err(_) => Err("timed out".to_owned()),
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, Failure> {
    let connected = TcpStream::connect(address).await;
    connected.map_err(|error| Failure::Broken(format!("not connected: {}", error.kind())))
}

async fn request_on(connection: &mut TcpStream, request: &[u8]) -> Result<Response, Failure> {
    let closed = |error: io::Error| Failure::Closed(error.kind().to_string());
    connection.write_all(request).await.map_err(closed)?;
    let mut answer = Vec::with_capacity(16 * 1024);
    loop {
        match connection.read_buf(&mut answer).await {
            Ok(0) if answer.is_empty() => return Err(Failure::Closed("end of file".to_owned())),
            Err(error) if answer.is_empty() => return Err(closed(error)),
            Ok(0) => return Err(Failure::Broken("cut off".to_owned())),
            Err(error) => return Err(Failure::Broken(format!("cut off: {}", error.kind()))),
            Ok(_) => {}
        }
        let parsed = Response::parse(&answer).map_err(|why| Failure::Broken(why.to_string()))?;
        match parsed {
            Some((response, _)) if response.status == 200 => return Ok(response),
            Some((response, _)) => {
                return Err(Failure::Broken(format!(
                    "answered with {}",
                    response.status
                )));
            }
            None => {}
        }
    }
}
