//! Signals in: SIGQUIT asks for a query; SIGTERM, SIGINT and SIGHUP ask to stop.
//!
//! See signal(7). The kernel coalesces pending signals of one kind, so what arrives here counts occasions, not signals.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Should it ever end, the service must not live on deaf, nor take the end for a signal.
const ENDLESS: &str = "tokio keeps the other end of a signal's stream as long as the process lives";

/// The service's signals, caught from [`Signals::register`] on.
#[derive(Debug)]
pub struct Signals {
    /// SIGQUIT.
    pub triggers: Triggers,
    /// SIGTERM, SIGINT, SIGHUP.
    pub stops: Stops,
}

/// SIGQUIT: ask the image stores now.
#[derive(Debug)]
pub struct Triggers(Signal);

/// SIGTERM, SIGINT and SIGHUP: stop.
#[derive(Debug)]
pub struct Stops {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Replaces the default actions at once, not when first awaited: SIGQUIT's is a core dump.
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a handler (sigaction(2)) or the runtime has no signal driver.
    pub fn register() -> io::Result<Self> {
        Ok(Self {
            triggers: Triggers(signal(SignalKind::quit())?),
            stops: Stops {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
                hangup: signal(SignalKind::hangup())?,
            },
        })
    }
}

impl Triggers {
    /// Waits for the next SIGQUIT; any number of them since the last call are one.
    pub async fn next(&mut self) {
        self.0.recv().await.expect(ENDLESS);
    }
}

impl Stops {
    /// Waits for the next of the three and says which one it was.
    pub async fn next(&mut self) -> &'static str {
        let (signal, name) = tokio::select! {
            signal = self.terminate.recv() => (signal, "SIGTERM"),
            signal = self.interrupt.recv() => (signal, "SIGINT"),
            signal = self.hangup.recv() => (signal, "SIGHUP"),
        };
        signal.expect(ENDLESS);
        name
    }
}
