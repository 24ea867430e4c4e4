//! The stand-in as a client sees it: HTTP/2 frames, gRPC bytes, connections.

use super::v1alpha::{ListImagesRequest, ListImagesResponse};
use super::*;
use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;
use prost::Message as _;
use std::time::Duration;
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite};

const SOON: Duration = crate::service::PATIENCE;

/// Bytes; tonic's.
const CONNECTION_WINDOW: u32 = 5 * 1024 * 1024;

/// What came of one call.
#[derive(Debug, Default)]
struct Outcome {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    frames: usize,
    trailers: Option<HeaderMap>,
    error: Option<h2::Error>,
}

impl Outcome {
    fn images(&self) -> Vec<v1alpha::Image> {
        assert!(self.error.is_none(), "{:?}", self.error);
        let (prefix, message) = self.body.split_at(5);
        assert_eq!(prefix[0], 0, "not compressed");
        assert_eq!(
            prefix[1..],
            u32::try_from(message.len()).unwrap().to_be_bytes()
        );
        ListImagesResponse::decode(message).unwrap().images
    }

    fn grpc_status(&self) -> Option<&str> {
        self.trailers.as_ref()?.get("grpc-status")?.to_str().ok()
    }
}

fn framed(message: &impl prost::Message) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.encoded_len()).unwrap());
    message.encode(&mut frame).unwrap();
    frame.freeze()
}

/// One call on a fresh connection; the body is read up to `most` bytes.
async fn call_on<S>(stream: S, path: &str, body: Bytes, most: usize) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut outcome = Outcome::default();
    if let Err(error) = exchange(stream, path, body, most, &mut outcome).await {
        outcome.error = Some(error);
    }
    outcome
}

async fn exchange<S>(
    stream: S,
    path: &str,
    body: Bytes,
    most: usize,
    outcome: &mut Outcome,
) -> Result<(), h2::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (client, connection) = h2::client::Builder::new()
        .initial_connection_window_size(CONNECTION_WINDOW)
        .handshake::<_, Bytes>(stream)
        .await?;
    tokio::spawn(connection);
    let mut client = client.ready().await?;
    let request = http::Request::post(format!("http://store{path}"))
        .header("te", "trailers")
        .header(
            "traceparent",
            "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01",
        )
        .body(());
    let (response, mut sending) = client.send_request(request.unwrap(), false)?;
    sending.send_data(body, true)?;
    let (head, mut body) = response.await?.into_parts();
    outcome.status = head.status.as_u16();
    outcome.headers = head.headers;
    while let Some(data) = body.data().await {
        let data = data?;
        outcome.frames += 1;
        outcome.body.extend_from_slice(&data);
        body.flow_control().release_capacity(data.len())?;
        if outcome.body.len() >= most {
            return Ok(());
        }
    }
    outcome.trailers = body.trailers().await?;
    Ok(())
}

fn in_runtime<T>(client: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let within = async {
        tokio::time::timeout(SOON, client)
            .await
            .expect("the client is done soon")
    };
    runtime.unwrap().block_on(within)
}

fn call(stand_in: &StandIn, path: &str, body: Bytes) -> Outcome {
    let address = stand_in.address();
    in_runtime(async {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        call_on(stream, path, body, usize::MAX).await
    })
}

fn list_images(stand_in: &StandIn) -> Outcome {
    let request = framed(&ListImagesRequest::default());
    call(stand_in, "/v1alpha.PublicAPI/ListImages", request)
}

fn list_images_when(behaviour: Behaviour, count: usize) -> Outcome {
    let stand_in = StandIn::tcp(Images::generated(count));
    stand_in.behave(behaviour);
    list_images(&stand_in)
}

#[test]
fn images_are_listed_over_tcp() {
    let stand_in = StandIn::tcp(Images::generated(10_000));
    let outcome = list_images(&stand_in);
    assert_eq!(outcome.headers["content-type"], "application/grpc");
    assert_eq!(outcome.grpc_status(), Some("0"));
    assert_eq!(outcome.images().len(), 10_000);
    let calls = stand_in.calls();
    assert_eq!(calls[0].path, "/v1alpha.PublicAPI/ListImages");
    assert_eq!(calls[0].authority.as_deref(), Some("store"));
    assert_eq!(
        calls[0].request,
        Request::ListImages(ListImagesRequest::default())
    );
    assert!(
        calls[0]
            .header("traceparent")
            .unwrap()
            .starts_with("00-0123")
    );
    stand_in.wait_for_open_connections(0, SOON);
    assert_eq!(stand_in.connections(), 1);
}

#[test]
fn images_are_listed_over_a_unix_socket_and_a_stale_one_is_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rkt.sock");
    StandIn::unix(&path, Images::generated(1)).unwrap().kill();
    assert!(path.exists(), "killed: the socket file is stale");
    let stand_in = StandIn::unix(&path, Images::generated(3)).unwrap();
    assert_eq!(stand_in.url(), format!("rkt+unix://{}", path.display()));
    assert!(
        StandIn::unix(&path, Images::generated(4)).is_err(),
        "somebody listens there"
    );
    let outcome = in_runtime(async {
        let stream = tokio::net::UnixStream::connect(&path).await.unwrap();
        let request = framed(&ListImagesRequest::default());
        call_on(stream, "/v1alpha.PublicAPI/ListImages", request, usize::MAX).await
    });
    assert_eq!(outcome.images().len(), 3);
    stand_in.stop();
    assert!(!path.exists());
}

#[test]
fn info_is_told() {
    let stand_in = StandIn::tcp(Images::generated(1));
    let outcome = call(
        &stand_in,
        "/v1alpha.PublicAPI/GetInfo",
        framed(&v1alpha::GetInfoRequest {}),
    );
    let info = v1alpha::GetInfoResponse::decode(&outcome.body[5..])
        .unwrap()
        .info
        .unwrap();
    assert_eq!(info.api_version, "1.0.0-alpha");
}

#[test]
fn the_store_and_the_behaviour_change_between_calls() {
    let stand_in = StandIn::tcp(Images::generated(1));
    assert_eq!(list_images(&stand_in).images().len(), 1);
    stand_in.serve_images(Images::generated(2));
    assert_eq!(list_images(&stand_in).images().len(), 2);
    let failing: Behaviour = "fail=UNAVAILABLE".parse().unwrap();
    stand_in.behave_for(Method::GetInfo, failing);
    assert_eq!(list_images(&stand_in).images().len(), 2);
    let info = call(
        &stand_in,
        "/v1alpha.PublicAPI/GetInfo",
        framed(&v1alpha::GetInfoRequest {}),
    );
    assert_eq!(info.headers["grpc-status"], "14");
    assert_eq!(stand_in.wait_for_calls(4, SOON).len(), 4);
}

#[test]
fn what_is_not_served_is_refused_as_rkt_does() {
    let stand_in = StandIn::tcp(Images::generated(1));
    let status = |path: &str, body: &'static [u8]| {
        let outcome = call(&stand_in, path, Bytes::from_static(body));
        assert!(outcome.body.is_empty());
        outcome.headers["grpc-status"].to_str().unwrap().to_owned()
    };
    let empty = b"\0\0\0\0\0";
    assert_eq!(status("/v1alpha.PublicAPI/ListPods", empty), "12");
    assert_eq!(status("/runtime.v1.ImageService/ListImages", empty), "12");
    assert_eq!(status("/nothing", empty), "3");
    assert_eq!(
        status("/v1alpha.PublicAPI/ListImages", b"\x01\0\0\0\0"),
        "12"
    );
    assert_eq!(
        status("/v1alpha.PublicAPI/ListImages", b"\0\0\0\0\x01\x0f"),
        "2"
    );
    assert_eq!(status("/v1alpha.PublicAPI/ListImages", b"\0\0"), "13");
}

#[test]
fn a_missing_directory_of_manifests_is_an_error_of_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let stand_in = StandIn::tcp(Images::Manifests(directory.path().join("gone")));
    let outcome = list_images(&stand_in);
    assert_eq!(outcome.headers["grpc-status"], "2");
    assert_eq!(
        outcome.headers["grpc-message"],
        "No such file or directory (os error 2)"
    );
}

#[test]
fn a_failure_is_trailers_only_and_its_message_is_percent_encoded() {
    let message = "down: 5 % \u{fc}\n".to_owned();
    let outcome = list_images_when(Behaviour::Fail { code: 14, message }, 1);
    assert_eq!((outcome.status, outcome.frames), (200, 0));
    assert_eq!(outcome.headers["grpc-status"], "14");
    assert_eq!(outcome.headers["grpc-message"], "down: 5 %25 %C3%BC%0A");
    assert!(outcome.trailers.is_none());
}

#[test]
fn a_late_failure_follows_a_whole_message() {
    let message = "late".to_owned();
    let outcome = list_images_when(Behaviour::FailAfterBody { code: 13, message }, 5);
    assert_eq!(outcome.images().len(), 5);
    assert_eq!(outcome.grpc_status(), Some("13"));
}

#[test]
fn a_cut_connection_and_a_reset_stream_leave_half_of_the_message() {
    let whole = 5 + Images::generated(1_000).totals().encoded_bytes as usize;
    let cut = list_images_when(Behaviour::CutOff, 1_000);
    assert_eq!((cut.body.len(), cut.trailers), (whole / 2, None));
    assert!(
        !cut.error.unwrap().is_reset(),
        "the connection ended, not the stream"
    );
    let reset = list_images_when(Behaviour::Reset(Reason::REFUSED_STREAM), 1_000);
    assert_eq!(reset.body.len(), whole / 2);
    assert_eq!(reset.error.unwrap().reason(), Some(Reason::REFUSED_STREAM));
}

#[test]
fn a_refused_connection_is_closed_and_no_call_arrives() {
    let stand_in = StandIn::tcp(Images::generated(1));
    stand_in.behave(Behaviour::Refuse);
    assert!(list_images(&stand_in).error.is_some());
    assert_eq!((stand_in.calls().len(), stand_in.connections()), (0, 1));
}

#[test]
fn a_hanging_call_is_answered_when_released() {
    for behaviour in [Behaviour::Hang, Behaviour::HangInBody] {
        let stand_in = StandIn::tcp(Images::generated(100));
        stand_in.behave(behaviour);
        std::thread::scope(|threads| {
            let client = threads.spawn(|| list_images(&stand_in));
            stand_in.wait_for_calls(1, SOON);
            assert!(!client.is_finished());
            stand_in.release();
            assert_eq!(client.join().unwrap().images().len(), 100);
        });
    }
}

#[test]
fn stopping_ends_calls_that_hang_and_refuses_the_next_connection() {
    for behaviour in [Behaviour::Hang, Behaviour::HangInBody, Behaviour::Silent] {
        let stand_in = StandIn::tcp(Images::generated(100));
        let address = stand_in.address();
        stand_in.behave(behaviour);
        let client = std::thread::spawn(move || {
            in_runtime(async {
                let stream = tokio::net::TcpStream::connect(address).await.unwrap();
                let request = framed(&ListImagesRequest::default());
                call_on(stream, "/v1alpha.PublicAPI/ListImages", request, usize::MAX).await
            })
        });
        stand_in.wait_for_open_connections(1, SOON);
        stand_in.stop();
        assert!(client.join().unwrap().error.is_some());
        let refused = std::net::TcpStream::connect(address).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        StandIn::tcp_at(address, Images::generated(1)).unwrap();
    }
}

#[test]
fn a_flood_goes_on_until_the_client_goes_away() {
    let stand_in = StandIn::tcp(Images::generated(1));
    stand_in.behave(Behaviour::Flood);
    let address = stand_in.address();
    let outcome = in_runtime(async {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = framed(&ListImagesRequest::default());
        call_on(stream, "/v1alpha.PublicAPI/ListImages", request, 20_000_000).await
    });
    assert!(outcome.body.len() >= 20_000_000);
    stand_in.wait_for_open_connections(0, SOON);
}

#[test]
fn lies_are_told_as_promised() {
    let lie = list_images_when(Behaviour::Lie, 1);
    assert_eq!(lie.body[..5], [0, 255, 255, 255, 255]);
    assert_eq!(lie.grpc_status(), Some("0"));

    let decoded = |outcome: &Outcome| {
        let length = u32::from_be_bytes(outcome.body[1..5].try_into().unwrap()) as usize;
        assert_eq!(length, outcome.body.len() - 5, "well framed");
        assert_eq!(outcome.grpc_status(), Some("0"));
        ListImagesResponse::decode(&outcome.body[5..])
    };
    assert!(decoded(&list_images_when(Behaviour::Garbage, 1)).is_err());
    assert!(decoded(&list_images_when(Behaviour::Truncated, 3)).is_err());
    let empty = decoded(&list_images_when(
        Behaviour::EmptyImages { count: 100_000 },
        0,
    ))
    .unwrap();
    assert_eq!(empty.images.len(), 100_000);
    let none = decoded(&list_images_when(Behaviour::EmptyImages { count: 0 }, 0)).unwrap();
    assert_eq!(none.images.len(), 0);

    let compressed = list_images_when(Behaviour::Compressed, 1);
    assert_eq!(
        (compressed.body[0], &compressed.headers["grpc-encoding"]),
        (1, &"gzip".parse().unwrap())
    );
}

#[test]
fn an_end_without_trailers_has_none() {
    let outcome = list_images_when(Behaviour::WithoutTrailers, 2);
    assert_eq!(outcome.images().len(), 2);
    assert!(outcome.trailers.is_none() && outcome.error.is_none());
}

#[test]
fn a_page_that_is_not_grpc_has_the_status_asked_for() {
    let outcome = list_images_when(Behaviour::NotGrpc { status: 404 }, 2);
    assert_eq!(outcome.status, 404);
    assert_eq!(outcome.headers["content-type"], "text/html");
    assert!(outcome.trailers.is_none());
}

#[test]
fn a_slow_answer_is_late_and_a_dribbled_one_in_small_frames() {
    let started = Instant::now();
    let slow = list_images_when(Behaviour::Slow(Duration::from_millis(50)), 2);
    assert!(started.elapsed() >= Duration::from_millis(50));
    assert_eq!(slow.images().len(), 2);
    let dribbled = list_images_when(Behaviour::Dribble { chunk: 7 }, 10);
    assert_eq!(dribbled.images().len(), 10);
    assert!(
        dribbled.frames >= (5 + 10 * 254) / 7,
        "{} frames",
        dribbled.frames
    );
}

#[test]
fn calls_can_be_followed() {
    let stand_in = StandIn::tcp(Images::generated(1));
    let calls = stand_in.follow();
    list_images(&stand_in);
    let line = calls.recv_timeout(SOON).unwrap().to_string();
    assert!(line.starts_with(
        "/v1alpha.PublicAPI/ListImages connection=1 detail=false filters=0 traceparent=00-"
    ));
    drop(stand_in);
    assert!(calls.recv().is_err(), "ends with the stand-in");
}

#[test]
#[should_panic(expected = "the stand-in waited 1ms for 2 calls, and 1 came: [")]
fn waiting_for_calls_in_vain_says_what_came() {
    let stand_in = StandIn::tcp(Images::generated(1));
    list_images(&stand_in);
    stand_in.wait_for_calls(2, Duration::from_millis(1));
}
