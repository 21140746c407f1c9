//! The HTTP server on loopback.

use std::{
    error::Error,
    future::poll_fn,
    io::{self, Write},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use hyper::{
    HeaderMap, Response,
    body::Incoming,
    header::{self, HeaderName, HeaderValue},
    http::request::Parts,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::sleep,
};

use super::{
    api::{Api, HttpAnswer},
    call::Request,
    options::{SandboxError, SandboxOptions},
    timed_body::TimedBody,
};

/// The pause before connections are accepted again after a failure, for example without free file descriptors.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);

/// How long responses are delayed.
#[derive(Clone, Copy)]
struct Waits {
    /// Every response, before it.
    latency: Duration,
    /// Responses that stall.
    stall: Duration,
}

/// A running sandbox. It runs until it is closed or dropped.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Sandbox {
    /// Makes the market and listens. A recorded market is read first, which takes about half a second for a million
    /// bars.
    ///
    /// # Errors
    /// If the address is not one of loopback or cannot be used, or if the recorded market cannot be read.
    pub async fn start(options: SandboxOptions) -> Result<Self, SandboxError> {
        let address = options.listen;
        if !address.ip().is_loopback() {
            return Err(SandboxError::NotLoopback { address });
        }
        let api = Arc::new(Api::new(&options)?);
        let bind = |source| SandboxError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let waits = Waits {
            latency: options.latency,
            stall: options.faults.map(|faults| faults.stall).unwrap_or_default(),
        };
        let accepting = tokio::spawn(accept(listener, api, waits));
        Ok(Self { address, accepting })
    }

    /// Its URL, such as `http://127.0.0.1:49152`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends it, as dropping does, and waits until the port is free and every connection is closed.
    pub async fn closed(mut self) {
        self.accepting.abort();
        // The task ends as cancelled, which is not an error here.
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Accepts connections until it is aborted, which closes them too.
async fn accept(listener: TcpListener, api: Arc<Api>, waits: Waits) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, Arc::clone(&api), waits));
                }
                Err(error) => {
                    tracing::warn!(%error, "the sandbox cannot take a connection");
                    sleep(PAUSE_AFTER_FAILURE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Answers the requests of one connection, one after the other, for as long as the client keeps it open.
async fn serve(stream: TcpStream, api: Arc<Api>, waits: Waits) {
    // Responses are sent at once: to wait for more data would cost 40 ms a request.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let api = Arc::clone(&api);
        Box::pin(async move {
            sleep(waits.latency).await;
            respond(api, request, waits.stall).await
        })
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let served = poll_fn(|context| connection.poll_without_shutdown(context)).await;
    let Err(error) = served else { return };
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    if cause.is_some_and(|cause| cause.kind() == io::ErrorKind::ConnectionReset) {
        // A fault requested a reset: from here on, closing sends an RST.
        let _ = connection.into_parts().io.inner().set_zero_linger();
    }
    tracing::debug!(%error, "a connection to the sandbox broke");
}

/// Makes and packs the response to a request, on a thread that may block.
async fn respond(
    api: Arc<Api>,
    request: hyper::Request<Incoming>,
    stall: Duration,
) -> io::Result<Response<TimedBody>> {
    let (parts, _) = request.into_parts();
    let answering = move || {
        let answer = api.answer(&taken_apart(&parts));
        let fault = answer.fault;
        packed(answer, accepts_gzip(&parts.headers)).map(|response| (response, fault))
    };
    let (response, fault) = tokio::task::spawn_blocking(answering).await??;
    match fault {
        Some(fault) => fault.send(response, stall).await,
        None => Ok(response.map(|bytes| TimedBody::whole(bytes.into()))),
    }
}

fn taken_apart(parts: &Parts) -> Request {
    let header = |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let bearer = header(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    Request {
        method: parts.method.clone(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        bearer: bearer.map(str::to_owned),
        host: header(header::HOST).unwrap_or("localhost").to_owned(),
    }
}

/// Whether the client accepts gzip: it names it with a weight other than zero.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        name.trim() == "gzip" && weight.trim() != "q=0"
    })
}

/// Makes the HTTP response, without faults of the transfer.
fn packed(answer: HttpAnswer, as_gzip: bool) -> io::Result<Response<Vec<u8>>> {
    let content_type = answer.content.kind();
    // An empty body is not compressed: compressed, it would have a length.
    let as_gzip = as_gzip && content_type.is_some();
    let body = answer.content.into_bytes();
    let body = if as_gzip { gzipped(&body)? } else { body };
    let mut response = Response::new(body);
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.extend(content_type.map(|kind| (header::CONTENT_TYPE, HeaderValue::from_static(kind))));
    headers.extend(answer.retry_after.map(|seconds| (header::RETRY_AFTER, HeaderValue::from(seconds))));
    // Without one, the server would set the system's time, not the sandbox's.
    headers.extend(HeaderValue::try_from(http_date(answer.now_ms)).map(|date| (header::DATE, date)));
    headers.insert(header::SERVER, HeaderValue::from_static("nginx/1.19.2"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    headers.extend(
        HeaderValue::try_from(answer.request_id).map(|id| (HeaderName::from_static("x-request-id"), id)),
    );
    if as_gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

/// An instant (UTC ms) in the form of the header `Date` (RFC 9110, section 5.6.7).
fn http_date(ms: i64) -> String {
    let at = Timestamp::from_millisecond(ms).unwrap_or_default();
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn gzipped(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}
