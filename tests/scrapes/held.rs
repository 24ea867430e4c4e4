//! Clients that hold connections open do not keep others from the metrics.

use socket2::{Domain, Socket, Type};

use super::*;

/// With this limit the service serves half as many connections as it has descriptors. The others stay free for queries.
const DESCRIPTORS: &str = "ulimit -n 64; exec \"$0\" \"$@\"";
const LIMIT: usize = 32;

fn limited() -> Service {
    service_in(DESCRIPTORS).start()
}

/// An idle connection that has sent a request before.
fn kept(service: &Service) -> Connection {
    let mut connection = connect(service);
    connection.get("/-/ready").expect("the request is answered");
    connection
}

const WARNING: &str = "too many connections";

#[track_caller]
fn assert_warned(service: &Service) {
    service.wait_for_stderr(|log| log.contains(WARNING), PATIENCE);
}

/// The log is written in order: once the line of a query has arrived, all earlier ones have.
#[track_caller]
fn assert_not_warned(service: &Service) {
    service.query();
    let log = service.wait_for_stderr(|log| log.contains("query failed"), PATIENCE);
    assert!(!log.contains(WARNING), "{log}");
}

#[test]
fn at_the_limit_the_connection_that_has_been_idle_longest_is_closed() {
    let service = limited();
    let mut active = kept(&service);
    let mut silent = kept(&service);
    active.get("/-/ready").expect("the connection is open");
    let mut others = connect_many(&service, LIMIT - 2);
    // The scrape is answered with `Connection: close`, so no other connection has to make room.
    service.scrape();
    assert_not_warned(&service);
    others.push(connect(&service));
    let closed = silent.read_to_close();
    assert_eq!(closed.expect("the connection is closed properly"), b"");
    assert_warned(&service);
    for connection in others.iter_mut().chain([&mut active]) {
        let answer = connection
            .get("/-/ready")
            .expect("the connection is still open");
        assert_eq!(answer.status, 200);
    }
}

/// The request arrives while the service is busy, later than the new connection that needs room.
#[test]
fn at_the_limit_a_connection_whose_request_has_just_arrived_is_not_closed() {
    let service = limited();
    service.wait_until_idle();
    let mut oldest = kept(&service);
    let open = service.fds();
    let _others = connect_many(&service, LIMIT - 1);
    eventually("as many connections as the limit allows", || {
        (service.fds() == open + LIMIT - 1).then_some(())
    });
    service.freeze();
    let _new = connect(&service);
    oldest.send(SCRAPE).expect("the kernel accepts it");
    service.thaw();
    assert_eq!(
        oldest.receive().expect("the request is answered").status,
        200
    );
}

#[test]
fn an_incomplete_request_does_not_keep_a_connection_open() {
    let service = limited();
    let mut dripping = connect(&service);
    let _silent = connect_many(&service, LIMIT / 2);
    let mut begun = connect_many(&service, LIMIT);
    for connection in &mut begun {
        connection.send(b"G").expect("the kernel accepts it");
    }
    let drip = |connection: &mut Connection| connection.send(b"G").err();
    eventually("the end of the dripping connection", || {
        service.scrape();
        drip(&mut dripping)
    });
    assert_warned(&service);
}

#[test]
fn held_connections_leave_descriptors_for_queries() {
    let stand_in = StandIn::tcp(Images::generated(3));
    let service = service_in(DESCRIPTORS).store(stand_in.url()).start();
    let _held = connect_many(&service, 4 * LIMIT);
    service.scrape();
    let status = service.query();
    assert!(status.contains("3 images"), "{status}");
    service.scrape();
    assert_warned(&service);
}

/// These clients request more than the kernel buffers for them, and read nothing.
#[test]
fn clients_that_do_not_read_their_answers_do_not_block_others() {
    let service = limited();
    let greedy: Vec<TcpStream> = (0..LIMIT / 2).map(|_| narrow(&service)).collect();
    for mut connection in &greedy {
        let requests = SCRAPE.repeat(1024);
        connection
            .write_all(&requests)
            .expect("the kernel accepts it");
    }
    let _silent = connect_many(&service, LIMIT);
    service.scrape();
    assert_warned(&service);
}

/// A connection with the smallest receive buffer.
fn narrow(service: &Service) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
    socket
        .set_recv_buffer_size(1)
        .expect("the kernel raises it to the minimum");
    let address = service.address().into();
    socket.connect(&address).expect("the service listens");
    socket.into()
}

#[test]
fn near_the_limit_answers_ask_clients_to_close_their_connections() {
    let service = limited();
    let mut kept = connect_many(&service, LIMIT);
    // Connections are accepted in order: once the last one is answered, all have been accepted.
    let closing = kept.iter_mut().rev().map(|connection| {
        let answer = connection.get("/-/ready").expect("the request is answered");
        answer.header("connection") == Some("close")
    });
    let closing: Vec<bool> = closing.collect();
    let expected = [[true; LIMIT / 4].as_slice(), &[false; LIMIT / 4 * 3]].concat();
    assert_eq!(closing, expected);
    assert_not_warned(&service);
}
