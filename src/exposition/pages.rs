//! The pages, and the answers to other requests.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header, uri::Authority,
};
use http_body_util::Full;

use super::negotiation;
use crate::{
    metrics::{Coding, Metrics},
    status::{CONTENT_SECURITY_POLICY, Status},
};

pub(super) type Page = Full<Bytes>;

/// The state that `/-/ready` reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    Ready,
    Stopping,
}

/// The answer, and the path that the metrics count: one of a fixed set.
pub(super) fn answer<B>(
    request: &Request<B>,
    metrics: &Metrics,
    status: &Status,
    readiness: Readiness,
) -> (&'static str, Response<Page>) {
    let (path, mut response) = match request.uri().path() {
        "/metrics" => ("/metrics", exposition(request.headers(), metrics)),
        "/" => ("/", status_page(status)),
        "/-/healthy" => ("/-/healthy", plain(StatusCode::OK, "healthy\n")),
        "/-/ready" if readiness == Readiness::Stopping => (
            "/-/ready",
            plain(StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
        ),
        "/-/ready" => ("/-/ready", plain(StatusCode::OK, "ready\n")),
        _ => ("other", plain(StatusCode::NOT_FOUND, "not found; see /\n")),
    };
    if !has_valid_host(request) {
        response = bad_request();
    } else if path != "other" && !matches!(*request.method(), Method::GET | Method::HEAD) {
        response = method_not_allowed();
    }
    (path, response)
}

/// Whether there is exactly one Host header and it is valid; HTTP/1.0 needs none (RFC 9112, section 3.2).
fn has_valid_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.is_empty() || Authority::try_from(host.as_bytes()).is_ok(),
        (None, None) => request.version() < Version::HTTP_11,
        _ => false,
    }
}

fn exposition(headers: &HeaderMap, metrics: &Metrics) -> Response<Page> {
    let format = negotiation::format(headers);
    let coding = negotiation::coding(headers);
    match metrics.encode(format, coding) {
        Ok(body) => {
            let mut response = text(format.content_type(), body);
            let headers = response.headers_mut();
            headers.insert(header::VARY, HeaderValue::from_static(negotiation::VARY));
            if coding == Coding::Gzip {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            response
        }
        Err(error) => {
            tracing::error!(%error, "metrics not encoded");
            plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "metrics not encoded; see the log\n",
            )
        }
    }
}

fn status_page(status: &Status) -> Response<Page> {
    let mut response = text("text/html; charset=utf-8", status.page());
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Closes the connection: after a protocol error, the bytes that follow cannot be interpreted safely.
fn bad_request() -> Response<Page> {
    let mut response = plain(
        StatusCode::BAD_REQUEST,
        "HTTP/1.1 requires exactly one valid Host header\n",
    );
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

fn method_not_allowed() -> Response<Page> {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

fn plain(status: StatusCode, body: &'static str) -> Response<Page> {
    let mut response = text("text/plain; charset=utf-8", body);
    *response.status_mut() = status;
    response
}

fn text(content_type: &'static str, body: impl Into<Bytes>) -> Response<Page> {
    let mut response = Response::new(Full::new(body.into()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}
