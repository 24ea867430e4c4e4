//! A stand-in for the Jaeger agent: receives `emitBatch` datagrams on a UDP socket and decodes them.
//!
//! The decoder is written from the Thrift specification and shares no code with any exporter, so that it accepts what a Jaeger
//! agent would accept.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use rustix::net::sockopt;

mod batch;
mod emit_batch;
mod render;
#[cfg(test)]
mod tests;
mod thrift;
mod trace;

pub use batch::{Batch, Log, Process, Span, Value};
pub use thrift::DecodeError;
pub use trace::Trace;

/// The size of the largest possible datagram, in bytes.
const MAX_DATAGRAM: usize = 65_535;
/// The size of the socket's receive buffer, if `net.core.rmem_max` allows it. All datagrams of a split batch arrive at once, and
/// datagrams that do not fit are lost.
const RECEIVE_BUFFER: usize = 4 << 20;
/// The shortest timeout that the kernel accepts; 0 would be no timeout.
const SHORTEST_WAIT: Duration = Duration::from_micros(1);

/// A UDP socket that receives the datagrams of a Jaeger client. For one reader.
#[derive(Debug)]
pub struct JaegerAgent {
    socket: UdpSocket,
    address: SocketAddr,
}

impl JaegerAgent {
    /// An agent on a free port of 127.0.0.1.
    pub fn bind() -> Self {
        let free_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self::bind_at(free_port).expect("the loopback interface has a free UDP port")
    }

    /// An agent on this address.
    ///
    /// # Errors
    ///
    /// If the address is taken, or does not belong to this host.
    pub fn bind_at(address: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(address)?;
        sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// The address that the agent listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port of [`address`](Self::address).
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The next datagram, not decoded; `None` if none arrives in time.
    pub fn next_datagram(&self, within: Duration) -> Option<Vec<u8>> {
        let mut datagram = vec![0; MAX_DATAGRAM];
        let length = self.wait(within, || self.socket.recv(&mut datagram))?;
        datagram.truncate(length);
        Some(datagram)
    }

    /// The next datagram, decoded; `None` if none arrives in time.
    pub fn next_batch(&self, within: Duration) -> Option<Result<Batch, DecodeError>> {
        self.next_datagram(within)
            .map(|datagram| Batch::decode(&datagram))
    }

    /// The next datagram, which must be a batch with the spans of one trace.
    ///
    /// # Panics
    ///
    /// If none arrives in time, or if it is anything else.
    pub fn next_trace(&self, within: Duration) -> Trace {
        let batch = self.expect_batch(within);
        Trace::from_batch(batch).expect("the batch has the spans of exactly one trace")
    }

    /// The next trace, from as many datagrams as are needed for `spans` spans. Spans of other traces that arrive meanwhile are
    /// discarded.
    ///
    /// # Panics
    ///
    /// If too few spans arrive in time, or if a datagram is not a batch.
    pub fn next_trace_of(&self, spans: usize, within: Duration) -> Trace {
        let deadline = Instant::now() + within;
        let mut trace: Option<Trace> = None;
        loop {
            let have = trace.as_ref().map_or(0, |trace| trace.spans.len());
            match trace {
                Some(trace) if have >= spans => return trace,
                _ => {}
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(batch) = self.next_batch(left) else {
                panic!("{have} of {spans} spans reached the Jaeger agent within {within:?}");
            };
            add(&mut trace, batch.expect("the datagram is a Jaeger batch"));
        }
    }

    /// The result of `receive` for the next datagram, or `None` if none arrives in time.
    fn wait(
        &self,
        within: Duration,
        mut receive: impl FnMut() -> io::Result<usize>,
    ) -> Option<usize> {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline
                .saturating_duration_since(Instant::now())
                .max(SHORTEST_WAIT);
            self.socket
                .set_read_timeout(Some(left))
                .expect("the timeout is not zero");
            match receive() {
                Ok(length) => return Some(length),
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return None,
                Err(why) => panic!("the Jaeger agent's socket is broken: {why}"),
            }
        }
    }

    fn expect_batch(&self, within: Duration) -> Batch {
        match self.next_batch(within) {
            Some(Ok(batch)) => batch,
            Some(Err(why)) => panic!("the datagram is not a Jaeger batch: {why}"),
            None => panic!("no datagram reached the Jaeger agent within {within:?}"),
        }
    }
}

/// The first span of the first batch decides which trace is collected.
fn add(trace: &mut Option<Trace>, batch: Batch) {
    let Some(first) = batch.spans.first() else {
        return;
    };
    let id = trace.as_ref().map_or(first.trace_id, Trace::id);
    let spans = batch.spans.into_iter().filter(|span| span.trace_id == id);
    match trace {
        Some(trace) => trace.spans.extend(spans),
        None => {
            *trace = Some(Trace {
                process: batch.process,
                spans: spans.collect(),
            })
        }
    }
}
