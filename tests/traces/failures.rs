//! Traces of failed queries.

use lab::jaeger_agent::{Span, Trace, Value};
use lab::rkt_api_service::Behaviour;
use lab::service::ReservedPort;
use tonic::Status;

use super::{CONNECT, LIST_IMAGES, SPANS, Scene, next_id, query, tag};

/// The spans of a query whose first call fails: the root, the call and its connection.
const FAILED_SPANS: usize = 3;

/// The trace of a failed query, and the code under which the metrics count the failure.
struct Failed {
    trace: Trace,
    code: String,
}

impl Failed {
    fn of(scene: &Scene) -> Self {
        let trace = scene.find(&next_id(&scene.service, ""), FAILED_SPANS);
        let scrape = scene.service.scrape();
        let counted: Vec<_> = scrape
            .samples("imagestore_query_failures_total")
            .filter(|sample| sample.value == 1.0)
            .map(|sample| sample.labels["code"].clone())
            .collect();
        let [code] = &counted[..] else {
            panic!("counted as {counted:?}");
        };
        let code = code.clone();
        Self { trace, code }
    }

    /// The failures of both exporters' services, which query the store at the same time.
    fn each(deadline: &str, behaviour: &Behaviour) -> impl Iterator<Item = Self> {
        let scenes = Scene::each_with(|service| service.arg("--deadline").arg(deadline));
        let scenes: Vec<_> = scenes.collect();
        for scene in &scenes {
            scene.store.behave(behaviour.clone());
            scene.service.trigger();
        }
        scenes.into_iter().map(|scene| Self::of(&scene))
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

    /// The only event of the root has the code and the reason.
    #[track_caller]
    fn assert_event(&self, why: &str) {
        let [failed] = &self.trace.root().logs[..] else {
            panic!("{}", self.trace.render());
        };
        let field = |name: &str| failed.fields.get(name).map(Value::to_string);
        assert_eq!(failed.name().as_deref(), Some("query failed"));
        assert_eq!(field("code").as_deref(), Some(self.code.as_str()));
        let error = field("error").expect("the event has the error");
        assert!(error.contains(why), "{error}");
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
fn an_exceeded_deadline_fails_the_call_and_the_root() {
    for failed in Failed::each("3s", &Behaviour::Hang) {
        assert_eq!(failed.code, "DEADLINE_EXCEEDED");
        failed.assert_failed_spans("3s", &[]);
    }
}

#[test]
fn an_exceeded_deadline_is_never_reported_with_another_code() {
    for scene in Scene::each_with(|service| service.arg("--deadline").arg("10ms")) {
        scene.store.behave(Behaviour::Hang);
        let ids: Vec<_> = (0..50).map(|_| query(&scene.service)).collect();
        for id in ids {
            let trace = scene.find(&id, FAILED_SPANS);
            let call = trace.span(LIST_IMAGES);
            assert_eq!(tag(call, "rpc.response.status_code"), "DEADLINE_EXCEEDED");
        }
    }
}

#[test]
fn a_deadline_exceeded_while_connecting_fails_the_connect_span_too() {
    for failed in Failed::each("3s", &Behaviour::Silent) {
        assert_eq!(failed.code, "DEADLINE_EXCEEDED");
        failed.assert_failed_spans("has not begun to speak HTTP/2", &[CONNECT]);
        let connect = failed.trace.span(CONNECT);
        assert_error(connect, "has not begun to speak HTTP/2");
    }
}

#[test]
fn the_code_and_the_text_of_the_store_are_in_the_trace() {
    let text = "too many askers";
    let full = Behaviour::Fail(Status::resource_exhausted(text));
    for failed in Failed::each("60s", &full) {
        assert_eq!(failed.code, "RESOURCE_EXHAUSTED");
        failed.assert_failed_spans(text, &[]);
        failed.assert_event(text);
    }
}

#[test]
fn an_answer_that_is_cut_off_fails_the_call_and_the_root() {
    for failed in Failed::each("60s", &Behaviour::CutOff) {
        failed.assert_failed_spans("the connection was ", &[]);
    }
}

#[test]
fn after_a_failure_the_next_trace_has_no_errors() {
    for scene in Scene::each() {
        scene.store.behave(Behaviour::CutOff);
        assert!(scene.trace_of(FAILED_SPANS).root().is_error());
        scene.store.behave(Behaviour::Answer);
        assert!(scene.trace().spans.iter().all(|span| !span.is_error()));
    }
}

#[test]
fn if_one_of_two_stores_refuses_the_connection_only_its_spans_and_the_root_are_errors() {
    let why = "Connection refused";
    let unused = ReservedPort::reserve();
    let down = format!("down=rkt+http://{}", unused.address());
    for scene in Scene::each_with(|service| service.store(&down)) {
        let trace = scene.trace_of(SPANS + 2);
        let is_down = |call: &&Span| tag(call, "imagestore.store") == "down";
        let mut calls = trace.spans_named(LIST_IMAGES).into_iter();
        let call = calls.find(is_down).expect("both stores are asked");
        let [connect] = trace.children_of(call)[..] else {
            panic!("{}", trace.render());
        };
        for span in [call, connect] {
            assert_error(span, why);
            assert_eq!(tag(span, "error.type"), "UNAVAILABLE");
        }
        assert_error(trace.root(), why);
        let description = tag(trace.root(), "otel.status_description");
        assert!(description.starts_with("down: "), "{description}");
        assert!(!description.contains("rkt: "), "{description}");
        let failed = trace.spans.iter().filter(|span| span.is_error());
        assert_eq!(failed.count(), 3, "{}", trace.render());
    }
}
