//! One connection: HTTP/1.1 over a stream, within its limits.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use http::{HeaderValue, Request, Response, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::sleep,
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;

use super::{
    activity::{Activity, Watched},
    connections::Occupancy,
    pages::{self, Page},
};
use crate::metrics::Metrics;

/// How long a client may take to send a request's head; as long an idle connection is kept.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may leave an answer unread once no more of it can be sent.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Most of a request's head that is kept for one connection, in bytes.
const MAX_BUFFER: usize = 16 * 1024;

/// An older connection is closed after its next answer, so that no client keeps its place for ever.
const MAX_AGE: Duration = Duration::from_secs(5 * 60);

/// How long accepted connections that have not asked yet may still ask once the service stops.
const LINGER: Duration = Duration::from_millis(100);

/// What all connections share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) metrics: Metrics,
    pub(super) occupancy: Arc<Occupancy>,
    pub(super) stopping: CancellationToken,
}

impl Shared {
    /// Serves one connection until either end closes it.
    pub(super) async fn serve<S>(self, stream: S, activity: Arc<Activity>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(WRITE_TIMEOUT));
        let stream = Watched::new(Box::pin(stream), Arc::clone(&activity));
        let service = service_fn(async |request| {
            // Requests that come at once are answered one by one: what nobody reads takes the memory of one answer.
            activity.all_taken().await;
            Ok::<_, Infallible>(self.answer(&request, &activity))
        });
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .max_buf_size(MAX_BUFFER)
                // A client that has sent its request and no more will come waits for its answer.
                .half_close(true)
                .serve_connection(TokioIo::new(stream), service)
        );
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = lingered(&self.stopping) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "connection broken");
        }
    }

    fn answer(&self, request: &Request<Incoming>, activity: &Activity) -> Response<Page> {
        let is_stopping = self.stopping.is_cancelled();
        let (path, mut response) = pages::answer(request, &self.metrics, is_stopping);
        if is_stopping || self.occupancy.is_scarce() || activity.age() >= MAX_AGE {
            response
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        self.metrics.http_request(path, response.status().as_str());
        response
    }
}

/// Resolves when the service has been stopping for a moment.
async fn lingered(stopping: &CancellationToken) {
    stopping.cancelled().await;
    sleep(LINGER).await;
}
