//! Traces of failed queries.

use lab::jaeger_agent::{JaegerAgent, Span, Trace};
use lab::rkt_api_service::Behaviour;
use lab::service::{PATIENCE, ReservedPort, Service};
use tonic::Status;

use super::{CONNECT, LIST_IMAGES, Scene, exporting_to, tag};

/// The trace of a failed query, and the code under which the metrics count the failure.
struct Failed {
    trace: Trace,
    code: String,
}

impl Failed {
    fn of(service: &Service, agent: &JaegerAgent) -> Self {
        service.query();
        let scrape = service.scrape();
        let counted: Vec<_> = scrape
            .samples("imagestore_query_failures_total")
            .filter(|sample| sample.value == 1.0)
            .map(|sample| sample.labels["code"].clone())
            .collect();
        let [code] = &counted[..] else {
            panic!("counted as {counted:?}");
        };
        Self {
            trace: agent.next_trace(PATIENCE),
            code: code.clone(),
        }
    }

    fn by(behaviour: Behaviour) -> Self {
        Self::within("60s", behaviour)
    }

    fn within(deadline: &str, behaviour: Behaviour) -> Self {
        let scene = Scene::with(|service| service.arg("--deadline").arg(deadline));
        scene.store.behave(behaviour);
        Self::of(&scene.service, &scene.agent)
    }

    fn by_refusal() -> Self {
        let unused = ReservedPort::reserve();
        let agent = JaegerAgent::bind();
        let service = exporting_to(agent.address())
            .store(format!("rkt+http://{}", unused.address()))
            .start();
        Self::of(&service, &agent)
    }

    /// The call and the root are marked as errors with this reason. Of the other spans, exactly `also_failed` are.
    #[track_caller]
    fn assert_failed_spans(&self, why: &str, also_failed: &[&str]) {
        let call = self.trace.span(LIST_IMAGES);
        assert_error(call, why);
        assert_eq!(tag(call, "rpc.response.status_code"), self.code);
        assert_eq!(tag(call, "error.type"), self.code);
        assert_eq!(call.text("imagestore.images"), None);
        assert_error(self.trace.root(), why);
        let failed: Vec<_> = self
            .trace
            .spans
            .iter()
            .filter(|span| span.is_error() && span.operation != LIST_IMAGES)
            .filter(|span| *span != self.trace.root())
            .map(|span| span.operation.as_str())
            .collect();
        assert_eq!(failed, also_failed, "{}", self.trace.render());
    }
}

#[track_caller]
fn assert_error(span: &Span, why: &str) {
    assert!(span.is_error(), "{span:#?}");
    assert_eq!(tag(span, "otel.status_code"), "ERROR");
    let description = tag(span, "otel.status_description");
    assert!(description.contains(why), "{description}");
}

#[test]
fn a_refused_connection_fails_the_spans_of_the_connection_the_call_and_the_root() {
    let failed = Failed::by_refusal();
    assert_eq!(failed.code, "UNAVAILABLE");
    failed.assert_failed_spans("Connection refused", &[CONNECT]);
    assert_eq!(tag(failed.trace.span(CONNECT), "error.type"), "UNAVAILABLE");
}

#[test]
fn an_exceeded_deadline_fails_the_call_and_the_root() {
    let failed = Failed::within("3s", Behaviour::Hang);
    assert_eq!(failed.code, "DEADLINE_EXCEEDED");
    failed.assert_failed_spans("3s", &[]);
}

#[test]
fn an_exceeded_deadline_is_never_reported_with_another_code() {
    let scene = Scene::with(|service| service.arg("--deadline").arg("10ms"));
    scene.store.behave(Behaviour::Hang);
    for _ in 0..50 {
        let trace = scene.trace();
        let call = trace.span(LIST_IMAGES);
        assert_eq!(tag(call, "rpc.response.status_code"), "DEADLINE_EXCEEDED");
    }
}

#[test]
fn a_deadline_exceeded_while_connecting_fails_the_connect_span_too() {
    let failed = Failed::within("3s", Behaviour::Silent);
    assert_eq!(failed.code, "DEADLINE_EXCEEDED");
    failed.assert_failed_spans("has not begun to speak HTTP/2", &[CONNECT]);
    let trace = &failed.trace;
    let connect = trace.span(CONNECT);
    assert_error(connect, "has not begun to speak HTTP/2");
    assert_eq!(trace.parent_of(connect), Some(trace.span(LIST_IMAGES)));
}

#[test]
fn the_code_and_the_text_of_the_store_are_in_the_trace() {
    let failed = Failed::by(Behaviour::Fail(Status::resource_exhausted(
        "too many askers",
    )));
    assert_eq!(failed.code, "RESOURCE_EXHAUSTED");
    failed.assert_failed_spans("too many askers", &[]);
}

#[test]
fn an_answer_that_is_cut_off_fails_the_call_and_the_root() {
    let failed = Failed::by(Behaviour::CutOff);
    failed.assert_failed_spans("the connection was ", &[]);
}

#[test]
fn after_a_failure_the_next_trace_has_no_errors() {
    let scene = Scene::set();
    scene.store.behave(Behaviour::CutOff);
    assert!(scene.trace().root().is_error());
    scene.store.behave(Behaviour::Answer);
    assert!(scene.trace().spans.iter().all(|span| !span.is_error()));
}

#[test]
fn if_one_of_two_stores_fails_only_its_spans_and_the_root_are_errors() {
    let unused = ReservedPort::reserve();
    let down = format!("down=rkt+http://{}", unused.address());
    let scene = Scene::with(|service| service.store(down));
    let trace = scene.trace();
    let outcomes: Vec<_> = trace
        .spans_named(LIST_IMAGES)
        .into_iter()
        .map(|call| (tag(call, "imagestore.store"), call.is_error()))
        .collect();
    assert!(
        outcomes.contains(&("rkt".to_owned(), false)),
        "{outcomes:?}"
    );
    assert!(
        outcomes.contains(&("down".to_owned(), true)),
        "{outcomes:?}"
    );
    assert_error(trace.root(), "down: ");
    let description = tag(trace.root(), "otel.status_description");
    assert!(!description.contains("rkt: "), "{description}");
}
