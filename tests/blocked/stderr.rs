//! Standard error is a full pipe that nothing reads.

use lab::poll::eventually;
use lab::rkt_api_service::Behaviour;
use lab::service::{Builder, run};

use super::full::FullPipe;
use super::{EX_CONFIG, PROGRAM, ends, failing, refused, shell, store, works};

/// The smallest and the default capacity of a pipe.
const CAPACITIES: [usize; 2] = [4096, 64 * 1024];

/// Executes a program with standard error at `$PIPE`. The previous standard error stays open, so that its reader sees when the
/// program ends.
const EXEC_WITH_PIPE: &str = "exec 9>&2 2>\"$PIPE\"; exec \"$@\"";

fn program(stderr: &FullPipe) -> Builder {
    shell(EXEC_WITH_PIPE).env("PIPE", stderr.path())
}

/// The sum of the dropped lines that the log reports.
fn reported(log: &str) -> f64 {
    let reports = log.lines().filter(|line| line.contains("lines dropped"));
    let numbers = reports.map(|line| {
        let (_, number) = line.split_once("lines=").expect("the line has the count");
        number.parse::<f64>().expect("a number")
    });
    numbers.sum()
}

#[test]
fn a_full_standard_error_does_not_keep_the_service_from_serving_and_stopping() {
    for capacity in CAPACITIES {
        let (stderr, store) = (FullPipe::of(capacity), store());
        works(&program(&stderr).store(store.url()).start());
    }
}

#[test]
fn a_full_standard_error_does_not_keep_a_refused_configuration_from_exiting_with_78() {
    for capacity in CAPACITIES {
        ends(&refused(program(&FullPipe::of(capacity))), EX_CONFIG);
    }
}

#[test]
fn a_full_standard_error_does_not_keep_a_service_that_cannot_listen_from_exiting_with_1() {
    let stderr = FullPipe::of(CAPACITIES[0]);
    let (service, _other) = failing(program(&stderr));
    ends(&service, 1);
}

#[test]
fn a_full_standard_error_does_not_keep_query_from_printing_its_table_and_exiting() {
    let (stderr, store) = (FullPipe::of(CAPACITIES[0]), store());
    store.behave(Behaviour::Refuse);
    let script = ["-c", EXEC_WITH_PIPE, "sh", PROGRAM];
    let query = ["query", "--store", &store.url()].map(str::to_owned);
    let arguments = script.map(str::to_owned).into_iter().chain(query);
    let pipe = stderr.path().to_str().expect("the path is UTF-8");
    let environment = [("PIPE", pipe), ("OTEL_TRACES_EXPORTER", "none")];
    let output = run("sh", arguments, &environment);
    assert_eq!(output.status.code(), Some(1));
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.contains("query failed: "), "{table}");
}

#[test]
fn lines_dropped_because_standard_error_is_full_are_counted_and_reported_later() {
    let (stderr, store) = (FullPipe::of(CAPACITIES[0]), store());
    // h2 logs many lines for each query, and none for a scrape.
    let service = program(&stderr)
        .env("EXP_RKT_GRPC_LOG", "exp_rkt_grpc=info,h2=trace")
        .env("OTEL_TRACES_EXPORTER", "none")
        .store(store.url())
        .start();
    let dropped = || {
        let scrape = service.scrape();
        scrape.value("exp_rkt_grpc_log_lines_dropped_total", &[])
    };
    assert_eq!(dropped(), Some(0.0));
    eventually("dropped lines", || {
        service.query();
        dropped().filter(|lines| *lines > 0.0)
    });
    let log = stderr.read_until(|log| reported(log) > 0.0);
    assert_eq!(Some(reported(&log)), dropped());
    assert!(log.starts_with("20"), "the first line is whole: {log}");
    assert_eq!(service.stop().code(), Some(0));
}
