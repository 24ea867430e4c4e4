//! Sampling, and the limits on attributes, events and links of a span.

use std::time::Duration;

use lab::jaeger_agent::Trace;
use lab::service::{Service, run};

use super::datagrams::Scene;
use super::{LIST_IMAGES, SPANS, store, traces, wait_for_traces};

/// Stops the service and returns its log.
fn log_of(service: &Service) -> String {
    assert!(service.stop().success());
    service.stderr()
}

#[test]
fn a_trace_that_is_not_sampled_is_not_sent_and_its_id_not_shown() {
    for sampler in ["always_off", "parentbased_always_off"] {
        let scene = Scene::with(|service| service.env("OTEL_TRACES_SAMPLER", sampler));
        let status = scene.service.query();
        assert!(!status.contains("trace"), "{status}");
        for outcome in ["exported", "failed", "dropped"] {
            assert_eq!(traces(&scene.service, outcome), 0.0);
        }
        // The store receives no traceparent, or one with the flag "not sampled".
        let calls = scene.store.calls();
        let parent = calls.iter().find_map(|call| call.header("traceparent"));
        assert!(
            parent.is_none_or(|parent| parent.ends_with("-00")),
            "{parent:?}"
        );
        let log = log_of(&scene.service);
        assert!(
            log.contains("images counted") && !log.contains("trace_id"),
            "{log}"
        );
        assert!(scene.agent.next_batch(Duration::ZERO).is_none());
    }
}

#[test]
fn the_query_command_prints_no_trace_id_if_it_is_not_sampled() {
    let store = store();
    let environment = [("OTEL_TRACES_SAMPLER", "always_off")];
    for (format, absent) in [("table", "trace "), ("json", "\"trace_id\": \"")] {
        let url = store.url();
        let arguments = ["query", "--output", format, "--store", &url];
        let output = run(env!("CARGO_BIN_EXE_exp-rkt-grpc"), arguments, &environment);
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(!printed.contains(absent), "{printed}");
        assert_eq!(output.stderr, b"");
    }
}

#[test]
fn with_a_ratio_exactly_the_sampled_traces_are_logged_with_their_id() {
    let scene = Scene::with(|service| {
        service
            .env("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
            .env("OTEL_TRACES_SAMPLER_ARG", "0.5")
    });
    for _ in 0..16 {
        scene.service.query();
    }
    let log = log_of(&scene.service);
    // Everything that was sent has arrived, because loopback delivers at once.
    for _ in 0..log.matches("trace_id=").count() {
        let id = scene.agent.next_trace(Duration::ZERO).id_hex();
        assert!(log.contains(&format!("trace_id={id}")), "{id}: {log}");
    }
    assert!(scene.agent.next_batch(Duration::ZERO).is_none());
}

#[test]
fn a_ratio_of_0_samples_no_trace_and_without_a_ratio_every_trace_is_sampled() {
    for (ratio, sent) in [("0", 0), ("", 3)] {
        let scene = Scene::with(|service| {
            service
                .env("OTEL_TRACES_SAMPLER", "traceidratio")
                .env("OTEL_TRACES_SAMPLER_ARG", ratio)
        });
        for _ in 0..3 {
            scene.service.query();
        }
        wait_for_traces(&scene.service, "exported", sent);
        let log = log_of(&scene.service);
        assert_eq!(log.matches("trace_id=").count(), sent, "{log}");
    }
}

#[test]
fn a_span_has_at_most_the_allowed_attributes_and_events() {
    let scene = Scene::with(|service| {
        service
            .env("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "3")
            .env("OTEL_SPAN_EVENT_COUNT_LIMIT", "0")
    });
    let unlimited = Scene::set().trace();
    let limited = scene.trace();
    assert!(unlimited.spans.iter().any(|span| !span.logs.is_empty()));
    assert!(limited.spans.iter().all(|span| span.logs.is_empty()));
    let attributes_of_call = |trace: &Trace| {
        let tags = &trace.span(LIST_IMAGES).tags;
        let ours = |name: &&String| name.starts_with("rpc.") || name.starts_with("server.");
        tags.keys().filter(ours).count()
    };
    assert!(attributes_of_call(&unlimited) > 3, "{}", unlimited.render());
    assert!(attributes_of_call(&limited) <= 3, "{}", limited.render());
}

#[test]
fn a_link_limit_of_0_has_no_effect() {
    let scene = Scene::with(|service| service.env("OTEL_SPAN_LINK_COUNT_LIMIT", "0"));
    assert_eq!(scene.trace().spans.len(), SPANS);
}
