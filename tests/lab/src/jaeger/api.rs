//! Jaeger's HTTP query API, version 1: what its user interface is built on.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::Value as Json;

use crate::jaeger_agent::{Log, Process, Span, Trace, Value};
use crate::poll::eventually;
use crate::service::http;

/// The query API of a Jaeger.
#[derive(Clone, Copy, Debug)]
pub struct Api {
    address: SocketAddr,
}

impl Api {
    /// The API at this address.
    pub fn at(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it answers.
    pub fn answers(&self) -> bool {
        self.get("/api/services").is_some()
    }

    /// The names of the services that it has traces of.
    pub fn services(&self) -> Vec<String> {
        strings(&self.get("/api/services").unwrap_or_default())
    }

    /// The names of a service's spans.
    pub fn operations(&self, service: &str) -> Vec<String> {
        let path = format!("/api/services/{}/operations", encoded(service));
        strings(&self.get(&path).unwrap_or_default())
    }

    /// The ids of the traces that a search finds, as in the user interface: `service` is required; others are `operation` and
    /// `tags`, an object in JSON.
    pub fn search(&self, parameters: &[(&str, &str)]) -> Vec<u128> {
        let query: Vec<_> = parameters
            .iter()
            .map(|(name, value)| format!("{name}={}", encoded(value)))
            .collect();
        let found = self.get(&format!("/api/traces?limit=1000&{}", query.join("&")));
        let found = found.unwrap_or_default();
        let traces = found.as_array().into_iter().flatten();
        traces.map(|trace| number(&trace["traceID"])).collect()
    }

    /// Waits until the trace of this id has at least `spans` spans of this service, and returns those of this service.
    ///
    /// The id is that of the log: 32 hex digits.
    #[track_caller]
    pub fn trace(&self, id: &str, service: &str, spans: usize) -> Trace {
        eventually(&format!("{spans} spans of {service} in trace {id}"), || {
            let trace = self.find(id, service)?;
            (trace.spans.len() >= spans).then_some(trace)
        })
    }

    /// The spans of this service in the trace of this id; `None` if there are none (yet).
    pub fn find(&self, id: &str, service: &str) -> Option<Trace> {
        let found = self.get(&format!("/api/traces/{id}"))?;
        let trace = found.get(0)?;
        let of_service = |process: &str| trace["processes"][process]["serviceName"] == service;
        let spans = trace["spans"].as_array()?.iter();
        let spans: Vec<_> = spans
            .filter(|span| of_service(text(&span["processID"])))
            .collect();
        let process = &trace["processes"][text(&spans.first()?["processID"])];
        Some(Trace {
            process: Process {
                service: service.to_owned(),
                tags: tags(&process["tags"]),
            },
            spans: spans.into_iter().map(span).collect(),
        })
    }

    /// The `data` of the answer; `None` if there is no answer, or an error.
    fn get(&self, path: &str) -> Option<Json> {
        let response = http::get(self.address, path).ok()?;
        let mut answer: Json = serde_json::from_slice(&response.body).ok()?;
        (response.status == 200).then(|| answer["data"].take())
    }
}

fn span(span: &Json) -> Span {
    let references = span["references"].as_array().into_iter().flatten();
    let mut parents = references.filter(|reference| reference["refType"] == "CHILD_OF");
    Span {
        trace_id: number(&span["traceID"]),
        span_id: number(&span["spanID"]) as u64,
        parent_span_id: parents.next().map_or(0, |parent| number(&parent["spanID"])) as u64,
        operation: text(&span["operationName"]).to_owned(),
        // The API does not have the flags.
        flags: 0,
        start_micros: span["startTime"].as_i64().expect("a span has a start"),
        duration_micros: span["duration"].as_i64().expect("a span has a duration"),
        tags: tags(&span["tags"]),
        logs: span["logs"]
            .as_array()
            .into_iter()
            .flatten()
            .map(log)
            .collect(),
    }
}

fn log(log: &Json) -> Log {
    Log {
        timestamp_micros: log["timestamp"].as_i64().expect("a log has a time"),
        fields: tags(&log["fields"]),
    }
}

fn tags(tags: &Json) -> BTreeMap<String, Value> {
    let tags = tags.as_array().into_iter().flatten();
    tags.map(|tag| (text(&tag["key"]).to_owned(), value(tag)))
        .collect()
}

fn value(tag: &Json) -> Value {
    let value = &tag["value"];
    match text(&tag["type"]) {
        "bool" => value.as_bool().map(Value::Bool),
        "int64" => value.as_i64().map(Value::Long),
        "float64" => value.as_f64().map(Value::Double),
        _ => value.as_str().map(|text| Value::String(text.to_owned())),
    }
    .unwrap_or_else(|| panic!("not a tag: {tag}"))
}

fn text(value: &Json) -> &str {
    value.as_str().unwrap_or_default()
}

fn strings(values: &Json) -> Vec<String> {
    let values = values.as_array().into_iter().flatten();
    values.map(|value| text(value).to_owned()).collect()
}

/// A trace id or span id.
fn number(digits: &Json) -> u128 {
    u128::from_str_radix(text(digits), 16).expect("an id is hexadecimal")
}

/// Percent-encoded for a path or a query.
fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
