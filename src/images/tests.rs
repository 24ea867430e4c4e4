use std::{
    io,
    net::Shutdown,
    pin::Pin,
    task::{Context, Poll},
};

use lab::rkt_api_service::{Images, StandIn};
use lab::service::PATIENCE;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::UnixStream,
    task::yield_now,
};
use tokio_util::sync::CancellationToken;

use super::{
    Connection, ImageStore, Limit, QueryError, StoreAddress, StoreConfig,
    grpc::{Calls, Channel},
    kinds,
};

/// A store, and its client.
fn scene() -> (StandIn, ImageStore) {
    let store = StandIn::tcp(Images::generated(7));
    let config = StoreConfig {
        name: "rkt".to_owned(),
        kind: kinds::named("rkt").expect("a kind"),
        address: StoreAddress::Tcp {
            host: store.address().ip().to_string(),
            port: store.address().port(),
        },
        parameter: None,
    };
    let image_store = ImageStore::new(&config);
    (store, image_store)
}

fn limit() -> Limit {
    Limit::new(PATIENCE, CancellationToken::new())
}

#[track_caller]
fn assert_is_our_fault(error: &QueryError) {
    assert_eq!(error.code().name(), "INTERNAL");
    let right =
        "exp-rkt-grpc panicked: out of cheese; this is a bug in exp-rkt-grpc, please report it";
    assert_eq!(error.to_string(), right);
}

/// One query that has to work.
async fn count(image_store: &mut ImageStore) -> u64 {
    let connection = Connection::default();
    let answer = image_store.count(&limit(), &connection).await;
    connection.close().await;
    answer
        .expect("the store answers")
        .contents
        .images
        .expect("they are counted")
}

/// Begins to speak HTTP/2, and panics when it is read from again.
struct Panics {
    greeting: &'static [u8],
}

impl AsyncRead for Panics {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        assert!(!self.greeting.is_empty(), "out of cheese");
        buffer.put_slice(self.greeting);
        self.greeting = &[];
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Panics {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A connection that is made, and whose task panics.
async fn panicking(image_store: &ImageStore) -> Connection {
    let connection = Connection::default();
    let stream = Panics {
        greeting: b"\0\0\0\x04\0\0\0\0\0",
    };
    let connected = connection.over(&image_store.target, stream).await;
    connected.expect("it has begun to speak HTTP/2");
    connection
}

#[tokio::test]
async fn bytes_that_arrive_after_a_failed_write_are_reported() {
    let (_store, image_store) = scene();
    let (stream, mut other) = UnixStream::pair().expect("there are descriptors");
    // Every write to it fails from now on.
    let shut = SockRef::from(&other).shutdown(Shutdown::Read);
    shut.expect("it is connected");
    let connection = Connection::default();
    let connecting = connection.over(&image_store.target, stream);
    let speaking = async {
        yield_now().await;
        other.write_all(b"421 too many\r\n").await
    };
    let (connected, spoken) = tokio::join!(connecting, speaking);
    let error = connected.expect_err("it is not HTTP/2").to_string();
    let words = r#""421 too many\r\n""#;
    assert!(error.ends_with(words), "{error}");
    spoken.expect("it has been read");
}

#[tokio::test]
async fn a_panic_while_an_answer_is_read_fails_its_query_and_the_next_one_works() {
    let (store, mut image_store) = scene();
    let connection = Connection::default();
    let panicking = async |_: &mut Channel, _| panic!("out of cheese");
    let limit = limit();
    let calls = Calls::new(
        &image_store.config.name,
        &image_store.target,
        &limit,
        &connection,
    );
    let panicked: Result<(), _> = calls.call("v1alpha.PublicAPI/ListImages", panicking).await;
    assert_is_our_fault(&panicked.expect_err("it panics"));
    connection.close().await;
    store.wait_for_open_connections(0, PATIENCE);
    assert_eq!(count(&mut image_store).await, 7);
}

#[tokio::test]
async fn a_panic_in_the_task_of_a_connection_fails_its_query_and_the_next_one_works() {
    let (_store, mut image_store) = scene();
    let connection = panicking(&image_store).await;
    let panicked = image_store.count(&limit(), &connection).await;
    assert_is_our_fault(&panicked.expect_err("it panics"));
    connection.close().await;
    assert_eq!(count(&mut image_store).await, 7);
}

#[tokio::test]
async fn a_panic_in_a_side_call_loses_only_its_result() {
    let (_store, mut image_store) = scene();
    let connection = Connection::default();
    let answer = image_store.count(&limit(), &connection).await;
    let answer = answer.expect("the store answers");
    let described = image_store
        .describe(&limit(), &panicking(&image_store).await, answer.clone())
        .await;
    assert_eq!(described, answer);
    let described = image_store.describe(&limit(), &connection, answer).await;
    assert!(described.runtime.is_some());
}
