//! A Jaeger that starts late, stops and comes back.

use lab::jaeger::Jaeger;

use super::{Exporter, SERVICE, SPANS, query, store, traces, wait_for_traces};

/// Queries succeed all the time.
#[test]
fn a_jaeger_that_starts_late_stops_and_comes_back_has_the_traces_that_were_sent_while_it_ran() {
    for exporter in Exporter::BOTH {
        let Some(mut jaeger) = Jaeger::prepare() else {
            return;
        };
        println!("{exporter:?}");
        let store = store();
        let service = exporter.to(&jaeger).store(store.url()).start();
        let lost = query(&service);
        query(&service);
        wait_for_traces(&service, "failed", 2);

        jaeger.launch();
        for count in 1..=2 {
            let sent = query(&service);
            jaeger.api().trace(&sent, SERVICE, SPANS);
            wait_for_traces(&service, "exported", count);
        }
        assert_eq!(jaeger.api().find(&lost, SERVICE), None);

        jaeger.kill();
        query(&service);
        wait_for_traces(&service, "failed", 3);
        jaeger.launch();
        let first = query(&service);
        jaeger.api().trace(&first, SERVICE, SPANS);
        wait_for_traces(&service, "exported", 3);
        assert_eq!(traces(&service, "dropped"), 0.0);

        assert!(service.stop().success());
        let log = service.stderr();
        assert_eq!(log.matches("images counted").count(), 6, "{log}");
        assert_reported(&log);
    }
}

/// One warning for each outage, and one line with the number of its lost traces.
#[track_caller]
fn assert_reported(log: &str) {
    let events = ["trace not exported", "traces exported again"];
    let is_event = |line: &&str| events.iter().any(|event| line.contains(event));
    let lines: Vec<_> = log.lines().filter(is_event).collect();
    let [first, first_end, second, second_end] = lines[..] else {
        panic!("{log}");
    };
    for warning in [first, second] {
        assert!(
            warning.contains(" WARN ") && warning.contains(events[0]),
            "{log}"
        );
        assert!(warning.contains("Connection refused"), "{log}");
    }
    for (end, lost) in [(first_end, "lost=2"), (second_end, "lost=1")] {
        assert!(end.contains(" INFO ") && end.contains(events[1]), "{log}");
        assert!(end.contains(lost), "{log}");
    }
}
