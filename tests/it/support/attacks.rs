//! Attacks on the callback port, each in a thread that runs until it is stopped.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::callback_client::{filled, get, status};

const PATIENCE: Duration = Duration::from_secs(30);

pub enum Attack {
    /// Holds this many connections open and sends nothing.
    Silent(usize),
    /// Holds this many connections open and sends a request on each, one byte at a time.
    Slow(usize),
    /// Sends one request after the other, each on a new connection, and checks the status of the response: one of those
    /// between the bars. `-` stands for no response, because the response to a half-read request may get lost.
    Volley(Vec<(Vec<u8>, &'static str)>),
    /// Sends the beginning of a request and closes the connection before the response.
    Gone(Vec<u8>),
}

const HOST: &str = "Host: localhost:PORT\r\n";

pub fn attacks() -> Vec<(&'static str, Attack)> {
    let volley = |requests: Vec<(String, &'static str)>| {
        Attack::Volley(requests.into_iter().map(|(request, status)| (request.into_bytes(), status)).collect())
    };
    let targets = |targets: &[(&str, &'static str)]| {
        volley(targets.iter().map(|(target, status)| (get(target), *status)).collect())
    };
    let methods = ["POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "get", "OPTIONS"];
    let method = |method: &&str| (format!("{method} /callback?code=x&state=S HTTP/1.1\r\n{HOST}\r\n"), "405");
    let hosts = ["evil.com", "evil.com:PORT", "localhost", "localhost:1", "localhost.:PORT", "localhost:PORT@evil.com"];
    let host = |host: &&str| (format!("GET /callback?code=x&state=S HTTP/1.1\r\nHost: {host}\r\n\r\n"), "403");
    let preflight = format!(
        "OPTIONS /callback?code=x&state=S HTTP/1.1\r\n{HOST}Origin: https://evil.com\r\n\
         Access-Control-Request-Method: GET\r\nAccess-Control-Request-Private-Network: true\r\n\r\n"
    );
    let large = format!("GET /callback?code=x&state=S HTTP/1.1\r\n{HOST}X: {}\r\n\r\n", "x".repeat(1 << 20));
    let long = format!("GET /callback?state={} HTTP/1.1\r\n{HOST}\r\n", "x".repeat(1 << 20));
    let pipelined = get("/").repeat(200) + &get("/callback?code=x&state=S");
    let raw = |query: &[u8], status| {
        (filled_bytes(b"GET /callback?code=x&state=", query, b" HTTP/1.1\r\nHost: localhost:PORT\r\n\r\n"), status)
    };
    vec![
        ("200 silent connections", Attack::Silent(200)),
        ("slow-loris", Attack::Slow(200)),
        ("1 MB of headers", volley(vec![(large, "431|-"), (long, "431|-")])),
        (
            "pipelined garbage",
            Attack::Volley(vec![
                (pipelined.into_bytes(), "404|-"),
                (b"\x00\xff\x80garbage\r\n\r\n".repeat(200), "400|-"),
                ([b"\r\n".repeat(100), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()].concat(), "400|-"),
            ]),
        ),
        ("wrong Host", volley(hosts.iter().map(host).collect())),
        ("wrong method", volley(methods.iter().map(method).collect())),
        ("CORS preflight", volley(vec![(preflight, "405")])),
        (
            "duplicate parameters",
            targets(&[
                ("/callback?code=x&state=S&state=S", "400"),
                ("/callback?state=other&code=x&state=S", "400"),
                ("/callback?code=x&code=y&state=other", "400"),
                ("/callback?code=x&state=S&%73tate=", "400"),
            ]),
        ),
        (
            "percent-encoding tricks",
            targets(&[
                ("/%63allback?code=x&state=S", "404"),
                ("/callback%3fcode=x&state=S", "404"),
                ("/callback%2f..%2fcallback?code=x&state=S", "404"),
                ("/x/../callback?code=x&state=S", "404"),
                ("/callback?code=x&state%3DS", "400"),
                ("/callback?code=x%26state=S", "400"),
                ("/callback?code=x&state=%2541", "400"),
                ("/callback?code=x&state=%zz%", "400"),
                ("/callback?code=x&state=%c1%81", "400"),
                ("/callback?code=x&%00state=S", "400"),
            ]),
        ),
        (
            "NUL and bidi characters",
            Attack::Volley(vec![
                (get("/callback?code=x&state=%00&error_description=%E2%80%AE").into_bytes(), "400"),
                raw(b"\0", "400"),
                raw("\u{202e}\u{2066}".as_bytes(), "400"),
                raw(b"\xff\xfe", "400"),
                (format!("GET /\0callback HTTP/1.1\r\n{HOST}\r\n").into_bytes(), "400"),
                (format!("GET /callback HTTP/1.1\r\n{HOST}X: \0\r\n\r\n").into_bytes(), "400"),
            ]),
        ),
        ("gone before the answer", Attack::Gone(get("/callback?code=x&state=other").into_bytes())),
        ("gone in mid-request", Attack::Gone(b"GET /callback?code=x&sta".to_vec())),
    ]
}

fn filled_bytes(before: &[u8], between: &[u8], after: &[u8]) -> Vec<u8> {
    [before, between, after].concat()
}

pub struct RunningAttack {
    stop: Arc<AtomicBool>,
    first_round: mpsc::Receiver<()>,
    attacker: JoinHandle<()>,
}

impl Attack {
    pub fn start(self, port: u16) -> RunningAttack {
        let stop = Arc::new(AtomicBool::new(false));
        let (started, first_round) = mpsc::channel();
        let attacker = thread::spawn({
            let stop = Arc::clone(&stop);
            move || self.run(port, &started, &stop)
        });
        RunningAttack { stop, first_round, attacker }
    }

    fn run(&self, port: u16, started: &mpsc::Sender<()>, stop: &AtomicBool) {
        let mut open: Vec<TcpStream> = Vec::new();
        let mut round = 0;
        while !stop.load(Ordering::Relaxed) {
            match self {
                Self::Silent(count) => {
                    open.extend((open.len()..*count).map(|_| connect(port)));
                    thread::sleep(Duration::from_millis(1));
                }
                Self::Slow(count) => {
                    open.extend((open.len()..*count).map(|_| connect(port)));
                    let request = filled(&get("/callback?code=x&state=other"), port);
                    // The request never ends. A closed connection is replaced in the next round.
                    let byte = &request.as_bytes()[round % (request.len() - 4)..][..1];
                    open.retain_mut(|stream| stream.write_all(byte).is_ok());
                    thread::sleep(Duration::from_millis(1));
                }
                Self::Volley(requests) => {
                    for (request, expected) in requests {
                        let (answer, shown) =
                            (ask(port, request), String::from_utf8_lossy(&request[..request.len().min(200)]));
                        let found = if answer.is_empty() { "-" } else { status(&answer) };
                        assert!(expected.split('|').any(|one| one == found), "{found} for {shown}\n{answer}");
                        assert_eq!(answer.matches("HTTP/1.1 ").count(), usize::from(found != "-"), "{shown}\n{answer}");
                        assert!(!answer.to_ascii_lowercase().contains("access-control"), "{shown}\n{answer}");
                    }
                }
                Self::Gone(beginning) => {
                    for _ in 0..20 {
                        let mut stream = connect(port);
                        stream.write_all(&with_port(beginning, port)).unwrap();
                        // The listener may have read none or half of it: the connection ends in a reset.
                        drop(stream.shutdown(Shutdown::Both));
                    }
                }
            }
            if round == 0 {
                started.send(()).unwrap();
            }
            round += 1;
        }
    }
}

impl RunningAttack {
    /// Waits for the first round of the attack. Blocks the thread, so the listener must run in another one.
    pub fn wait_for_first_round(&self) {
        self.first_round.recv_timeout(PATIENCE).expect("the attack starts");
    }

    pub fn stop(self) {
        assert!(!self.attacker.is_finished(), "the attack is still running");
        self.stop.store(true, Ordering::Relaxed);
        self.attacker.join().expect("every response was an expected one");
    }
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// The request [`filled`], byte by byte, since not all of them are UTF-8.
fn with_port(request: &[u8], port: u16) -> Vec<u8> {
    let text: String = request.iter().map(|byte| char::from(*byte)).collect();
    filled(&text, port).chars().map(|byte| u8::try_from(byte).unwrap()).collect()
}

/// Returns the response, up to the end or reset of the connection.
fn ask(port: u16, request: &[u8]) -> String {
    let mut stream = connect(port);
    // The listener may respond and close before it has read all of a large request.
    drop(stream.write_all(&with_port(request, port)));
    let mut answer = Vec::new();
    let mut some = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut some) {
        answer.extend_from_slice(&some[..length]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}
