//! Stands between Prometheus and a service, and notes what the one asks for and the other answers.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use lab::poll::eventually;

const END_OF_HEAD: &str = "\r\n\r\n";

/// Passes each request on to a service, over a connection of its own.
pub(super) struct Relay {
    address: SocketAddr,
    exchanges: Arc<Mutex<Vec<Exchange>>>,
}

/// The heads of a request and of its response.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    request: String,
    response: String,
}

impl Relay {
    /// Its thread ends with the test program.
    pub(super) fn to(service: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a loopback port is free");
        let address = listener.local_addr().expect("it is bound");
        let exchanges = Arc::default();
        let noted = Arc::clone(&exchanges);
        thread::spawn(move || {
            for client in listener.incoming() {
                // A scraper that goes away, or a service that has ended, ends the exchange only.
                let _ = client.and_then(|client| exchange(client, service, &noted));
            }
        });
        Self { address, exchanges }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the first exchange.
    #[track_caller]
    pub(super) fn first(&self) -> Exchange {
        eventually("a scrape", || {
            let exchanges = self.exchanges.lock().expect("no thread has panicked");
            exchanges.first().cloned()
        })
    }
}

impl Exchange {
    /// A header of the request.
    pub(super) fn asked(&self, name: &str) -> &str {
        header(&self.request, name)
    }

    /// A header of the response.
    pub(super) fn answered(&self, name: &str) -> &str {
        header(&self.response, name)
    }
}

fn exchange(
    mut client: TcpStream,
    service: SocketAddr,
    noted: &Mutex<Vec<Exchange>>,
) -> io::Result<()> {
    let mut request = String::new();
    while !request.ends_with(END_OF_HEAD) {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        request.push(char::from(byte[0]));
    }
    let mut connection = TcpStream::connect(service)?;
    let last = format!("\r\nConnection: close{END_OF_HEAD}");
    connection.write_all(request.replace(END_OF_HEAD, &last).as_bytes())?;
    let mut response = Vec::new();
    connection.read_to_end(&mut response)?;
    let head = String::from_utf8_lossy(&response);
    let (head, _) = head.split_once(END_OF_HEAD).unwrap_or_default();
    noted
        .lock()
        .expect("no thread has panicked")
        .push(Exchange {
            request,
            response: head.to_owned(),
        });
    client.write_all(&response)
}

#[track_caller]
fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let mut headers = head.lines().filter_map(|line| line.split_once(": "));
    let header = headers.find(|(found, _)| found.eq_ignore_ascii_case(name));
    header.unwrap_or_else(|| panic!("no {name}: {head}")).1
}
