//! Signals in: SIGQUIT asks for a query; SIGTERM, SIGINT and SIGHUP ask to stop; those that mean nothing here end nothing.
//!
//! See signal(7). The kernel coalesces pending signals of one kind, so what arrives here counts occasions, not signals.

use std::io;

use nix::sys::signal::{SigSet, Signal as Name};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Should it ever end, the service must not live on deaf, nor take the end for a signal.
const ENDLESS: &str = "tokio keeps the other end of a signal's stream as long as the process lives";

/// What is not blocked: signals that stop the program, suspend it or let it go on, are faults or limits of its own, or do nothing
/// by default.
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

/// Blocks SIGQUIT until [`Signals::register`], and for good all others that would end the process and mean nothing to it, such as
/// SIGUSR1, SIGALRM and the real-time signals but for those that the C library keeps to itself (signal(7)). Whatever mask the
/// process was started with is replaced.
///
/// To be called before anything else, for which nothing is allocated: a SIGQUIT that comes earlier ends the process. Threads
/// inherit the mask.
pub fn block() {
    let mut blocked = SigSet::all();
    for signal in DELIVERED {
        blocked.remove(signal);
    }
    // The kernel refuses no mask; without one the service would work all the same.
    let _ = blocked.thread_set_mask();
}

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
    /// Replaces the default actions at once, not when first awaited: SIGQUIT's is a core dump. A SIGQUIT that was blocked until
    /// now is the first trigger.
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

    /// Waits for the next of all four and says which one it was: at a terminal, ctrl-\ interrupts as ctrl-c does.
    pub(crate) async fn interrupt(&mut self) -> &'static str {
        tokio::select! {
            () = self.triggers.next() => "SIGQUIT",
            signal = self.stops.next() => signal,
        }
    }
}

impl Triggers {
    /// Waits for the next SIGQUIT; any number of them since the last call are one.
    pub(crate) async fn next(&mut self) {
        self.0.recv().await.expect(ENDLESS);
    }
}

impl Stops {
    /// Waits for the next of the three and says which one it was.
    pub(crate) async fn next(&mut self) -> &'static str {
        let (signal, name) = tokio::select! {
            signal = self.terminate.recv() => (signal, "SIGTERM"),
            signal = self.interrupt.recv() => (signal, "SIGINT"),
            signal = self.hangup.recv() => (signal, "SIGHUP"),
        };
        signal.expect(ENDLESS);
        name
    }
}
