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
    let Some(end) = position(response, END_OF_HEAD) else {
        return false;
    };
    let (head, body) = response.split_at(end + END_OF_HEAD.len());
    assert!(
        head.starts_with(b"HTTP/1.1 200 "),
        "{}",
        head.escape_ascii()
    );
    match content_length(head) {
        Some(length) => body.len() >= length,
        None => body.ends_with(b"0\r\n\r\n"),
    }
}

fn content_length(head: &[u8]) -> Option<usize> {
    // As hyper and Go write it.
    let names: [&[u8]; 2] = [b"\r\ncontent-length: ", b"\r\nContent-Length: "];
    let value = names
        .iter()
        .find_map(|name| Some(&head[position(head, name)? + name.len()..]))?;
    let digits = value.split(|&byte| byte == b'\r').next()?;
    str::from_utf8(digits).ok()?.parse().ok()
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|bytes| bytes == wanted)
}
