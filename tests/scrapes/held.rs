//! Clients that hold connections, and others that find the metrics all the same.

use socket2::{Domain, Socket, Type};

use super::*;

/// With so few descriptors the service serves half as many connections: the others stay free for queries.
const DESCRIPTORS: &str = "ulimit -n 64; exec \"$0\" \"$@\"";
const LIMIT: usize = 32;

fn limited() -> Service {
    service_in(DESCRIPTORS).start()
}

/// A connection that has asked before, and is kept.
fn kept(service: &Service) -> Connection {
    let mut connection = connect(service);
    connection.get("/-/ready").expect("it is answered");
    connection
}

const WARNING: &str = "too many connections";

#[track_caller]
fn assert_warned(service: &Service) {
    service.wait_for_stderr(|log| log.contains(WARNING), PATIENCE);
}

/// The log is written in order: with the line of a query, all before it are there.
#[track_caller]
fn assert_not_warned(service: &Service) {
    service.query();
    let log = service.wait_for_stderr(|log| log.contains("query failed"), PATIENCE);
    assert!(!log.contains(WARNING), "{log}");
}

#[test]
fn at_the_limit_the_connection_that_has_been_silent_longest_makes_room() {
    let service = limited();
    let mut active = kept(&service);
    let mut silent = kept(&service);
    active.get("/-/ready").expect("it is kept");
    let mut others = connect_many(&service, LIMIT - 2);
    // Who asks is answered, and told to close: that costs nobody anything.
    service.scrape();
    assert_not_warned(&service);
    others.push(connect(&service));
    let closed = silent.read_to_close();
    assert_eq!(closed.expect("it was closed in order"), b"");
    assert_warned(&service);
    for connection in others.iter_mut().chain([&mut active]) {
        let answer = connection.get("/-/ready").expect("it is still open");
        assert_eq!(answer.status, 200);
    }
}

/// It came while the service was busy, and later than the connection that needs room.
#[test]
fn a_connection_whose_request_has_just_come_does_not_make_room() {
    let service = limited();
    let mut oldest = kept(&service);
    let open = service.fds();
    let _others = connect_many(&service, LIMIT - 1);
    eventually("all that the limit allows", || {
        (service.fds() == open + LIMIT - 1).then_some(())
    });
    service.freeze();
    let _new = connect(&service);
    oldest.send(SCRAPE).expect("the kernel took it");
    service.thaw();
    assert_eq!(oldest.receive().expect("it is answered").status, 200);
}

#[test]
fn the_beginning_of_a_request_keeps_no_connection_open() {
    let service = limited();
    let mut dripping = connect(&service);
    let _silent = connect_many(&service, LIMIT / 2);
    let mut begun = connect_many(&service, LIMIT);
    for connection in &mut begun {
        connection.send(b"G").expect("the kernel took it");
    }
    let drip = |connection: &mut Connection| connection.send(b"G").err();
    eventually("the end of the dripping one", || {
        service.scrape();
        drip(&mut dripping)
    });
    assert_warned(&service);
}

#[test]
fn held_connections_leave_descriptors_to_queries() {
    let stand_in = StandIn::tcp(Images::generated(3));
    let service = service_in(DESCRIPTORS).store(stand_in.url()).start();
    let _held = connect_many(&service, 4 * LIMIT);
    service.scrape();
    let status = service.query();
    assert!(status.contains("3 images"), "{status}");
    service.scrape();
    assert_warned(&service);
}

/// They ask for more than the kernel takes for them, and read nothing of it.
#[test]
fn answers_that_nobody_reads_keep_nobody_out() {
    let service = limited();
    let greedy: Vec<TcpStream> = (0..LIMIT / 2).map(|_| narrow(&service)).collect();
    for mut connection in &greedy {
        let requests = SCRAPE.repeat(1024);
        connection.write_all(&requests).expect("the kernel took it");
    }
    let _silent = connect_many(&service, LIMIT);
    service.scrape();
    assert_warned(&service);
}

/// A connection with the smallest receive buffer.
fn narrow(service: &Service) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(1).expect("the least is taken");
    let address = service.address().into();
    socket.connect(&address).expect("the service listens");
    socket.into()
}

#[test]
fn clients_that_keep_their_connections_are_told_to_close_them_before_there_is_no_room() {
    let service = limited();
    let mut kept = connect_many(&service, LIMIT);
    // Connections are accepted in order: with the last one answered, all are.
    let closing = kept.iter_mut().rev().map(|connection| {
        let answer = connection.get("/-/ready").expect("it is answered");
        answer.header("connection") == Some("close")
    });
    let closing: Vec<bool> = closing.collect();
    let expected = [[true; LIMIT / 4].as_slice(), &[false; LIMIT / 4 * 3]].concat();
    assert_eq!(closing, expected);
    assert_not_warned(&service);
}
