//! A DNS server that resolves a few names to 127.0.0.1: RFC 1035.
//!
//! It listens on UDP port 53, the only port that resolvers use. Binding it needs root.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// The port of DNS.
const PORT: u16 = 53;

/// The length of a message's header: id, flags, and four counts.
const HEADER: usize = 12;

/// QR, RD and RA: a response with recursion desired and available.
const RESPONSE: u16 = 0x8180;

/// The response code for a name that does not exist.
const NXDOMAIN: u16 = 3;

/// Type and class of an IPv4 address.
const A_IN: [u8; 4] = [0, 1, 0, 1];

/// A running name server; dropping it stops it.
#[derive(Debug)]
pub struct NameServer {
    address: Ipv4Addr,
    /// The server's socket. Its network namespace may differ from that of the thread that drops the server.
    socket: UdpSocket,
    stopping: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl NameServer {
    /// Starts a server for `names` on port 53 of `address`, a loopback address.
    ///
    /// # Errors
    ///
    /// If the port is taken, or binding it is not permitted.
    pub fn bind_at(address: Ipv4Addr, names: &[&str]) -> io::Result<Self> {
        let socket = UdpSocket::bind((address, PORT))?;
        let names: Vec<Vec<u8>> = names.iter().map(|name| encoded(name)).collect();
        let stopping = Arc::<AtomicBool>::default();
        let (served, stop) = (socket.try_clone()?, Arc::clone(&stopping));
        let server = thread::Builder::new()
            .name("name-server".to_owned())
            .spawn(move || serve(&served, &names, &stop))?;
        Ok(Self {
            address,
            socket,
            stopping,
            server: Some(server),
        })
    }

    /// The content of a resolv.conf with this server.
    pub fn settings(&self) -> String {
        format!("nameserver {}\n", self.address)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // An empty datagram wakes the server, which then checks the flag.
        let woken = self.socket.send_to(&[], (self.address, PORT));
        if let (Ok(_), Some(server)) = (woken, self.server.take()) {
            let _ = server.join();
        }
    }
}

fn serve(socket: &UdpSocket, names: &[Vec<u8>], stopping: &AtomicBool) {
    let mut question = [0; 512];
    while let Ok((length, from)) = socket.recv_from(&mut question) {
        if stopping.load(Ordering::SeqCst) {
            return;
        }
        if let Some(answer) = answer(&question[..length], names) {
            // A failure means that the client has gone.
            let _ = socket.send_to(&answer, from);
        }
    }
}

/// The wire format of a name: each label after its length, then an empty label.
fn encoded(name: &str) -> Vec<u8> {
    let labels = name.split('.').flat_map(|label| {
        let length = u8::try_from(label.len()).expect("a label has at most 63 bytes");
        [&[length], label.as_bytes()].concat()
    });
    labels.chain([0]).collect()
}

/// The response to a question; `None` if the message is not a question.
fn answer(question: &[u8], names: &[Vec<u8>]) -> Option<Vec<u8>> {
    let (header, body) = question.split_at_checked(HEADER)?;
    let end = body.iter().position(|&byte| byte == 0)? + 1;
    let (name, rest) = body.split_at(end);
    let kind = rest.get(..A_IN.len())?;
    let known = names.iter().any(|known| known.eq_ignore_ascii_case(name));
    let has_address = known && kind == A_IN;

    let flags = RESPONSE | if known { 0 } else { NXDOMAIN };
    let mut answer = header[..2].to_vec();
    answer.extend(flags.to_be_bytes());
    for count in [1, u16::from(has_address), 0, 0] {
        answer.extend(count.to_be_bytes());
    }
    answer.extend(name);
    answer.extend(kind);
    if has_address {
        // A pointer to the name above, type and class, TTL in seconds, length of the address, and the address.
        answer.extend([0xc0, HEADER as u8]);
        answer.extend(A_IN);
        answer.extend(60_u32.to_be_bytes());
        answer.extend(4_u16.to_be_bytes());
        answer.extend(Ipv4Addr::LOCALHOST.octets());
    }
    Some(answer)
}
