//! containerd's own spans, in a real Jaeger.

use lab::containerd::{Containerd, Release, Setup};
use lab::jaeger::Jaeger;
use lab::poll::eventually;
use lab::service::{PATIENCE, Service};

use super::STREAM_IMAGES;

const CALLS: [&str; 7] = [
    STREAM_IMAGES,
    "runtime.v1.RuntimeService/StreamContainers",
    "runtime.v1.RuntimeService/Version",
    "runtime.v1.ImageService/ImageFsInfo",
    "containerd.services.images.v1.Images/List",
    "containerd.services.namespaces.v1.Namespaces/List",
    "containerd.services.version.v1.Version/Version",
];

#[test]
fn the_server_spans_of_containerd_are_children_of_our_client_spans_in_jaeger() {
    let (Some(release), Some(jaeger)) = (Release::v2_4(), Jaeger::shared()) else {
        return;
    };
    let mut containerd = Containerd::prepare(release).traced_at(jaeger.otlp_endpoint());
    containerd.launch(Setup::Plain);
    containerd.wait_until_ready();
    let service = Service::builder(env!("CARGO_BIN_EXE_exp-rkt-grpc"))
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", jaeger.otlp_endpoint())
        .store(containerd.url())
        .store(format!(
            "containerd+unix://{}?namespace=moby",
            containerd.socket().display()
        ))
        .start();
    service.query();
    let logged = service.wait_for_stderr(|log| log.contains("trace_id="), PATIENCE);
    let (_, id) = logged.split_once("trace_id=").expect("it is logged");
    let id = &id[..32];
    let api = jaeger.api();
    // The root, two connections and the calls.
    let ours = api.trace(id, "exp-rkt-grpc", 3 + CALLS.len());
    let theirs = eventually("containerd's spans in our trace", || {
        let served = api.find(id, "containerd")?;
        let complete = CALLS
            .iter()
            .all(|call| !served.spans_named(call).is_empty());
        complete.then_some(served)
    });
    for call in CALLS {
        let (client, server) = (ours.span(call), theirs.span(call));
        assert_eq!(ours.parent_of(client), Some(ours.root()));
        assert_eq!(client.text("span.kind").as_deref(), Some("client"));
        let status = client.text("rpc.response.status_code");
        assert_eq!(status.as_deref(), Some("OK"));
        let socket = containerd.socket().to_str();
        assert_eq!(client.text("server.address").as_deref(), socket);
        assert_eq!(client.text("server.port"), None);
        assert_eq!(server.parent_span_id, client.span_id, "{}", theirs.render());
        assert_eq!(server.text("span.kind").as_deref(), Some("server"));
    }
}
