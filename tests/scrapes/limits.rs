//! Limits of the metrics server, and the order in which it accepts connections.

use super::*;

/// Enough to start, but not for twenty connections.
const FEW_DESCRIPTORS: &str = "ulimit -n 20; exec \"$0\" \"$@\"";

/// This test takes ten seconds, the service's timeout for a request.
#[test]
fn clients_without_a_complete_request_are_closed_and_others_are_served_meanwhile() {
    let service = service().start();
    let silent = connect(&service);
    let mut half = connect(&service);
    half.send(HALF_A_REQUEST).expect("the connection is open");
    let mut idle = connect(&service);
    idle.get("/-/ready").expect("the request is answered");
    let mut dribbling = TcpStream::connect(service.address()).expect("the service listens");

    thread::scope(|threads| {
        threads.spawn(move || {
            dribbling
                .write_all(b"GET /metrics HTTP/1.1\r\nX-Slow: ")
                .expect("the connection is open");
            eventually("the end of the dribbling connection", || {
                dribbling.write_all(b"x").err()
            });
        });
        for mut connection in [silent, half, idle] {
            threads.spawn(move || connection.read_to_close().expect("the service closes it"));
        }
        service.scrape();
    });
    service.scrape();
}

/// A SIGKILL may lose only the request being answered at that instant: connections that have not been accepted wait in the
/// kernel for the next process.
#[test]
fn no_connection_is_accepted_before_the_request_on_the_previous_one_is_answered() {
    let service = service().start();
    service.wait_until_idle();
    service.freeze();
    let mut asking = connect_many(&service, 20);
    send_to_all(&mut asking, LAST_SCRAPE);
    service.thaw();
    let open = open_when_answered(&mut asking);
    assert_eq!(open, [open[0]; 20]);
}

/// The end of another connection wakes the accept loop.
#[test]
fn the_end_of_other_connections_does_not_cause_an_earlier_accept() {
    let service = service().start();
    service.wait_until_idle();
    let mut ending = connect_many(&service, 20);
    for connection in &mut ending {
        connection.get("/-/ready").expect("the request is answered");
    }
    service.freeze();
    // The kernel reports the new connections first, then the ends of the others.
    let mut asking = connect_many(&service, 20);
    send_to_all(&mut asking, LAST_SCRAPE);
    drop(ending);
    service.thaw();
    let open = open_when_answered(&mut asking);
    assert_eq!(open, [open[0]; 20]);
}

fn send_to_all(connections: &mut [Connection], request: &[u8]) {
    for connection in connections {
        connection.send(request).expect("the kernel accepts it");
    }
}

/// `process_open_fds` in each answer.
#[track_caller]
fn open_when_answered(asking: &mut [Connection]) -> Vec<f64> {
    let answers = asking.iter_mut().map(|connection| {
        let answer = connection.receive().expect("the request is answered");
        let scrape = Scrape::parse(answer.text()).expect("the exposition is valid");
        scrape
            .value("process_open_fds", &[])
            .expect("the scrape has it")
    });
    answers.collect()
}

#[test]
fn without_descriptors_the_service_pauses_between_accepts_and_recovers() {
    let service = service_in(FEW_DESCRIPTORS).start();
    let greedy = connect_many(&service, 20);
    wait_for_warnings(&service, 1);
    // A busy loop would never sleep. The timers of the connections end later.
    eventually("a pause", || {
        let Some(Sleep::Until(end)) = service.sleep() else {
            return None;
        };
        (!end.is_zero() && end <= ACCEPT_PAUSE).then_some(())
    });
    drop(greedy);
    service.scrape();
}

#[test]
fn a_query_without_descriptors_fails_and_the_next_one_succeeds() {
    let stand_in = StandIn::tcp(Images::generated(3));
    let service = service_in(FEW_DESCRIPTORS).store(stand_in.url()).start();
    let greedy = connect_many(&service, 20);
    wait_for_warnings(&service, 1);
    service.trigger();
    service.wait_for_stderr(|log| log.contains("ERROR query failed"), PATIENCE);
    drop(greedy);
    let failures = [("store", "rkt"), ("code", "RESOURCE_EXHAUSTED")];
    let failures = service
        .scrape()
        .value("imagestore_query_failures_total", &failures);
    assert_eq!(failures, Some(1.0));
    let status = service.query();
    assert!(status.contains("3 images"), "{status}");
}

fn warnings(log: &str) -> usize {
    log.matches("no connection accepted").count()
}

#[track_caller]
fn wait_for_warnings(service: &Service, count: usize) {
    service.wait_for_stderr(|log| warnings(log) >= count, PATIENCE);
}
