//! A callback listener with a known state, and raw requests to it.

use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::time::Duration;

use astro_login::oauth::page::Outcome;
use astro_login::oauth::{
    Callback, CallbackListener, Callbacks, Event, ExpectedResponse, Issuer, Random, RandomError, State,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The state of every login here: 32 zeros in base64url.
pub const STATE: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The time limit of each step, so that a test fails instead of hanging.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub const CONFIRMED: Outcome<'static> = Outcome::Confirmed { account: "ada@example.com", question: false };

struct Zeros;

impl Random for Zeros {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        bytes.fill(0);
        Ok(())
    }
}

pub fn expected() -> ExpectedResponse {
    ExpectedResponse {
        state: State::random(&Zeros).unwrap(),
        issuer: Issuer::parse("https://auth.astronomer.io/", &"astronomer.io".parse().unwrap()).unwrap(),
        iss_required: false,
    }
}

pub fn listener() -> (Callbacks, u16) {
    let listener = CallbackListener::bind(0).unwrap();
    let port = listener.redirect_uri().port();
    (listener.serve(expected()), port)
}

/// `request`, in which `PORT` stands for the port and the whole value `S` for our state. A random value may begin with S.
pub fn filled(request: &str, port: u16) -> String {
    let request = request.replace("PORT", &port.to_string());
    request.replace("=S ", &format!("={STATE} ")).replace("=S&", &format!("={STATE}&"))
}

/// Connects to `port` on 127.0.0.1 and sends `request`, [`filled`].
pub async fn send(port: u16, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    stream.write_all(filled(request, port).as_bytes()).await.unwrap();
    stream
}

pub async fn answer(mut stream: TcpStream) -> String {
    let mut text = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut text)).await.expect("an answer in time").unwrap();
    text
}

/// Like [`answer`], for a connection that may end with a reset.
pub async fn answer_or_reset(mut stream: TcpStream) -> String {
    let mut text = String::new();
    let outcome = timeout(PATIENCE, stream.read_to_string(&mut text)).await.expect("an end in time");
    assert!(outcome.as_ref().err().is_none_or(|e| e.kind() == ErrorKind::ConnectionReset), "{outcome:?}");
    text
}

pub fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost:PORT\r\n\r\n")
}

pub fn right() -> String {
    get("/callback?code=abc&state=S")
}

pub fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

pub async fn callback(callbacks: &mut Callbacks) -> Callback {
    match timeout(PATIENCE, callbacks.next()).await.expect("an event in time") {
        Event::Callback(callback) => callback,
        Event::TlsAttempt => panic!("unexpected TLS handshake"),
    }
}

pub async fn nothing_has_happened(callbacks: &mut Callbacks) {
    if let Ok(event) = timeout(Duration::ZERO, callbacks.next()).await {
        panic!("{event:?}");
    }
}

/// Checks that the valid callback is still accepted, and delivered once.
pub async fn the_login_goes_on(mut callbacks: Callbacks, port: u16) {
    nothing_has_happened(&mut callbacks).await;
    let browser = send(port, &right()).await;
    it_is_answered(&mut callbacks, browser).await;
    nothing_has_happened(&mut callbacks).await;
}

/// Checks that the next event is the code, and that this browser gets the page.
pub async fn it_is_answered(callbacks: &mut Callbacks, browser: TcpStream) {
    let callback = callback(callbacks).await;
    assert!(callback.result.is_ok(), "{:?}", callback.result);
    let (answer, ()) = tokio::join!(answer(browser), callback.reply.send(&CONFIRMED));
    assert_eq!(status(&answer), "200");
    assert!(answer.contains("ada@example.com"), "{answer}");
}
