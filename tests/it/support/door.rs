//! The callback listener with a state that is known, and raw requests to it.

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

/// Nothing here takes long; a test that hangs fails instead.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub const CONFIRMED: Outcome<'static> = Outcome::Confirmed { account: "ada@example.com", question: false };

struct Zeros;

impl Random for Zeros {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        bytes.fill(0);
        Ok(())
    }
}

/// What answers a login here.
pub fn expected() -> ExpectedResponse {
    ExpectedResponse {
        state: State::random(&Zeros).unwrap(),
        issuer: Issuer::parse("https://auth.astronomer.io/", &"astronomer.io".parse().unwrap()).unwrap(),
        iss_required: false,
    }
}

pub fn door() -> (Callbacks, u16) {
    let listener = CallbackListener::bind(0).unwrap();
    let port = listener.redirect_uri().port();
    (listener.serve(expected()), port)
}

/// `request`, in which `PORT` stands for the port and `=S` for our state.
pub fn filled(request: &str, port: u16) -> String {
    request.replace("PORT", &port.to_string()).replace("=S", &format!("={STATE}"))
}

/// Connects to `port` on 127.0.0.1 and sends `request`, [`filled`].
pub async fn send(port: u16, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    stream.write_all(filled(request, port).as_bytes()).await.unwrap();
    stream
}

/// Everything up to the end of the connection.
pub async fn answer(mut stream: TcpStream) -> String {
    let mut text = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut text)).await.expect("an answer in time").unwrap();
    text
}

pub fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost:PORT\r\n\r\n")
}

/// The callback that is right.
pub fn right() -> String {
    get("/callback?code=abc&state=S")
}

pub fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

pub async fn callback(door: &mut Callbacks) -> Callback {
    match timeout(PATIENCE, door.next()).await.expect("an event in time") {
        Event::Callback(callback) => callback,
        Event::TlsAttempt => panic!("nobody spoke TLS"),
    }
}

pub async fn nothing_has_happened(door: &mut Callbacks) {
    if let Ok(event) = timeout(Duration::ZERO, door.next()).await {
        panic!("{event:?}");
    }
}

/// The right answer comes at last, is served, and comes out once.
pub async fn the_login_goes_on(mut door: Callbacks, port: u16) {
    nothing_has_happened(&mut door).await;
    let browser = send(port, &right()).await;
    it_is_answered(&mut door, browser).await;
    nothing_has_happened(&mut door).await;
}

/// The next to come out is the code, and this browser gets the page.
pub async fn it_is_answered(door: &mut Callbacks, browser: TcpStream) {
    let callback = callback(door).await;
    assert!(callback.result.is_ok(), "{:?}", callback.result);
    let (answer, ()) = tokio::join!(answer(browser), callback.reply.send(&CONFIRMED));
    assert_eq!(status(&answer), "200");
    assert!(answer.contains("ada@example.com"), "{answer}");
}
