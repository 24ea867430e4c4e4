//! A stand-in for the Jaeger agent: receives `emitBatch` datagrams on a UDP socket and decodes them.
//!
//! The decoder is written from the Thrift specification and shares no code with any exporter, so that it accepts what a Jaeger
//! agent would accept.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

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
