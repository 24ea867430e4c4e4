//! A DNS server that knows a few names, each of which means 127.0.0.1: RFC 1035.
//!
//! It answers over UDP at port 53, the only one that a resolver asks, so binding it takes root (or a network of one's own).

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// The port of DNS.
const PORT: u16 = 53;

/// The header of every message: id, flags, and four counts.
const HEADER: usize = 12;

/// QR, RD and RA: a response of a server that was asked to look further, and does.
const RESPONSE: u16 = 0x8180;

/// The response code for a name that does not exist.
const NXDOMAIN: u16 = 3;

/// Type and class of an IPv4 address.
const A_IN: [u8; 4] = [0, 1, 0, 1];

/// A name server, until it is dropped.
#[derive(Debug)]
pub struct NameServer {
    address: Ipv4Addr,
    /// The server's own, which may be in another network than the one that drops it.
    socket: UdpSocket,
    stopping: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl NameServer {
    /// One that knows `names`, at port 53 of `address`, an address of loopback.
    ///
    /// # Errors
    ///
    /// Where the port is taken, or is not ours to bind.
    pub fn bind_at(address: Ipv4Addr, names: &[&str]) -> io::Result<Self> {
        let socket = UdpSocket::bind((address, PORT))?;
        let names: Vec<Vec<u8>> = names.iter().map(|name| encoded(name)).collect();
        let stopping = Arc::<AtomicBool>::default();
        let (served, told) = (socket.try_clone()?, Arc::clone(&stopping));
        let server = thread::Builder::new()
            .name("name-server".to_owned())
            .spawn(move || serve(&served, &names, &told))?;
        Ok(Self {
            address,
            socket,
            stopping,
            server: Some(server),
        })
    }

    /// What goes into resolv.conf.
    pub fn settings(&self) -> String {
        format!("nameserver {}\n", self.address)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // An empty datagram, so that it looks.
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
            // Whoever has gone wants no answer.
            let _ = socket.send_to(&answer, from);
        }
    }
}

/// The name as it stands in messages: each label after its length, then an empty one.
fn encoded(name: &str) -> Vec<u8> {
    let labels = name.split('.').flat_map(|label| {
        let length = u8::try_from(label.len()).expect("a label has at most 63 bytes");
        [&[length], label.as_bytes()].concat()
    });
    labels.chain([0]).collect()
}

/// `None` for what is no question.
fn answer(question: &[u8], names: &[Vec<u8>]) -> Option<Vec<u8>> {
    let (header, asked) = question.split_at_checked(HEADER)?;
    let end = asked.iter().position(|&byte| byte == 0)? + 1;
    let (name, rest) = asked.split_at(end);
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
        // A pointer to the name above, then for how many seconds the address holds, its length, and the address.
        answer.extend([0xc0, HEADER as u8]);
        answer.extend(A_IN);
        answer.extend(60_u32.to_be_bytes());
        answer.extend(4_u16.to_be_bytes());
        answer.extend(Ipv4Addr::LOCALHOST.octets());
    }
    Some(answer)
}
