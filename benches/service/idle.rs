//! Wake-ups of an idle service, with the Jaeger exporter on and the watchdog off.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use lab::{
    rkt_api_service::{Images, StandIn},
    service::Service,
};

use crate::{peers::Peers, report::Report, usage::Usage};

const A_MINUTE: Duration = Duration::from_secs(60);

/// By then, all work that follows a query, such as the export of its trace, is done.
const SETTLED: Duration = Duration::from_secs(2);

pub(crate) struct Idle {
    service: Service,
    began: Instant,
    switches: u64,
}

/// Starts a service, makes one query, and waits until the service is idle.
pub(crate) fn begin(peers: &Peers) -> Idle {
    let store = StandIn::tcp(Images::generated(10));
    let service = peers.service(&store.url());
    service.query();
    service.scrape();
    sleep(SETTLED);
    Idle {
        switches: Usage(service.pid()).context_switches(),
        began: Instant::now(),
        service,
    }
}

impl Idle {
    pub(crate) fn measure(self, report: &mut Report) {
        sleep(A_MINUTE.saturating_sub(self.began.elapsed()));
        let switches = Usage(self.service.pid()).context_switches() - self.switches;
        let minutes = self.began.elapsed().as_secs_f64() / A_MINUTE.as_secs_f64();
        report.at_most(
            "idle wake-ups (context switches) without watchdog",
            switches as f64 / minutes,
            0.0,
            " a minute",
        );
    }
}
