//! The loopback door: a small HTTP server that knows one path and waits for one answer (RFC 8252 section 7.3).
//!
//! It listens on loopback addresses alone and serves whoever connects, all at once and briefly, so that a silent or a
//! hostile connection never stands in the way of the right one. The first request with our state becomes a
//! [`Callback`]; the browser behind it is kept waiting until the [`Reply`] tells it the truth. When the listener is
//! dropped the port is free again, and only a browser that still waits for its reply keeps its connection.

mod answer;
mod connections;

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
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
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{self, AbortHandle};
use tokio::time;

use super::authorization::{CALLBACK_PATH, RedirectUri};
use super::callback::{AuthorizationCode, CallbackError, ExpectedResponse, Verdict, parse};
use super::page::Outcome;
use answer::Page;
use connections::Connections;

/// How long a connection may take to say what it wants.
const REQUEST_BOUND: Duration = Duration::from_secs(10);
/// The longest request line and headers, in bytes.
const REQUEST_LIMIT: usize = 16 * 1024;
/// How long a finished login waits for its page to be taken.
const REPLY_BOUND: Duration = Duration::from_secs(2);
/// The pause after a connection could not be accepted although none is open that could give way.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How many connections may wait to be accepted, as far as the operating system agrees.
const QUEUE: u32 = 1024;
/// How many ports are tried when any will do, since one that is free in one family may be taken in the other.
const PORT_ATTEMPTS: usize = 16;
/// The first byte of a TLS handshake (RFC 8446 section 5.1): a browser that turned `http` into `https`.
const TLS_HANDSHAKE: u8 = 0x16;

/// Why there is no door.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another program has the port, on one address family at least; the browser might go there.
    #[error("port {0} is taken by another program")]
    PortTaken(u16),
    /// The port cannot be had for another reason.
    #[error("could not listen on port {port}")]
    Bind {
        /// The port.
        port: u16,
        /// What the operating system says.
        source: io::Error,
    },
}

/// The port is ours, and nothing is served yet: connections wait until [`serve`](Self::serve) knows what to expect.
#[derive(Debug)]
pub struct CallbackListener {
    v4: Option<TcpListener>,
    v6: Option<TcpListener>,
    port: u16,
}

impl CallbackListener {
    /// Takes `port` on 127.0.0.1 and on `::1`, as far as this machine has both; 0 stands for any free port.
    ///
    /// Both addresses are bound by themselves, so no other program gets what a browser sends to either of them. Linux
    /// refuses the bind as soon as anyone listens there, be it through a wildcard address: `SO_REUSEADDR`, which is
    /// set on Unix, only lets a port be taken whose old connections are still fading. Where a wildcard listener is
    /// tolerated (BSD, macOS, Windows), the exact address wins. `SO_REUSEPORT` is not set. Windows'
    /// `SO_EXCLUSIVEADDRUSE` cannot be set without unsafe code: there, another program of the same person could
    /// take the port from us on purpose. Must be called within a tokio runtime.
    pub fn bind(port: u16) -> Result<Self, ListenError> {
        let mut attempts = if port == 0 { PORT_ATTEMPTS } else { 1 };
        loop {
            attempts -= 1;
            match Self::bind_both(port) {
                Err(ListenError::PortTaken(_)) if attempts > 0 => {}
                outcome => return outcome,
            }
        }
    }

    fn bind_both(port: u16) -> Result<Self, ListenError> {
        let v4 = bind_one(Ipv4Addr::LOCALHOST.into(), port)?;
        let port = v4.as_ref().map_or(Ok(port), local_port)?;
        let v6 = bind_one(Ipv6Addr::LOCALHOST.into(), port)?;
        let port = v6.as_ref().map_or(Ok(port), local_port)?;
        if v4.is_none() && v6.is_none() {
            return Err(ListenError::Bind { port, source: io::ErrorKind::AddrNotAvailable.into() });
        }
        Ok(Self { v4, v6, port })
    }

    /// Where the browser is to be sent back to.
    pub fn redirect_uri(&self) -> RedirectUri {
        RedirectUri::new(self.port)
    }

    /// Whether it listens on 127.0.0.1, and whether on `::1`.
    pub fn has(&self) -> (bool, bool) {
        (self.v4.is_some(), self.v6.is_some())
    }

    /// Opens the door for the answer to one attempt. Must be called within a tokio runtime.
    pub fn serve(self, expected: ExpectedResponse) -> Callbacks {
        let (events, received) = mpsc::unbounded_channel();
        let attempt = Arc::new(Attempt {
            expected,
            port: self.port,
            events,
            claimed_by: OnceLock::new(),
            tls_told: AtomicBool::new(false),
        });
        Callbacks { received, server: task::spawn(accept(self.v4, self.v6, attempt)).abort_handle() }
    }
}

/// Binds one address. A family that this machine does not have is `None`.
fn bind_one(address: IpAddr, port: u16) -> Result<Option<TcpListener>, ListenError> {
    match listen((address, port).into()) {
        Ok(listener) => Ok(Some(listener)),
        Err(error) => match refusal(error.kind(), cfg!(windows)) {
            Refusal::Taken => Err(ListenError::PortTaken(port)),
            Refusal::Forbidden => Err(ListenError::Bind { port, source: error }),
            Refusal::NoFamily => {
                tracing::debug!(%address, %error, "no such address family");
                Ok(None)
            }
        },
    }
}

/// Why an address could not be bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Taken,
    Forbidden,
    NoFamily,
}

/// Windows has two answers for a port that somebody else has: the usual one, and that of missing rights (`WSAEACCES`)
/// where it is held exclusively, or kept for somebody.
fn refusal(kind: io::ErrorKind, windows: bool) -> Refusal {
    match kind {
        io::ErrorKind::AddrInUse => Refusal::Taken,
        io::ErrorKind::PermissionDenied if windows => Refusal::Taken,
        io::ErrorKind::PermissionDenied => Refusal::Forbidden,
        _ => Refusal::NoFamily,
    }
}

/// The command that tells which program has a port.
pub fn who_has(port: u16) -> String {
    if cfg!(windows) { format!("netstat -ano | findstr :{port}") } else { format!("lsof -i :{port}") }
}

/// As `TcpListener::bind` does it, with more room in the queue: the 128 that it asks for are soon filled, and whoever comes
/// then is heard a second later at the earliest.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(QUEUE)
}

fn local_port(listener: &TcpListener) -> Result<u16, ListenError> {
    listener.local_addr().map(|address| address.port()).map_err(|source| ListenError::Bind { port: 0, source })
}

/// The open door. Dropping it closes the port.
#[derive(Debug)]
pub struct Callbacks {
    received: mpsc::UnboundedReceiver<Event>,
    server: AbortHandle,
}

/// What happens at the door.
#[derive(Debug)]
pub enum Event {
    /// The issuer has answered; nothing more will come.
    Callback(Callback),
    /// A browser has tried https, which nobody speaks here, and will not get through; told once.
    TlsAttempt,
}

/// The answer of the issuer, and the browser that brought it and waits.
#[derive(Debug)]
pub struct Callback {
    /// The code, or why the login ended.
    pub result: Result<AuthorizationCode, CallbackError>,
    /// What the browser is answered with.
    pub reply: Reply,
}

impl Callbacks {
    /// Waits for the next event. Cancel safe: what has happened is not lost when this future is dropped.
    pub async fn next(&mut self) -> Event {
        match self.received.recv().await {
            Some(event) => event,
            // The server task holds a sender for as long as `self` lives.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Callbacks {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The browser's open request. Dropped without [`send`](Self::send), it gets a page that says the login failed.
#[derive(Debug)]
#[must_use = "a browser is waiting"]
pub struct Reply {
    page: oneshot::Sender<Page>,
    closed: oneshot::Receiver<()>,
}

impl Reply {
    /// Answers the browser, and returns when the page has been written, the browser has gone, or two seconds are over.
    pub async fn send(self, outcome: &Outcome<'_>) {
        if self.page.send(Page::of(outcome)).is_ok() {
            let _: Result<_, time::error::Elapsed> = time::timeout(REPLY_BOUND, self.closed).await;
        }
    }
}

/// What all connections of one attempt share.
struct Attempt {
    expected: ExpectedResponse,
    port: u16,
    events: mpsc::UnboundedSender<Event>,
    /// The task of the connection that brought the answer. Set once: that makes a second delivery harmless.
    claimed_by: OnceLock<task::Id>,
    tls_told: AtomicBool,
}

async fn accept(v4: Option<TcpListener>, v6: Option<TcpListener>, attempt: Arc<Attempt>) {
    let mut connections = Connections::new(Arc::clone(&attempt));
    loop {
        let accepted = tokio::select! {
            accepted = accept_one(v4.as_ref()) => accepted,
            accepted = accept_one(v6.as_ref()) => accepted,
        };
        match accepted {
            Ok(stream) => connections.add(task::spawn(serve(stream, Arc::clone(&attempt))).abort_handle()).await,
            // It has gone while it waited.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::debug!(%error, "could not accept a connection");
                // Too many files are open, most likely, and these connections are many of them.
                if connections.count() == 0 || !connections.give_way().await {
                    time::sleep(ACCEPT_PAUSE).await;
                }
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

/// Serves one connection, which gets one answer.
async fn serve(stream: TcpStream, attempt: Arc<Attempt>) {
    let mut first = [0];
    match time::timeout(REQUEST_BOUND, stream.peek(&mut first)).await {
        Ok(Ok(1)) if first[0] == TLS_HANDSHAKE => {
            if !attempt.tls_told.swap(true, Ordering::Relaxed) {
                let _: Result<(), _> = attempt.events.send(Event::TlsAttempt);
            }
            return;
        }
        Ok(Ok(1)) => {}
        // Closed, broken or silent.
        _ => return,
    }
    // `open` is dropped with this function, which tells the reply that the connection is closed.
    let (open, closed) = oneshot::channel();
    // There is one request a connection, which hyper's interface does not know.
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
        // A browser that has gone has still brought what it sent; else it would be chance whether that counts.
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
    // A page of someone else's can make its name resolve to this machine; its requests still carry that name.
    if !is_addressed_to(request, attempt.port) {
        return Page::refused(StatusCode::FORBIDDEN, "This request was meant for another host.").into();
    }
    if request.uri().path() != CALLBACK_PATH {
        return Page::refused(StatusCode::NOT_FOUND, "There is nothing here.").into();
    }
    match *request.method() {
        Method::GET => {}
        // Answered and forgotten, so that a preview does not use up the code.
        Method::HEAD => return Page { status: StatusCode::OK, html: String::new() }.into(),
        _ => {
            let mut response: Response<_> =
                Page::refused(StatusCode::METHOD_NOT_ALLOWED, "This address can only be opened.").into();
            response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
            return response;
        }
    }
    let result = match parse(request.uri().query().unwrap_or_default(), &attempt.expected) {
        Ok(code) => Ok(code),
        Err(Verdict::Ended(error)) => Err(error),
        Err(Verdict::Stranger(stranger)) => {
            tracing::debug!(%stranger, "a callback that is not for this login");
            let detail =
                "It belongs to another login, perhaps one in an older tab. The login in your terminal goes on.";
            return Page::refused(StatusCode::BAD_REQUEST, detail).into();
        }
    };
    match closed {
        Some(closed) if attempt.claimed_by.set(task::id()).is_ok() => deliver(result, closed, attempt).await.into(),
        _ => Page::refused(StatusCode::OK, "This login has been answered already. Go back to the terminal.").into(),
    }
}

/// Hands the answer over and waits for the page to show for it.
async fn deliver(
    result: Result<AuthorizationCode, CallbackError>,
    closed: oneshot::Receiver<()>,
    attempt: &Attempt,
) -> Page {
    let (page, told) = oneshot::channel();
    let callback = Callback { result, reply: Reply { page, closed } };
    // Where nobody receives it, the reply is dropped right here.
    let _: Result<(), _> = attempt.events.send(Event::Callback(callback));
    told.await.unwrap_or_else(|_| {
        Page::of(&Outcome::Failed { title: "The login did not finish", detail: "The terminal says why." })
    })
}

/// Whether the one `Host` header names this listener, and the request line no host at all.
fn is_addressed_to(request: &Request<Incoming>, port: u16) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (Some(host), None, None) = (hosts.next(), hosts.next(), request.uri().authority()) else { return false };
    ["localhost", "127.0.0.1", "[::1]"]
        .iter()
        .any(|name| host.as_bytes().eq_ignore_ascii_case(format!("{name}:{port}").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lb_3_port_in_use_detected_by_error_of_each_system() {
        let table = [
            (io::ErrorKind::AddrInUse, Refusal::Taken, Refusal::Taken),
            (io::ErrorKind::PermissionDenied, Refusal::Forbidden, Refusal::Taken),
            (io::ErrorKind::AddrNotAvailable, Refusal::NoFamily, Refusal::NoFamily),
            (io::ErrorKind::Unsupported, Refusal::NoFamily, Refusal::NoFamily),
        ];
        for (kind, elsewhere, on_windows) in table {
            assert_eq!((refusal(kind, false), refusal(kind, true)), (elsewhere, on_windows), "{kind}");
        }
    }

    /// The numbers are Windows' own, and what the standard library makes of them is what the table above goes by.
    #[cfg(windows)]
    #[test]
    fn lb_3_windows_errors_have_these_kinds() {
        assert_eq!(io::Error::from_raw_os_error(10048).kind(), io::ErrorKind::AddrInUse);
        assert_eq!(io::Error::from_raw_os_error(10013).kind(), io::ErrorKind::PermissionDenied);
    }
}
