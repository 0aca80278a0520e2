//! The callback listener under attack: whatever comes in beside it, the one right callback gets its page while the attack
//! lasts, and its code comes out once. `benches/callback_under_attack.rs` measures how fast.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::pin::pin;
use std::time::Duration;

use astro_login::commands::login::Login;
use astro_login::oauth::{Callbacks, Event};
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::{advance, pause, resume, timeout};
use url::Url;

use crate::support::attacks::{Siege, attacks};
use crate::support::door::{
    CONFIRMED, PATIENCE, answer, callback, door, filled, get, it_is_answered, nothing_has_happened, right, send,
    status, the_login_goes_on,
};
use crate::support::{Mode, Options, Stage};

#[tokio::test]
async fn lb_24_a_callback_is_answered_while_an_attack_lasts() {
    for (name, attack) in attacks() {
        println!("{name}");
        let (mut door, port) = door();
        let siege = Siege::lay(attack, port);
        let siege = spawn_blocking(move || {
            siege.until_begun();
            siege
        });
        let siege = siege.await.unwrap();
        nothing_has_happened(&mut door).await;
        let browser = send(port, &right()).await;
        it_is_answered(&mut door, browser).await;
        nothing_has_happened(&mut door).await;
        spawn_blocking(|| siege.end()).await.unwrap();
    }
}

/// A connection that the listener has not seen yet: nothing of the runtime runs meanwhile.
fn connect(port: u16) -> TcpStream {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap()
}

fn say(mut stream: &TcpStream, request: &str, port: u16) {
    stream.write_all(filled(request, port).as_bytes()).unwrap();
}

/// Lets the listener do all that it can do without the clock going on.
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
async fn lb_24_a_crowd_between_connecting_and_asking_pushes_nobody_out() {
    let (mut door, port) = door();
    pause();
    let browser = connect(port);
    let mut crowd = Vec::new();
    for _ in 0..4 {
        // Not all at once: some systems keep no more than 128 waiting.
        crowd.extend((0..50).map(|_| connect(port)));
        turns().await;
    }
    say(&browser, &right(), port);
    turns().await;
    resume();
    it_is_answered(&mut door, into_tokio(browser)).await;
    drop(crowd);
}

#[tokio::test]
async fn lb_24_what_has_been_said_is_looked_at_before_anyone_gives_way() {
    let (mut door, port) = door();
    let browser = connect(port);
    let first: Vec<_> = (0..100).map(|_| connect(port)).collect();
    // They are let in; then, long after their grace, a crowd comes, and the browser speaks before anyone has seen it.
    pause();
    turns().await;
    advance(Duration::from_secs(1)).await;
    let second: Vec<_> = (0..100).map(|_| connect(port)).collect();
    say(&browser, &right(), port);
    turns().await;
    resume();
    it_is_answered(&mut door, into_tokio(browser)).await;
    drop((first, second));
}

#[tokio::test]
async fn lb_17_two_right_callbacks_at_once_are_one() {
    for _ in 0..10 {
        let (mut door, port) = door();
        let both = [connect(port), connect(port)];
        for browser in &both {
            say(browser, &right(), port);
        }
        let [first, second] = both.map(into_tokio);
        let served = async {
            let callback = callback(&mut door).await;
            assert!(callback.result.is_ok());
            callback.reply.send(&CONFIRMED).await;
            nothing_has_happened(&mut door).await;
        };
        let (first, second, ()) = tokio::join!(answer(first), answer(second), served);
        let mut told = [first.contains("ada@example.com"), second.contains("ada@example.com")];
        told.sort_unstable();
        assert_eq!(told, [false, true], "{first}\n{second}");
        assert_eq!([&first, &second].map(|page| page.contains("answered already")).iter().filter(|it| **it).count(), 1);
    }
}

/// A login whose browser holds the redirect and has not followed it yet; then `meanwhile`, in which the login is not
/// polled, though its listener is served; then the login's end.
async fn login_with<T>(
    stage: &Stage,
    wait: Duration,
    meanwhile: impl AsyncFnOnce(u16, String) -> T,
) -> (crate::support::Outcome, T) {
    let request = Login { timeout: wait, ..stage.request() };
    let mut login = pin!(stage.login(&request));
    let redirect: Url = tokio::select! {
        outcome = &mut login => panic!("{outcome:?}"),
        redirect = stage.redirect() => redirect,
    };
    let target = redirect.as_str().split_once("/callback").unwrap().1;
    let request = get(&format!("/callback{target}"));
    let left = meanwhile(redirect.port().unwrap(), request).await;
    (timeout(PATIENCE, login).await.expect("an end"), left)
}

fn stage() -> Stage {
    Stage::with(Options::default(), Mode::StopAtRedirect("ada@example.com".to_owned()))
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn lb_25_lb_26_a_callback_that_is_there_when_the_time_is_over_counts_wholly() {
    // Which of two things that are ready is taken is chance where nobody has chosen, so once is not enough.
    for _ in 0..5 {
        let stage = stage();
        let (outcome, browser) = login_with(&stage, HOUR, async |port, request| {
            let browser = send(port, &request).await;
            // A request behind it shows that it has been seen.
            assert!(answer(send(port, &request).await).await.contains("answered already"));
            pause();
            advance(HOUR).await;
            resume();
            browser
        })
        .await;
        assert_eq!(outcome.exit_code(), 0, "{outcome:?}");
        let page = answer(browser).await;
        assert!(page.contains("Astro confirmed you as"), "{page}");
        assert_eq!(stage.service.token_requests().len(), 1);
    }
}

#[tokio::test]
async fn lb_25_lb_26_a_callback_that_comes_later_counts_for_nothing_and_is_not_told_of_success() {
    let stage = stage();
    let (outcome, mut browser) = login_with(&stage, HOUR, async |port, request| {
        pause();
        advance(HOUR).await;
        resume();
        let browser = connect(port);
        say(&browser, &request, port);
        browser
    })
    .await;
    assert!(outcome.complaint().contains("waiting for the browser"), "{}", outcome.complaint());
    turns().await;
    browser.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut page = String::new();
    let end = browser.read_to_string(&mut page);
    assert!(end.as_ref().err().is_none_or(|error| error.kind() == io::ErrorKind::ConnectionReset), "{end:?}");
    assert!(page.is_empty() || page.contains("The login did not finish"), "{page}");
    assert_eq!((stage.service.token_requests().len(), stage.stored()), (0, None));
}

#[tokio::test]
async fn lb_17_a_browser_that_goes_before_its_page_is_written_has_signed_in_all_the_same() {
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
async fn a_tls_handshake_in_a_crowd_of_them_is_told_once() {
    let (mut door, port) = door();
    let crowd: Vec<_> = (0..100).map(|_| connect(port)).collect();
    for stream in &crowd {
        let mut stream = stream;
        stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").unwrap();
    }
    // A request behind them has been served, so all of them have been seen.
    assert_eq!(status(&answer(send(port, &get("/")).await).await), "404");
    assert!(matches!(next(&mut door).await, Event::TlsAttempt));
    the_login_goes_on(door, port).await;
}

async fn next(door: &mut Callbacks) -> Event {
    timeout(PATIENCE, door.next()).await.expect("an event in time")
}
