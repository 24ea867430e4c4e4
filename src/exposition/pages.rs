//! The pages, and the answers to other requests.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header, uri::Authority,
};
use http_body_util::Full;

use super::negotiation;
use crate::metrics::{Coding, Metrics};

pub(super) type Page = Full<Bytes>;

const LANDING_PAGE: &str = "<!DOCTYPE html>
<html lang=\"en\">
<head><meta charset=\"utf-8\"><title>exp-rkt-grpc</title></head>
<body>
<h1>exp-rkt-grpc</h1>
<p>Counts the images of container image stores when sent SIGQUIT.</p>
<ul>
<li><a href=\"/metrics\">Metrics</a></li>
<li><a href=\"/-/healthy\">Healthy</a></li>
<li><a href=\"/-/ready\">Ready</a></li>
</ul>
</body>
</html>
";

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
    readiness: Readiness,
) -> (&'static str, Response<Page>) {
    let (path, mut response) = match request.uri().path() {
        "/metrics" => ("/metrics", exposition(request.headers(), metrics)),
        "/" => ("/", text("text/html; charset=utf-8", LANDING_PAGE)),
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
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
