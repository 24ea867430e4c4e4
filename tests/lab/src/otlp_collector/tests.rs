//! A client's view of the collector.

use std::net::TcpStream;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};

use super::*;

const SOON: Duration = crate::service::PATIENCE;

fn attribute(key: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue {
        key: key.to_owned(),
        value,
        ..KeyValue::default()
    }
}

fn request() -> ExportTraceServiceRequest {
    let span = Span {
        trace_id: vec![0x0a; 16],
        span_id: vec![0, 0, 0, 0, 0, 0, 1, 2],
        name: "imagestore query".to_owned(),
        attributes: vec![attribute("images", Value::IntValue(3))],
        ..Span::default()
    };
    let name = attribute(
        "service.name",
        Value::StringValue("exp-rkt-grpc".to_owned()),
    );
    let scope = InstrumentationScope {
        name: "lab".to_owned(),
        ..Default::default()
    };
    let scope = ScopeSpans {
        scope: Some(scope),
        spans: vec![span],
        ..Default::default()
    };
    let resource = Resource {
        attributes: vec![name],
        ..Default::default()
    };
    let spans = ResourceSpans {
        resource: Some(resource),
        scope_spans: vec![scope],
        ..Default::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![spans],
    }
}

/// One export call; an error of the client's own when it takes longer than `within`.
fn export(to: &OtlpCollector, within: Duration) -> Result<(), Status> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let endpoint = tonic::transport::Endpoint::from_shared(to.endpoint()).expect("a URL");
        let channel = endpoint
            .timeout(within)
            .connect()
            .await
            .expect("the collector listens");
        let mut request = Request::new(request());
        request
            .metadata_mut()
            .insert("x-probe", "1".parse().expect("ASCII"));
        TraceServiceClient::new(channel)
            .export(request)
            .await
            .map(drop)
    })
}

#[test]
fn a_call_is_kept_with_its_metadata() {
    let collector = OtlpCollector::bind();
    assert!(collector.next_call(Duration::from_millis(1)).is_none());
    export(&collector, SOON).expect("an answer");
    let call = collector.next_call(SOON).expect("the call");
    assert_eq!(call.request, request());
    assert_eq!(call.metadata.get("x-probe").expect("the probe"), "1");
    assert!(call.metadata.get("traceparent").is_none());
}

#[test]
fn spans_carry_the_attributes_of_their_resource() {
    let [span] = &FlatSpan::all(&request())[..] else {
        panic!("one span")
    };
    assert_eq!(
        span.resource_text("service.name").as_deref(),
        Some("exp-rkt-grpc")
    );
    assert_eq!(span.text("images").as_deref(), Some("3"));
    assert_eq!(
        (span.scope.as_str(), span.span.name.as_str()),
        ("lab", "imagestore query")
    );
    assert_eq!(span.trace_id(), 0x0a0a_0a0a_0a0a_0a0a_0a0a_0a0a_0a0a_0a0a);
    assert_eq!((span.span_id(), span.parent_span_id()), (0x0102, 0));
}

#[test]
fn a_refusal_reaches_the_client() {
    let collector = OtlpCollector::bind();
    let (code, message) = (Code::ResourceExhausted, "enough".to_owned());
    collector.behave(Behaviour::Fail { code, message });
    let status = export(&collector, SOON).expect_err("a refusal");
    assert_eq!((status.code(), status.message()), (code, "enough"));
    assert!(collector.next_request(SOON).is_some());
    collector.behave(Behaviour::Answer);
    export(&collector, SOON).expect("an answer");
}

#[test]
fn a_hanging_call_outlasts_the_client_and_not_the_collector() {
    let collector = OtlpCollector::bind();
    collector.behave(Behaviour::Hang);
    export(&collector, Duration::from_millis(50)).expect_err("no answer");
    assert!(collector.next_request(SOON).is_some());
    let address = collector.address();
    // It does not wait for the call.
    drop(collector);
    assert!(TcpStream::connect(address).is_err());
}
