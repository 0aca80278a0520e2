//! Signals at the moments in which a login could be lost, or a grant left alive.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::binary::{Astro, Output, Running};
use crate::support::{FakeBrowser, Fault, Mode, Options, Stage};

const TOKEN: &str = "/oauth/token";
const ENDS_SOON: i64 = 200;
const ENDING: [Signal; 3] = [Signal::INT, Signal::TERM, Signal::HUP];

/// `astro` with each signal's default action, which `nohup` and a shell's `&` would change.
fn astro(stage: &Stage) -> Astro {
    Astro::at(&stage.home).through(&["/usr/bin/env", "--default-signal"])
}

fn send(running: &Running, signal: Signal) {
    kill_process(Pid::from_raw(running.id().try_into().unwrap()).unwrap(), signal).unwrap();
}

/// A login whose code is being exchanged: the issuer has granted the tokens and holds the response back.
fn exchanging(stage: &Stage, astro: Astro, flags: &[&str]) -> (Running, FakeBrowser) {
    stage.service.fail(TOKEN, Fault::Hold);
    let domain = stage.service.domain();
    let mut running = astro.start(&[&["login", &domain, "--insecure-storage", "--login-link"], flags].concat());
    let browser = FakeBrowser::new(Mode::LogIn("ada@example.com".to_owned()));
    browser.visit(&running.line().parse().unwrap());
    stage.service.wait_for(TOKEN, 1);
    (running, browser)
}

#[test]
fn rf_16_signal_in_code_exchange_revokes_grant() {
    for signal in ENDING {
        let stage = Stage::with(Options::default(), Mode::NeverComeBack);
        let (mut running, _browser) = exchanging(&stage, astro(&stage), &[]);
        send(&running, signal);
        drop(running.wait_for("finishing up"));
        stage.service.repair(TOKEN);
        let output = running.finish();
        assert_eq!(output.code, Some(130), "{signal:?}: {output:?}");
        assert_eq!(stage.service.requests_to("/oauth/revoke").len(), 1, "{signal:?}");
        assert_eq!(stage.service.live_refresh_tokens(), [""; 0], "{signal:?}");
        assert_eq!(stage.home.config(), None, "{signal:?}");
    }
}

#[test]
fn code_exchange_without_response_delays_end_briefly() {
    let stage = Stage::with(Options::default(), Mode::NeverComeBack);
    let (running, _browser) = exchanging(&stage, astro(&stage), &[]);
    let started = std::time::Instant::now();
    send(&running, Signal::TERM);
    assert_eq!(running.finish().code, Some(130));
    assert!(started.elapsed() < Duration::from_secs(12), "{:?}", started.elapsed());
}

#[test]
fn ctrl_c_again_ends_code_exchange_at_once() {
    let stage = Stage::with(Options::default(), Mode::NeverComeBack);
    let (mut running, _browser) = exchanging(&stage, astro(&stage), &[]);
    send(&running, Signal::HUP);
    drop(running.wait_for("finishing up"));
    let started = std::time::Instant::now();
    send(&running, Signal::INT);
    assert_eq!(running.finish().code, Some(130));
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[test]
fn signal_after_login_is_saved_says_so() {
    const WORKSPACES: &str = "/v1/organizations/clorg00000000000000000001/workspaces";
    for signal in ENDING {
        let stage = Stage::with(Options::default(), Mode::NeverComeBack);
        let (running, _browser) = exchanging(&stage, astro(&stage), &["--organization", "Analytical Engines"]);
        stage.service.fail(WORKSPACES, Fault::Hold);
        stage.service.repair(TOKEN);
        stage.service.wait_for(WORKSPACES, 1);
        send(&running, signal);
        let output = running.finish();
        let told = format!("Logged in to {}\nwarning: canceled\n", stage.service.domain());
        assert!(output.code == Some(130) && output.stderr.ends_with(&told), "{signal:?}: {output:?}");
        assert_login_works(&stage);
    }
}

/// A refresh whose response the issuer holds back. The old refresh token is spent.
fn refreshing(stage: &Stage) -> Running {
    stage.keep_in_config(&stage.earlier_login(ENDS_SOON));
    stage.service.fail(TOKEN, Fault::Hold);
    let running = astro(stage).start(&["auth", "token", "--domain", &stage.service.domain()]);
    stage.service.wait_for(TOKEN, 1);
    running
}

#[track_caller]
fn assert_login_works(stage: &Stage) {
    let Output { stdout, stderr, code } = astro(stage).run(&["auth", "token", "--domain", &stage.service.domain()]);
    assert_eq!((code, stage.service.replays()), (Some(0), 0), "{stderr}");
    assert!(stdout.starts_with("eyJ"), "{stdout}");
    assert_eq!(stage.service.live_refresh_tokens().len(), 1);
    assert_eq!(stage.service.requests_to("/oauth/revoke"), []);
}

#[test]
fn rf_16_signal_in_refresh_keeps_rotated_login() {
    for signal in ENDING {
        let stage = Stage::with(Options::default(), Mode::NeverComeBack);
        let mut running = refreshing(&stage);
        send(&running, signal);
        drop(running.wait_for("finishing up"));
        stage.service.repair(TOKEN);
        assert_eq!(running.finish().code, Some(0), "{signal:?}: the token is printed");
        assert_login_works(&stage);
    }
}

#[test]
fn rf_16_closed_terminal_may_send_several_signals() {
    let stage = Stage::with(Options::default(), Mode::NeverComeBack);
    let mut running = refreshing(&stage);
    send(&running, Signal::HUP);
    drop(running.wait_for("finishing up"));
    for signal in [Signal::HUP, Signal::CONT, Signal::TERM, Signal::HUP] {
        send(&running, signal);
    }
    stage.service.repair(TOKEN);
    assert_eq!(running.finish().code, Some(0), "the token is printed");
    assert_login_works(&stage);
}

#[test]
fn nohup_keeps_login_waiting_after_sighup() {
    let stage = Stage::with(Options::default().organizations(1, 1), Mode::NeverComeBack);
    let nohup = Astro::at(&stage.home).through(&["/usr/bin/env", "--ignore-signal=HUP"]);
    let (running, _browser) = exchanging(&stage, nohup, &[]);
    send(&running, Signal::HUP);
    stage.service.repair(TOKEN);
    let output = running.finish();
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(stage.service.live_refresh_tokens().len(), 1);
}
