//! Scrapes over and over, on connections that stay open; one thread, to leave the CPU to who is measured.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, poll};

pub(crate) const REQUEST: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// How scraping went.
pub(crate) struct Load {
    pub(crate) elapsed: Duration,
    pub(crate) latencies: Vec<Duration>,
}

struct Connection {
    stream: TcpStream,
    asked: Instant,
    received: Vec<u8>,
}

impl Load {
    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// Scrapes `times` in all. Panics when an answer is not 200.
    pub(crate) fn run(address: SocketAddr, connections: usize, times: usize) -> Self {
        let mut connections: Vec<Connection> = (0..connections)
            .map(|_| Connection::open(address))
            .collect();
        let began = Instant::now();
        let mut latencies = Vec::with_capacity(times);
        let mut asked = connections.len().min(times);
        for connection in &mut connections[..asked] {
            connection.ask();
        }
        while latencies.len() < times {
            for index in readable(&connections) {
                let connection = &mut connections[index];
                if !connection.receive() {
                    continue;
                }
                latencies.push(connection.asked.elapsed());
                if asked < times {
                    asked += 1;
                    connection.ask();
                }
            }
        }
        Self {
            elapsed: began.elapsed(),
            latencies,
        }
    }
}

fn readable(connections: &[Connection]) -> Vec<usize> {
    let mut polled: Vec<PollFd<'_>> = connections
        .iter()
        .map(|connection| PollFd::new(&connection.stream, PollFlags::IN))
        .collect();
    poll(&mut polled, None).expect("nothing interrupts this program");
    let ready = polled.iter().enumerate();
    ready
        .filter(|(_, polled)| !polled.revents().is_empty())
        .map(|(index, _)| index)
        .collect()
}

impl Connection {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_nodelay(true).expect("it is TCP");
        stream.set_nonblocking(true).expect("it is a socket");
        Self {
            stream,
            asked: Instant::now(),
            received: Vec::new(),
        }
    }

    fn ask(&mut self) {
        self.received.clear();
        self.asked = Instant::now();
        self.stream.write_all(REQUEST).expect("there is room");
    }

    /// Whether the response is complete.
    fn receive(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => panic!("the connection was closed"),
            Ok(length) => self.received.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) => panic!("the connection broke: {error}"),
        }
        is_complete(&self.received)
    }
}

/// Reads one response on a blocking connection.
pub(crate) fn read_response(stream: &mut TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    let mut buffer = [0; 16 * 1024];
    while !is_complete(&received) {
        let length = stream.read(&mut buffer).expect("the scrape is answered");
        assert!(length > 0, "the connection was closed");
        received.extend_from_slice(&buffer[..length]);
    }
    received
}

fn is_complete(response: &[u8]) -> bool {
    const END_OF_HEAD: &[u8] = b"\r\n\r\n";
    let Some(end) = response.windows(4).position(|bytes| bytes == END_OF_HEAD) else {
        return false;
    };
    let (head, body) = response.split_at(end + END_OF_HEAD.len());
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    match head.split_once("content-length: ") {
        Some((_, rest)) => {
            let length = rest
                .split("\r\n")
                .next()
                .and_then(|length| length.parse().ok());
            body.len() >= length.unwrap_or(usize::MAX)
        }
        None => body.ends_with(b"0\r\n\r\n"),
    }
}
