//! What there is to see, and the answers to those who ask for anything else.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header, uri::Authority};
use http_body_util::Full;

use crate::metrics::{CONTENT_TYPE, Metrics};

/// An answer's body.
pub(super) type Page = Full<Bytes>;

const LANDING_PAGE: &str = "<!DOCTYPE html>
<html lang=\"en\">
<head><meta charset=\"utf-8\"><title>exp-rkt-grpc</title></head>
<body>
<h1>exp-rkt-grpc</h1>
<p>Counts the images of container image stores when asked by SIGQUIT.</p>
<ul>
<li><a href=\"/metrics\">Metrics</a></li>
<li><a href=\"/-/healthy\">Healthy</a></li>
<li><a href=\"/-/ready\">Ready</a></li>
</ul>
</body>
</html>
";

/// What `/-/ready` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    Ready,
    Stopping,
}

/// The answer, and the path as it is counted: one of a fixed set.
pub(super) fn answer<B>(
    request: &Request<B>,
    metrics: &Metrics,
    readiness: Readiness,
) -> (&'static str, Response<Page>) {
    let (path, mut response) = match request.uri().path() {
        "/metrics" => ("/metrics", exposition(metrics)),
        "/" => ("/", text("text/html; charset=utf-8", LANDING_PAGE)),
        "/-/healthy" => ("/-/healthy", plain(StatusCode::OK, "healthy\n")),
        "/-/ready" if readiness == Readiness::Stopping => (
            "/-/ready",
            plain(StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
        ),
        "/-/ready" => ("/-/ready", plain(StatusCode::OK, "ready\n")),
        _ => ("other", plain(StatusCode::NOT_FOUND, "not found; see /\n")),
    };
    if !names_its_host(request) {
        response = bad_request();
    } else if path != "other" && !matches!(*request.method(), Method::GET | Method::HEAD) {
        response = method_not_allowed();
    }
    (path, response)
}

/// Whether there is one valid Host, or in HTTP/1.0 none (RFC 9112, section 3.2).
fn names_its_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.is_empty() || Authority::try_from(host.as_bytes()).is_ok(),
        (None, None) => request.version() < Version::HTTP_11,
        _ => false,
    }
}

fn exposition(metrics: &Metrics) -> Response<Page> {
    match metrics.encode() {
        Ok(body) => text(CONTENT_TYPE, body),
        Err(error) => {
            tracing::error!(%error, "metrics not encoded");
            plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "metrics not encoded; see the log\n",
            )
        }
    }
}

/// Who does not follow the protocol may mean anything by what comes next.
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
