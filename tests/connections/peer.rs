//! A store that follows a script byte by byte, and leaves closing the connection to its client.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

use super::frames;

/// A step of a script. A store never closes its connection.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// Sends these bytes.
    SendBytes(Vec<u8>),
    /// Sends these bytes again and again, until the client has hung up.
    SendForEver(Vec<u8>),
    /// The same, with pauses.
    Drip(Vec<u8>),
    /// Reads until the call on this stream has begun.
    AwaitCall(u8),
    /// Closes its sending side, and goes on reading.
    HalfClose,
    /// Reads nothing more.
    ReadNothing,
}

/// The preface of a client's connection (RFC 9113, section 3.4).
const PREFACE: usize = 24;

/// The pause between the sends of [`Act::Drip`].
const PAUSE: Duration = Duration::from_millis(20);

/// A byte stream of either kind.
trait Stream: Read + Write + AsFd + Send {
    fn half_close(&self) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn half_close(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl Stream for UnixStream {
    fn half_close(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

/// The scripts whose connections the client has not closed.
#[derive(Clone, Debug, Default)]
pub(super) struct Open(Arc<(Mutex<Vec<&'static str>>, Condvar)>);

impl Open {
    /// Waits until all are closed; returns those that are not.
    pub(super) fn wait_for_none(&self, within: Duration) -> Vec<&'static str> {
        let (open, changed) = &*self.0;
        let open = open
            .lock()
            .expect("no thread panics while it holds the lock");
        let waited = changed.wait_timeout_while(open, within, |open| !open.is_empty());
        waited
            .expect("no thread panics while it holds the lock")
            .0
            .clone()
    }

    fn change(&self, change: impl FnOnce(&mut Vec<&'static str>)) {
        let (open, changed) = &*self.0;
        change(
            &mut open
                .lock()
                .expect("no thread panics while it holds the lock"),
        );
        changed.notify_all();
    }
}

/// A script and its name.
pub(super) type Script = (&'static str, Vec<Act>);

/// Follows a script on each connection to a free port of loopback, as long as the test runs. Returns the URL.
pub(super) fn tcp(script: Script, open: Open) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let address = listener.local_addr().expect("the socket is bound");
    let accept = move || listener.accept().map(|(stream, _)| stream);
    serve(script, open, accept);
    format!("http://{address}")
}

/// As [`tcp`], at a Unix socket.
pub(super) fn unix(path: &Path, script: Script, open: Open) -> String {
    let listener = UnixListener::bind(path).expect("the path is free");
    let accept = move || listener.accept().map(|(stream, _)| stream);
    serve(script, open, accept);
    format!("unix://{}", path.display())
}

fn serve<S: Stream + 'static>(
    (name, script): Script,
    open: Open,
    accept: impl Fn() -> io::Result<S> + Send + 'static,
) {
    thread::spawn(move || {
        while let Ok(stream) = accept() {
            open.change(|open| open.push(name));
            let (script, open) = (script.clone(), open.clone());
            thread::spawn(move || {
                // The client closes the connection, which may be an error here or not.
                let _hung_up = follow(&script, stream);
                open.change(|open| open.retain(|&other| other != name));
            });
        }
    });
}

fn follow(script: &[Act], mut stream: impl Stream) -> io::Result<()> {
    let mut greeted = false;
    for act in script {
        match act {
            Act::SendBytes(bytes) => stream.write_all(bytes)?,
            Act::SendForEver(bytes) => loop {
                stream.write_all(bytes)?;
            },
            Act::Drip(bytes) => loop {
                stream.write_all(bytes)?;
                thread::sleep(PAUSE);
            },
            Act::AwaitCall(wanted) => {
                if !greeted {
                    stream.read_exact(&mut [0; PREFACE])?;
                    greeted = true;
                }
                while next_frame(&mut stream)? != (frames::HEADERS, *wanted) {}
            }
            Act::HalfClose => stream.half_close()?,
            Act::ReadNothing => {
                let mut hung_up = [PollFd::new(&stream, PollFlags::RDHUP)];
                poll(&mut hung_up, None)?;
                return Ok(());
            }
        }
    }
    io::copy(&mut stream, &mut io::sink()).map(drop)
}

/// Type and stream of the next frame.
fn next_frame(stream: &mut impl Read) -> io::Result<(u8, u8)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    let [high, middle, low, kind, .., number] = head;
    let length = u32::from_be_bytes([0, high, middle, low]);
    io::copy(&mut stream.take(length.into()), &mut io::sink())?;
    Ok((kind, number))
}
