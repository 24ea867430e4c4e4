//! Signal handling: SIGQUIT asks for a query; SIGTERM, SIGINT and SIGHUP ask to stop; signals without a meaning here are blocked.
//!
//! See signal(7). The kernel coalesces pending signals of one kind, so several SIGQUITs may arrive as one.

use std::io;

use nix::sys::signal::{SigSet, Signal as Name};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// If a stream ended, the service could no longer be stopped or triggered, so it panics.
const ENDLESS: &str = "tokio keeps the sender of a signal stream until the process ends";

/// The signals that are not blocked: they stop, suspend or continue the program, report its faults or limits, or do nothing by
/// default; and SIGPIPE, which Rust ignores.
const DELIVERED: [Name; 19] = [
    Name::SIGHUP,
    Name::SIGINT,
    Name::SIGTERM,
    Name::SIGABRT,
    Name::SIGPIPE,
    Name::SIGTSTP,
    Name::SIGTTIN,
    Name::SIGTTOU,
    Name::SIGCONT,
    Name::SIGCHLD,
    Name::SIGURG,
    Name::SIGWINCH,
    Name::SIGSEGV,
    Name::SIGBUS,
    Name::SIGFPE,
    Name::SIGILL,
    Name::SIGTRAP,
    Name::SIGSYS,
    Name::SIGXCPU,
];

/// Blocks SIGQUIT until [`Signals::register`], and permanently all signals without a meaning here that would end the process, such
/// as SIGUSR1, SIGALRM and the real-time signals, except those reserved by the C library (signal(7)). Replaces the inherited signal
/// mask.
///
/// Call it before anything else: an earlier SIGQUIT ends the process. It does not allocate. Threads inherit the mask.
pub fn block() {
    let mut blocked = SigSet::all();
    for signal in DELIVERED {
        blocked.remove(signal);
    }
    // Cannot fail with these arguments; without the mask the service would still work.
    let _ = blocked.thread_set_mask();
}

/// The signals of the service, caught from [`Signals::register`] on.
#[derive(Debug)]
pub struct Signals {
    /// SIGQUIT.
    pub triggers: Triggers,
    /// SIGTERM, SIGINT, SIGHUP.
    pub stops: Stops,
}

/// SIGQUIT: query the image stores now.
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
    /// Replaces the default actions at once, not when first awaited: SIGQUIT's is a core dump. A SIGQUIT that was blocked until now
    /// becomes the first trigger.
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a handler (sigaction(2)) or the runtime has no signal driver.
    pub fn register() -> io::Result<Self> {
        let signals = Self {
            triggers: Triggers(signal(SignalKind::quit())?),
            stops: Stops {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
                hangup: signal(SignalKind::hangup())?,
            },
        };
        SigSet::from(Name::SIGQUIT).thread_unblock()?;
        Ok(signals)
    }

    /// Waits for any of the four signals and returns its name: at a terminal, ctrl-\ interrupts like ctrl-c.
    pub(crate) async fn interrupt(&mut self) -> &'static str {
        tokio::select! {
            () = self.triggers.next() => "SIGQUIT",
            signal = self.stops.next() => signal,
        }
    }
}

impl Triggers {
    /// Waits for the next SIGQUIT; all that arrived since the last call count as one.
    pub(crate) async fn next(&mut self) {
        self.0.recv().await.expect(ENDLESS);
    }
}

impl Stops {
    /// Waits for any of the three signals and returns its name.
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
