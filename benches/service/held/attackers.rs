//! The clients that hold connections. They share one thread. An attacker whose connection is closed opens a new one.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncWriteExt, Interest},
    net::{TcpSocket, TcpStream},
    runtime::{Builder, Runtime},
    time::{Instant, interval, interval_at, sleep},
};

use lab::service::http::SCRAPE;

/// What an attacker does with its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Sends nothing.
    Silent,
    /// Sends the first byte of a request.
    OneByte,
    /// Sends a request, reads the response, and sends another request every [`KEEP_ALIVE`].
    KeepAlive,
    /// Sends [`PIPELINED`] requests and reads nothing.
    NeverReading,
    /// Sends [`PIPELINED`] requests and reads a byte every [`DRIP`], with the smallest receive buffer.
    Dripping,
}

/// Time from the first scrapes to the attack.
const HEAD_START: Duration = Duration::from_secs(1);

/// The time over which the attackers connect: the bench measures held connections, not a SYN flood.
const RAMP: Duration = Duration::from_secs(1);

/// Pause before an attacker reconnects, for the same reason.
const PAUSE: Duration = Duration::from_secs(1);

const KEEP_ALIVE: Duration = Duration::from_secs(8);

/// So many that their responses exceed what the kernel buffers for one connection.
const PIPELINED: usize = 1_000;

const DRIP: Duration = Duration::from_millis(100);

/// Running attackers; dropping them ends the attack.
pub(super) struct Attackers {
    _runtime: Runtime,
    closed: Arc<AtomicUsize>,
}

#[derive(Clone, Copy)]
struct Attacker {
    address: SocketAddr,
    manner: Manner,
    /// Its position among all attackers, from 0 to 1.
    place: f64,
}

impl Attackers {
    pub(super) fn begin(count: usize, manner: Manner, address: SocketAddr) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime needs a thread and a few descriptors");
        let closed = Arc::new(AtomicUsize::new(0));
        for index in 0..count {
            let attacker = Attacker {
                address,
                manner,
                place: index as f64 / count as f64,
            };
            runtime.spawn(attacker.attack(Arc::clone(&closed)));
        }
        Self {
            _runtime: runtime,
            closed,
        }
    }

    /// How many times an attacker lost its connection or could not connect.
    pub(super) fn closed(&self) -> usize {
        self.closed.load(Ordering::Relaxed)
    }
}

impl Attacker {
    async fn attack(self, closed: Arc<AtomicUsize>) {
        sleep(HEAD_START + RAMP.mul_f64(self.place)).await;
        loop {
            // Reconnect, whatever ended the connection.
            let _: io::Result<()> = self.hold().await;
            closed.fetch_add(1, Ordering::Relaxed);
            sleep(PAUSE).await;
        }
    }

    /// Returns when the connection is closed.
    async fn hold(self) -> io::Result<()> {
        let socket = TcpSocket::new_v4()?;
        if self.manner == Manner::Dripping {
            // The kernel raises the size to its minimum.
            socket.set_recv_buffer_size(1)?;
        }
        let mut stream = socket.connect(self.address).await?;
        match self.manner {
            Manner::Silent => take_all(&stream).await,
            Manner::OneByte => {
                stream.write_all(&SCRAPE[..1]).await?;
                take_all(&stream).await
            }
            Manner::KeepAlive => self.keep_alive(stream).await,
            Manner::NeverReading => {
                stream.write_all(&SCRAPE.repeat(PIPELINED)).await?;
                take(&stream, 0).await
            }
            Manner::Dripping => {
                stream.write_all(&SCRAPE.repeat(PIPELINED)).await?;
                take(&stream, 1).await
            }
        }
    }

    async fn keep_alive(self, mut stream: TcpStream) -> io::Result<()> {
        stream.write_all(SCRAPE).await?;
        // The later requests of all attackers are spread evenly over the period.
        let first = Instant::now() + KEEP_ALIVE.mul_f64(self.place);
        let mut turns = interval_at(first, KEEP_ALIVE);
        loop {
            tokio::select! {
                ended = take_all(&stream) => return ended,
                _ = turns.tick() => {}
            }
            stream.write_all(SCRAPE).await?;
        }
    }
}

/// Reads and discards everything until the connection is closed.
async fn take_all(stream: &TcpStream) -> io::Result<()> {
    loop {
        stream.readable().await?;
        match stream.try_read(&mut [0; 16 * 1024]) {
            Ok(0) => return Ok(()),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
    }
}

/// Reads at most `bytes` bytes every [`DRIP`] until the connection is closed.
async fn take(stream: &TcpStream, bytes: usize) -> io::Result<()> {
    let mut drips = interval(DRIP);
    loop {
        drips.tick().await;
        if stream.ready(Interest::READABLE).await?.is_read_closed() {
            return Ok(());
        }
        if bytes > 0 {
            // The next readiness check reports a failure.
            let _ = stream.try_read(&mut vec![0; bytes]);
        }
    }
}
