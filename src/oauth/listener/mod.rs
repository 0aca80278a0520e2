//! The callback listener: a small HTTP server that knows one path and waits for one response (RFC 8252 section 7.3).
//!
//! It listens on loopback addresses only and serves all connections concurrently and briefly, so that a silent or hostile
//! connection never blocks the callback. The first request with our state becomes a [`Callback`]; its browser waits for
//! the [`Reply`], which reports the outcome of the login, and a reload is answered at once. Dropping [`Callbacks`] closes
//! the port and every connection except the one that waits for its reply.

mod bind;
mod connections;
mod response;

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{self, AbortHandle};
use tokio::time;

use super::authorization::CALLBACK_PATH;
use super::callback::{AuthorizationCode, CallbackError, ExpectedResponse, Rejection, parse};
use super::page::Outcome;
use connections::Connections;
use response::HtmlResponse;

pub use bind::{CallbackListener, ListenError, port_owner_command};

const REQUEST_BOUND: Duration = Duration::from_secs(10);
/// The longest request line and headers, in bytes.
const REQUEST_LIMIT: usize = 16 * 1024;
const REPLY_BOUND: Duration = Duration::from_secs(2);
/// The pause after a connection could not be accepted and none could be closed instead.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The first byte of a TLS handshake (RFC 8446 section 5.1), from a browser that changed `http` to `https`.
const TLS_HANDSHAKE: u8 = 0x16;

/// The running listener. Dropping it closes the port.
#[derive(Debug)]
pub struct Callbacks {
    received: mpsc::UnboundedReceiver<Event>,
    server: AbortHandle,
}

#[derive(Debug)]
pub enum Event {
    Callback(Callback),
    /// A browser tried https, which is not supported. Reported once.
    TlsAttempt,
}

#[derive(Debug)]
pub struct Callback {
    pub result: Result<AuthorizationCode, CallbackError>,
    pub reply: Reply,
}

impl Callbacks {
    fn serve(v4: Option<TcpListener>, v6: Option<TcpListener>, port: u16, expected: ExpectedResponse) -> Self {
        let (events, received) = mpsc::unbounded_channel();
        let (claimed_by, tls_reported) = (OnceLock::new(), AtomicBool::new(false));
        let attempt = Arc::new(Attempt { expected, port, events, claimed_by, tls_reported });
        Self { received, server: task::spawn(accept(v4, v6, attempt)).abort_handle() }
    }

    /// Waits for the next event. Cancel safe: no event is lost when this future is dropped.
    pub async fn next(&mut self) -> Event {
        match self.received.recv().await {
            Some(event) => event,
            // Unreachable: the server task holds a sender while `self` lives.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Callbacks {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The browser's open request. Dropped without [`send`](Self::send), the browser gets a page that the login failed.
#[derive(Debug)]
#[must_use = "a browser is waiting"]
pub struct Reply {
    response: oneshot::Sender<HtmlResponse>,
    closed: oneshot::Receiver<()>,
}

impl Reply {
    /// Sends the page to the browser. Returns when it is written, the browser is gone, or two seconds have passed.
    pub async fn send(self, outcome: &Outcome<'_>) {
        if self.response.send(HtmlResponse::of(outcome)).is_ok() {
            let _: Result<_, time::error::Elapsed> = time::timeout(REPLY_BOUND, self.closed).await;
        }
    }
}

/// The state that all connections of one login attempt share.
struct Attempt {
    expected: ExpectedResponse,
    port: u16,
    events: mpsc::UnboundedSender<Event>,
    /// The task of the connection that delivered the callback. Set once, so a second delivery is ignored.
    claimed_by: OnceLock<task::Id>,
    tls_reported: AtomicBool,
}

async fn accept(v4: Option<TcpListener>, v6: Option<TcpListener>, attempt: Arc<Attempt>) {
    let mut connections = Connections::new(Arc::clone(&attempt));
    loop {
        let accepted = tokio::select! {
            accepted = accept_one(v4.as_ref()) => accepted,
            accepted = accept_one(v6.as_ref()) => accepted,
        };
        match accepted {
            Ok(stream) => {
                connections.add(task::spawn(serve(stream, Arc::clone(&attempt))).abort_handle());
                // Requests that have arrived are read before the next connection could close theirs.
                task::yield_now().await;
            }
            // The client closed the connection before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::debug!(%error, "could not accept a connection");
                // Most likely the process has too many open files.
                if !connections.close_oldest() {
                    time::sleep(ACCEPT_PAUSE).await;
                }
                task::yield_now().await;
            }
        }
    }
}

async fn accept_one(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

async fn serve(stream: TcpStream, attempt: Arc<Attempt>) {
    let mut first = [0];
    match time::timeout(REQUEST_BOUND, stream.peek(&mut first)).await {
        Ok(Ok(1)) if first[0] == TLS_HANDSHAKE => {
            if !attempt.tls_reported.swap(true, Ordering::Relaxed) {
                let _: Result<(), _> = attempt.events.send(Event::TlsAttempt);
            }
            return;
        }
        Ok(Ok(1)) => {}
        // Closed, failed or silent.
        _ => return,
    }
    // `open` is dropped at the end of this function, and so ends the wait in `Reply::send`.
    let (open, closed) = oneshot::channel();
    // Taken by the only request: hyper's `service_fn` could be called more than once.
    let closed = Cell::new(Some(closed));
    let service = service_fn(move |request| {
        let (closed, attempt) = (closed.take(), Arc::clone(&attempt));
        async move { Ok::<_, Infallible>(respond(&request, &attempt, closed).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_BOUND)
        .max_buf_size(REQUEST_LIMIT)
        .keep_alive(false)
        // A request counts even if the browser closes the connection right after it.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection to the callback port failed");
    }
    drop(open);
}

async fn respond(
    request: &Request<Incoming>,
    attempt: &Attempt,
    closed: Option<oneshot::Receiver<()>>,
) -> Response<Full<Bytes>> {
    // DNS rebinding: a foreign page's host name can resolve to this machine, but its requests carry that name.
    if !is_addressed_to(request, attempt.port) {
        return HtmlResponse::refused(StatusCode::FORBIDDEN, "The request names another host.").into();
    }
    if request.uri().path() != CALLBACK_PATH {
        return HtmlResponse::refused(StatusCode::NOT_FOUND, "Page not found.").into();
    }
    match *request.method() {
        Method::GET => {}
        // Ignored, so that a link preview does not use up the code.
        Method::HEAD => return HtmlResponse { status: StatusCode::OK, html: String::new() }.into(),
        _ => {
            let mut response: Response<_> =
                HtmlResponse::refused(StatusCode::METHOD_NOT_ALLOWED, "Only GET is supported.").into();
            response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
            return response;
        }
    }
    // Refused with an error, so that the browser discards it and asks again when the user opens the page.
    if is_prefetch(request) {
        return HtmlResponse::refused(StatusCode::SERVICE_UNAVAILABLE, "It came before the page was opened.").into();
    }
    let result = match parse(request.uri().query().unwrap_or_default(), &attempt.expected) {
        Ok(code) => Ok(code),
        Err(Rejection::Final(error)) => Err(error),
        Err(Rejection::Unrelated(unrelated)) => {
            tracing::debug!(%unrelated, "ignored an unrelated callback");
            let detail = "It belongs to another login attempt, perhaps in an older tab.";
            return HtmlResponse::refused(StatusCode::BAD_REQUEST, detail).into();
        }
    };
    match closed {
        Some(closed) if attempt.claimed_by.set(task::id()).is_ok() => deliver(result, closed, attempt).await.into(),
        _ => HtmlResponse::of(&Outcome::Repeated).into(),
    }
}

async fn deliver(
    result: Result<AuthorizationCode, CallbackError>,
    closed: oneshot::Receiver<()>,
    attempt: &Attempt,
) -> HtmlResponse {
    let (response, received) = oneshot::channel();
    let callback = Callback { result, reply: Reply { response, closed } };
    // Without a receiver, the reply is dropped right here.
    let _: Result<(), _> = attempt.events.send(Event::Callback(callback));
    received.await.unwrap_or_else(|_| HtmlResponse::of(&Outcome::Failed { detail: "See the terminal for the cause." }))
}

/// Returns `true` for a request that a browser makes before the user opens the page.
fn is_prefetch(request: &Request<Incoming>) -> bool {
    let values =
        ["sec-purpose", "purpose", "x-purpose", "x-moz"].iter().flat_map(|name| request.headers().get_all(*name));
    let words = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split([';', ',']));
    words.map(str::trim).any(|word| ["prefetch", "prerender", "preview"].iter().any(|it| word.eq_ignore_ascii_case(it)))
}

/// Returns whether the request has one `Host` header, which names this listener, and no host in its request line.
fn is_addressed_to(request: &Request<Incoming>, port: u16) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (Some(host), None, None) = (hosts.next(), hosts.next(), request.uri().authority()) else { return false };
    ["localhost", "127.0.0.1", "[::1]"]
        .iter()
        .any(|name| host.as_bytes().eq_ignore_ascii_case(format!("{name}:{port}").as_bytes()))
}
