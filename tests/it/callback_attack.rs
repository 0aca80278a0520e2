//! The callback listener under attack: the valid callback gets its page during the attack, and its code is delivered once.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpStream};
use std::pin::pin;
use std::time::Duration;

use astro_login::commands::login::Login;
use astro_login::oauth::{Callbacks, Event};
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::{advance, pause, resume, timeout};
use url::Url;

use crate::support::attacks::attacks;
use crate::support::callback_client::{
    CONFIRMED, PATIENCE, answer, answer_or_reset, callback, filled, get, it_is_answered, listener,
    nothing_has_happened, right, send, status, the_login_goes_on,
};
use crate::support::{Mode, Options, Stage};

#[tokio::test]
async fn lb_24_callback_answered_during_attack() {
    for (name, attack) in attacks() {
        println!("{name}");
        let (mut callbacks, port) = listener();
        let attack = attack.start(port);
        let attack = spawn_blocking(move || {
            attack.wait_for_first_round();
            attack
        });
        let attack = attack.await.unwrap();
        nothing_has_happened(&mut callbacks).await;
        let browser = send(port, &right()).await;
        it_is_answered(&mut callbacks, browser).await;
        nothing_has_happened(&mut callbacks).await;
        spawn_blocking(|| attack.stop()).await.unwrap();
    }
}

/// Connects without running the runtime, so that the listener has not accepted the connection yet.
fn connect(port: u16) -> TcpStream {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap()
}

fn say(mut stream: &TcpStream, request: &str, port: u16) {
    stream.write_all(filled(request, port).as_bytes()).unwrap();
}

/// Runs the listener until it only waits, with the clock paused.
async fn turns() {
    for _ in 0..1000 {
        yield_now().await;
    }
}

fn into_tokio(stream: TcpStream) -> tokio::net::TcpStream {
    stream.set_nonblocking(true).unwrap();
    tokio::net::TcpStream::from_std(stream).unwrap()
}

#[tokio::test]
async fn lb_24_callback_survives_connection_flood() {
    let (mut callbacks, port) = listener();
    pause();
    let browser = connect(port);
    let mut crowd = Vec::new();
    // The browser and 127 others are as many as may be open at once.
    for _ in 0..127 {
        crowd.push(connect(port));
    }
    turns().await;
    say(&browser, &right(), port);
    turns().await;
    resume();
    it_is_answered(&mut callbacks, into_tokio(browser)).await;
    drop(crowd);
}

#[tokio::test]
async fn lb_24_received_request_read_before_eviction() {
    let (mut callbacks, port) = listener();
    let browser = connect(port);
    let first: Vec<_> = (0..100).map(|_| connect(port)).collect();
    // These are accepted. More connections and the browser's request arrive before the next accept.
    pause();
    turns().await;
    advance(Duration::from_secs(1)).await;
    let second: Vec<_> = (0..100).map(|_| connect(port)).collect();
    say(&browser, &right(), port);
    turns().await;
    resume();
    it_is_answered(&mut callbacks, into_tokio(browser)).await;
    drop((first, second));
}

#[tokio::test]
async fn lb_17_two_valid_callbacks_count_once() {
    for _ in 0..10 {
        let (mut callbacks, port) = listener();
        let both = [connect(port), connect(port)];
        for browser in &both {
            say(browser, &right(), port);
        }
        let [first, second] = both.map(into_tokio);
        let served = async {
            let callback = callback(&mut callbacks).await;
            assert!(callback.result.is_ok());
            callback.reply.send(&CONFIRMED).await;
            nothing_has_happened(&mut callbacks).await;
        };
        let (first, second, ()) = tokio::join!(answer(first), answer(second), served);
        let mut told = [first.contains("ada@example.com"), second.contains("ada@example.com")];
        told.sort_unstable();
        assert_eq!(told, [false, true], "{first}\n{second}");
        assert_eq!(
            [&first, &second].map(|page| page.contains("already has its response")).iter().filter(|it| **it).count(),
            1
        );
    }
}

/// Runs a login up to the redirect, then `before_end`, in which the listener runs but the login is not polled, then the
/// rest of the login.
async fn login_with<T>(
    stage: &Stage,
    wait: Duration,
    before_end: impl AsyncFnOnce(u16, String) -> T,
) -> (crate::support::Outcome, T) {
    let request = Login { timeout: Some(wait), ..stage.request() };
    let mut login = pin!(stage.login(&request));
    let redirect: Url = tokio::select! {
        outcome = &mut login => panic!("{outcome:?}"),
        redirect = stage.redirect() => redirect,
    };
    let target = redirect.as_str().split_once("/callback").unwrap().1;
    let request = get(&format!("/callback{target}"));
    let left = before_end(redirect.port().unwrap(), request).await;
    (timeout(PATIENCE, login).await.expect("an end"), left)
}

fn stage() -> Stage {
    Stage::with(Options::default(), Mode::StopAtRedirect("ada@example.com".to_owned()))
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn lb_25_lb_26_callback_at_timeout_logs_in() {
    // An unbiased `select!` would take the timeout in half of the runs.
    for _ in 0..5 {
        let stage = stage();
        let (outcome, browser) = login_with(&stage, HOUR, async |port, request| {
            // The listener takes one of both as the callback, and answers the other at once. Their order is not certain.
            let (first, second) = (send(port, &request).await, send(port, &request).await);
            let (browser, other) = tokio::select! {
                _ = first.readable() => (second, first),
                _ = second.readable() => (first, second),
            };
            let page = answer(other).await;
            assert!(page.contains("already has its response"), "{page}");
            pause();
            advance(HOUR).await;
            resume();
            browser
        })
        .await;
        assert_eq!(outcome.exit_code(), 0, "{outcome:?}");
        let page = answer(browser).await;
        assert!(page.contains("Authenticated as"), "{page}");
        assert_eq!(stage.service.token_requests().len(), 1);
    }
}

#[tokio::test]
async fn lb_25_lb_26_callback_after_timeout_gets_no_success_page() {
    let stage = stage();
    let (outcome, browser) = login_with(&stage, HOUR, async |port, request| {
        pause();
        advance(HOUR).await;
        resume();
        let browser = connect(port);
        say(&browser, &request, port);
        browser
    })
    .await;
    assert!(outcome.error_chain().contains("waiting for the browser"), "{}", outcome.error_chain());
    // The runtime runs on while the page is read: on a busy machine, a request can arrive late.
    let page = answer_or_reset(into_tokio(browser)).await;
    assert!(page.is_empty() || page.contains("See the terminal for the cause."), "{page}");
    assert_eq!((stage.service.token_requests().len(), stage.stored()), (0, None));
}

#[tokio::test]
async fn lb_17_browser_closed_early_still_logs_in() {
    let stage = stage();
    let (outcome, ()) = login_with(&stage, HOUR, async |port, request| {
        let browser = connect(port);
        say(&browser, &request, port);
    })
    .await;
    assert_eq!(outcome.exit_code(), 0, "{outcome:?}");
    assert_eq!(stage.service.token_requests().len(), 1);
}

#[tokio::test]
async fn many_tls_handshakes_reported_once() {
    let (mut callbacks, port) = listener();
    let crowd: Vec<_> = (0..100).map(|_| connect(port)).collect();
    for stream in &crowd {
        let mut stream = stream;
        stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").unwrap();
    }
    assert_eq!(status(&answer(send(port, &get("/")).await).await), "404");
    assert!(matches!(next(&mut callbacks).await, Event::TlsAttempt));
    the_login_goes_on(callbacks, port).await;
}

async fn next(callbacks: &mut Callbacks) -> Event {
    timeout(PATIENCE, callbacks.next()).await.expect("an event in time")
}
