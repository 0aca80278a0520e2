//! The callback listener over real sockets: requests that end the wait, requests that do not, and the state afterwards.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use astro_login::oauth::page::{CONTENT_SECURITY_POLICY, Outcome};
use astro_login::oauth::{CallbackError, CallbackListener, ErrorResponse, ListenError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::support::callback_client::{
    CONFIRMED, PATIENCE, STATE, answer, answer_or_reset, callback, get, it_is_answered, listener, nothing_has_happened,
    right, send, status, the_login_goes_on,
};

#[tokio::test]
async fn lb_19_lb_24_lb_26_valid_callback_waits_for_outcome() {
    let (mut callbacks, port) = listener();
    let browser = send(port, &get("/callback?code=abc&state=S")).await;
    let callback = callback(&mut callbacks).await;
    assert!(callback.result.is_ok());
    let mut early = [0];
    assert!(timeout(Duration::ZERO, browser.peek(&mut early)).await.is_err(), "answered before the outcome is known");
    let (answer, ()) = tokio::join!(answer(browser), callback.reply.send(&CONFIRMED));
    let (head, page) = answer.split_once("\r\n\r\n").unwrap();
    assert!(page.contains("ada@example.com"), "{page}");
    let mut lines: Vec<_> = head.lines().filter(|line| !line.starts_with("date: ")).collect();
    lines.sort_unstable();
    let policy = format!("content-security-policy: {CONTENT_SECURITY_POLICY}");
    let length = format!("content-length: {}", page.len());
    assert_eq!(
        lines,
        [
            "HTTP/1.1 200 OK",
            "cache-control: no-store",
            "connection: close",
            &length,
            &policy,
            "content-type: text/html; charset=utf-8",
            "cross-origin-opener-policy: same-origin",
            "cross-origin-resource-policy: same-origin",
            "referrer-policy: no-referrer",
            "x-content-type-options: nosniff",
            "x-frame-options: DENY",
        ]
    );
}

#[tokio::test]
async fn lb_8_lb_9_lb_10_lb_23_lb_24_unrelated_request_ignored() {
    let (callbacks, port) = listener();
    let right = "/callback?code=abc&state=S";
    let host = "Host: localhost:PORT\r\n";
    let table = [
        ("200", format!("HEAD {right} HTTP/1.1\r\n{host}\r\n")),
        ("404", get("/favicon.ico")),
        ("404", get("/")),
        ("404", get("/callback/?code=abc&state=S")),
        ("404", get("//callback?code=abc&state=S")),
        ("404", get("/./callback?code=abc&state=S")),
        ("404", get("/CALLBACK?code=abc&state=S")),
        ("404", get("/%63allback?code=abc&state=S")),
        ("404", get("/callback%3Fcode=abc&state=S")),
        ("404", get("/cancel")),
        ("405", format!("POST {right} HTTP/1.1\r\n{host}\r\n")),
        ("405", format!("OPTIONS {right} HTTP/1.1\r\n{host}Origin: https://evil.com\r\n\r\n")),
        ("405", format!("get {right} HTTP/1.1\r\n{host}\r\n")),
        ("403", format!("GET {right} HTTP/1.1\r\n\r\n")),
        ("403", format!("GET {right} HTTP/1.0\r\n\r\n")),
        ("403", format!("GET {right} HTTP/1.1\r\nHost: localhost\r\n\r\n")),
        ("403", format!("GET {right} HTTP/1.1\r\nHost: localhost:1\r\n\r\n")),
        ("403", format!("GET {right} HTTP/1.1\r\nHost: evil.com:PORT\r\n\r\n")),
        ("403", format!("GET {right} HTTP/1.1\r\nHost: localhost.evil.com:PORT\r\n\r\n")),
        ("403", format!("GET {right} HTTP/1.1\r\nHost: ::1:PORT\r\n\r\n")),
        ("403", format!("GET {right} HTTP/1.1\r\n{host}Host: evil.com\r\n\r\n")),
        ("403", format!("GET http://evil.com{right} HTTP/1.1\r\n{host}\r\n")),
        ("400", get("/callback")),
        ("400", get("/callback?code=abc")),
        ("400", get("/callback?code=abc&state=other")),
        ("400", get("/callback?error=access_denied&state=other")),
        ("400", get("/callback?code=abc&state=S&state=S")),
        ("400", get("/callback?code=abc&state=S&%73tate=other")),
        ("400", get("/callback?code=abc&state=%41%00")),
        ("400", "nonsense\r\n\r\n".to_owned()),
        ("431", format!("GET {right} HTTP/1.1\r\n{host}X: {}\r\n\r\n", "x".repeat(17 * 1024))),
    ];
    for (expected, request) in table {
        let answer = answer(send(port, &request).await).await;
        assert_eq!(status(&answer), expected, "{request}");
        assert!(!answer.to_ascii_lowercase().contains("access-control"), "{answer}");
    }
    the_login_goes_on(callbacks, port).await;
}

#[tokio::test]
async fn lb_8_head_has_no_body_and_405_lists_methods() {
    let (_callbacks, port) = listener();
    let head = answer(send(port, &get("/callback?code=abc&state=S").replace("GET", "HEAD")).await).await;
    assert!(head.ends_with("\r\n\r\n"), "{head}");
    let put = answer(send(port, &get("/callback").replace("GET", "PUT")).await).await;
    assert!(put.contains("\r\nallow: GET, HEAD\r\n"), "{put}");
}

#[tokio::test]
async fn lb_9_every_loopback_name_accepted() {
    for host in ["localhost:PORT", "LOCALHOST:PORT", "127.0.0.1:PORT", "[::1]:PORT"] {
        let (mut callbacks, port) = listener();
        let _browser = send(port, &get("/callback?code=abc&state=S").replace("localhost:PORT", host)).await;
        assert!(callback(&mut callbacks).await.result.is_ok(), "{host}");
    }
}

#[tokio::test]
async fn lb_11_lb_12_lb_18_malformed_rest_ends_login() {
    let denied = ErrorResponse { code: "access_denied".to_owned(), description: Some("<b>No</b>".to_owned()) };
    let table = [
        ("code=a&code=b&state=S", CallbackError::Repeated("code")),
        ("code=a&c%6fde=b&state=S", CallbackError::Repeated("code")),
        ("code=a&state=S&iss=https://evil.com/", CallbackError::OtherIssuer("https://evil.com/".to_owned())),
        ("code=a&error=b&state=S", CallbackError::CodeAndError),
        ("state=S", CallbackError::NeitherCodeNorError),
        ("error=access_denied&error_description=%3Cb%3ENo%3C/b%3E&state=S", CallbackError::Refused(denied)),
    ];
    for (query, expected) in table {
        let (mut callbacks, port) = listener();
        let browser = send(port, &get(&format!("/callback?{query}"))).await;
        let callback = callback(&mut callbacks).await;
        let error = callback.result.unwrap_err();
        let failed = Outcome::Failed { detail: &error.to_string() };
        let (answer, ()) = tokio::join!(answer(browser), callback.reply.send(&failed));
        assert_eq!((status(&answer), &error), ("400", &expected), "{query}");
        assert!(!answer.contains("<b>No"), "{answer}");
    }
}

#[tokio::test]
async fn ar_10_lb_17_second_callback_is_harmless() {
    let (mut callbacks, port) = listener();
    let first = send(port, &get("/callback?code=abc&state=S")).await;
    let pending = callback(&mut callbacks).await;
    for query in ["code=abc&state=S", "code=other&state=S", "error=access_denied&state=S", "state=S"] {
        let again = answer(send(port, &get(&format!("/callback?{query}"))).await).await;
        assert_eq!(status(&again), "200", "{query}");
        assert!(again.contains("already has its response"), "{again}");
        nothing_has_happened(&mut callbacks).await;
    }
    let (answer, ()) = tokio::join!(answer(first), pending.reply.send(&CONFIRMED));
    assert!(answer.contains("ada@example.com"), "{answer}");
    let late = send(port, &get("/callback?code=abc&state=S")).await;
    assert_eq!(status(&self::answer(late).await), "200");
    nothing_has_happened(&mut callbacks).await;
}

#[tokio::test]
async fn lb_17_reload_delivers_code_once() {
    let (mut callbacks, port) = listener();
    drop(send(port, &get("/callback?code=abc&state=S")).await);
    let pending = callback(&mut callbacks).await;
    assert!(pending.result.is_ok());
    let again = answer(send(port, &get("/callback?code=abc&state=S")).await).await;
    assert!(again.contains("already has its response"), "{again}");
    timeout(PATIENCE, pending.reply.send(&CONFIRMED)).await.expect("nobody is waited for who has gone");
    nothing_has_happened(&mut callbacks).await;
}

#[tokio::test]
async fn lb_8_prefetch_uses_nothing_up() {
    let (callbacks, port) = listener();
    let headers = [
        "Sec-Purpose: prefetch",
        "Sec-Purpose: prefetch;prerender",
        "sec-purpose: PREFETCH;anonymous-client-ip",
        "Purpose: prefetch",
        "X-Purpose: preview",
        "X-Moz: prefetch",
    ];
    for header in headers {
        let request = right().replace("\r\n\r\n", &format!("\r\n{header}\r\n\r\n"));
        let answer = answer(send(port, &request).await).await;
        // A browser would show the user a success that it has fetched in advance.
        assert_eq!(status(&answer), "503", "{header}");
    }
    the_login_goes_on(callbacks, port).await;
}

#[tokio::test]
async fn other_purpose_delivers_code() {
    let (mut callbacks, port) = listener();
    let request = right().replace("\r\n\r\n", "\r\nSec-Purpose: navigate\r\nPurpose: prefetching\r\n\r\n");
    let browser = send(port, &request).await;
    it_is_answered(&mut callbacks, browser).await;
}

#[tokio::test]
async fn pipelined_request_is_not_served() {
    let (mut callbacks, port) = listener();
    let both = get("/callback?code=abc&state=other") + &get("/callback?code=abc&state=S");
    let answer = answer(send(port, &both).await).await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    nothing_has_happened(&mut callbacks).await;
}

#[tokio::test]
async fn lb_24_silent_connections_do_not_block() {
    let (mut callbacks, port) = listener();
    let mut silent = Vec::new();
    for number in 0..140 {
        // Half of them say nothing at all, half begin and do not end.
        silent.push(send(port, if number % 2 == 0 { "" } else { "GET /callback?code=" }).await);
    }
    let browser = send(port, &get("/callback?code=abc&state=S")).await;
    let callback = callback(&mut callbacks).await;
    for _ in 0..140 {
        silent.push(send(port, "").await);
    }
    // A request behind them has been served, so all of them have been seen; the one that waits is still there.
    assert_eq!(status(&answer(send(port, &get("/")).await).await), "404");
    let (answer, ()) = tokio::join!(answer(browser), callback.reply.send(&CONFIRMED));
    assert_eq!(status(&answer), "200");
}

#[tokio::test]
async fn lb_24_oldest_connection_is_closed() {
    let (callbacks, port) = listener();
    let oldest = send(port, "GET /callback").await;
    let mut others = Vec::new();
    for _ in 0..128 {
        others.push(send(port, "").await);
    }
    // Well before the ten seconds that it had to finish asking.
    assert_eq!(timeout(Duration::from_secs(5), answer_or_reset(oldest)).await.expect("an early end"), "");
    the_login_goes_on(callbacks, port).await;
}

#[tokio::test(start_paused = true)]
async fn lb_24_unfinished_request_is_cut_off() {
    let (_callbacks, port) = listener();
    for beginning in ["", "GET /callback?code=abc HTTP/1.1\r\nHost: "] {
        let mut stream = send(port, beginning).await;
        let mut text = String::new();
        let outcome = timeout(PATIENCE, stream.read_to_string(&mut text)).await;
        assert!(outcome.is_ok(), "still open after {PATIENCE:?}");
        assert_ne!(status(&text), "200");
    }
}

#[tokio::test]
async fn lb_2_callback_accepted_over_ipv6() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.is_err() {
        eprintln!("ignored: no IPv6 here");
        return;
    }
    let (mut callbacks, port) = listener();
    let mut browser = TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await.unwrap();
    let request = format!("GET /callback?code=abc&state={STATE} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n");
    browser.write_all(request.as_bytes()).await.unwrap();
    let callback = callback(&mut callbacks).await;
    let (answer, ()) = tokio::join!(answer(browser), callback.reply.send(&CONFIRMED));
    assert_eq!(status(&answer), "200");
}

#[tokio::test]
async fn lb_1_other_addresses_cannot_connect() {
    // Connecting a datagram socket sends nothing; it only picks the address that this machine has towards the outside.
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let outside = socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).and_then(|()| socket.local_addr());
    let Some(address) = outside.map(|address| address.ip()).ok().filter(|ip| !ip.is_loopback()) else {
        eprintln!("ignored: this machine has no address but loopback");
        return;
    };
    let (callbacks, port) = listener();
    let refused = TcpStream::connect((address, port)).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    the_login_goes_on(callbacks, port).await;
}

#[tokio::test]
async fn lb_3_port_taken_on_either_address_fails() {
    let mut addresses: Vec<SocketAddr> = vec![(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()];
    if cfg!(target_os = "linux") {
        addresses.extend::<[SocketAddr; 2]>([(Ipv4Addr::UNSPECIFIED, 0).into(), (Ipv6Addr::UNSPECIFIED, 0).into()]);
    }
    for address in addresses {
        let Ok(other) = TcpListener::bind(address).await else {
            eprintln!("ignored: {address} is not available here");
            continue;
        };
        let port = other.local_addr().unwrap().port();
        match CallbackListener::bind(port) {
            Err(ListenError::PortTaken(taken)) => assert_eq!(taken, port),
            other => panic!("{address}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn lb_6_port_is_not_shared() {
    let listener = CallbackListener::bind(0).unwrap();
    let port = listener.redirect_uri().port();
    let second = CallbackListener::bind(port).unwrap_err();
    assert!(matches!(second, ListenError::PortTaken(taken) if taken == port), "{second:?}");
    assert_eq!(second.to_string(), format!("port {port} is taken by another program"));
}

#[tokio::test]
async fn lb_5_port_free_after_listener_dropped() {
    let (callbacks, port) = listener();
    let silent = send(port, "GET /").await;
    drop(callbacks);
    assert_eq!(answer_or_reset(silent).await, "");
    CallbackListener::bind(port).expect("a free port");
}

#[tokio::test]
async fn lb_5_waiting_browser_gets_page_after_drop() {
    let (mut callbacks, port) = listener();
    let browser = send(port, &get("/callback?code=abc&state=S")).await;
    let silent = send(port, "GET /").await;
    let callback = callback(&mut callbacks).await;
    drop(callbacks);
    assert_eq!(answer_or_reset(silent).await, "");
    CallbackListener::bind(port).expect("a free port");
    let (answer, ()) = tokio::join!(answer(browser), callback.reply.send(&CONFIRMED));
    assert!(answer.contains("ada@example.com"), "{answer}");
}

#[tokio::test]
async fn lb_26_dropped_reply_sends_failure_page() {
    let (mut callbacks, port) = listener();
    let browser = send(port, &get("/callback?code=abc&state=S")).await;
    drop(callback(&mut callbacks).await);
    let answer = answer(browser).await;
    assert_eq!(status(&answer), "400");
    assert!(answer.contains("See the terminal for the cause."), "{answer}");
}

#[tokio::test]
async fn lb_26_untaken_callback_sends_failure_page() {
    let (callbacks, port) = listener();
    let browser = send(port, &get("/callback?code=abc&state=S")).await;
    // The wait is over, through the other callbacks, when the browser comes. A request behind it shows that it has been seen.
    assert_eq!(status(&answer(send(port, &get("/callback?state=S")).await).await), "200");
    drop(callbacks);
    let answer = answer(browser).await;
    assert!(answer.contains("See the terminal for the cause."), "{answer}");
}

#[tokio::test]
async fn canceled_wait_loses_no_callback() {
    let (mut callbacks, port) = listener();
    nothing_has_happened(&mut callbacks).await;
    let _browser = send(port, &get("/callback?code=abc&state=S")).await;
    // The response to a later request shows that the callback arrived while no one waited for it.
    assert_eq!(status(&answer(send(port, &get("/callback?state=S")).await).await), "200");
    assert!(callback(&mut callbacks).await.result.is_ok());
}
