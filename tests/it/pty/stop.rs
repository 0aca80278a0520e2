//! A login that is stopped and resumed by a shell, and one whose terminal is closed.

use rustix::process::Signal;

use super::{ASTRO, Pty, WAITING, World, parameter, visit, visit_elsewhere};
use crate::support::pty::{CTRL_C, ENTER};

const CTRL_Z: &str = "\x1a";

/// A shell with job control, which leaves the mode of the terminal as a stopped program left it.
fn shell(world: &World) -> Pty {
    let environment = world.environment.iter().map(|(name, value)| (*name, value.as_str()));
    let mut pty = Pty::spawn("/bin/sh", &["-i"], environment.chain([("PS1", "$ "), ("ASTRO", ASTRO)]));
    pty.wait_for("$ ");
    pty
}

fn start(pty: &mut Pty, world: &World, arguments: &str) {
    let domain = world.service.domain();
    pty.type_keys(&format!("\"$ASTRO\" login {domain} --insecure-storage {arguments}\n"));
}

fn end_of_shell(mut pty: Pty) -> String {
    pty.type_keys("\nexit\n");
    pty.finish().1
}

#[test]
fn lb_27_paste_is_hidden_after_stop_and_resume() {
    for (way, restored) in [("Ctrl-Z", true), ("SIGTSTP", true), ("SIGSTOP", false)] {
        let world = World::simple();
        let mut pty = shell(&world);
        start(&mut pty, &world, "--login-link --email ada@example.com");
        let link = pty.link();
        pty.wait_for(WAITING);
        pty.wait_for_raw(true);
        for _ in 0..2 {
            match way {
                "Ctrl-Z" => pty.type_keys(CTRL_Z),
                "SIGTSTP" => pty.signal_foreground(Signal::TSTP),
                _ => pty.signal_foreground(Signal::STOP),
            }
            pty.wait_for("Stopped");
            pty.wait_for("$ ");
            if restored {
                pty.wait_for_raw(false);
            }
            // As other shells restore the mode by themselves.
            pty.type_keys("stty sane noflsh\n");
            pty.wait_for("$ ");
            pty.wait_for_raw(false);
            pty.type_keys("fg\n");
            pty.wait_for_raw(true);
        }
        let callback = visit_elsewhere(&link, "ada@example.com");
        pty.paste(callback.as_str());
        pty.type_keys(ENTER);
        pty.wait_for("Logged in to");
        let shown = end_of_shell(pty);
        assert!(!shown.contains(&parameter(&callback, "code").unwrap()), "{way}: {shown}");
        world.assert_logged_in("ada@example.com");
    }
}

#[test]
fn question_is_shown_again_after_stop() {
    let world = World::simple();
    let mut pty = shell(&world);
    start(&mut pty, &world, "");
    pty.wait_for("press Enter to choose an account");
    pty.type_keys("ada@exa");
    pty.wait_for("ada@exa");
    pty.type_keys(CTRL_Z);
    pty.wait_for("Stopped");
    pty.wait_for_raw(false);
    pty.type_keys("fg\n");
    pty.wait_for_raw(true);
    pty.wait_for("ada@exa");
    pty.type_keys("mple.com\r");
    visit(&pty.link(), "ada@example.com");
    pty.wait_for("Logged in to");
    end_of_shell(pty);
    world.assert_logged_in("ada@example.com");
}

#[test]
fn ctrl_z_without_shell_does_not_freeze() {
    let world = World::simple();
    let mut pty = world.login(&["--login-link", "--email", "ada@example.com"]);
    let link = pty.link();
    pty.wait_for(WAITING);
    pty.type_keys(CTRL_Z);
    pty.wait_for_raw(false);
    pty.wait_for_raw(true);
    let callback = visit_elsewhere(&link, "ada@example.com");
    pty.paste(callback.as_str());
    pty.type_keys(ENTER);
    let shown = pty.finish_with(0);
    assert!(!shown.contains(&parameter(&callback, "code").unwrap()), "{shown}");
}

#[test]
fn ctrl_c_after_resume_cancels() {
    let world = World::simple();
    let mut pty = shell(&world);
    start(&mut pty, &world, "--login-link --email ada@example.com");
    pty.wait_for(WAITING);
    pty.wait_for_raw(true);
    pty.type_keys(CTRL_Z);
    pty.wait_for("Stopped");
    pty.wait_for_raw(false);
    pty.type_keys("fg\n");
    pty.wait_for_raw(true);
    pty.type_keys(CTRL_C);
    pty.wait_for("canceled\r\n");
    end_of_shell(pty);
    world.assert_nothing_is_stored();
}

/// The kernel sends SIGHUP when a terminal is closed.
#[test]
#[cfg(target_os = "linux")]
fn rf_16_closed_terminal_at_question_revokes_grant() {
    let world = World::simple();
    let environment = world.environment.iter().map(|(name, value)| (*name, value.as_str()));
    let domain = world.service.domain();
    let arguments = ["--default-signal", ASTRO, "login", &domain, "--insecure-storage"];
    let mut pty = Pty::spawn("/usr/bin/env", &arguments, environment);
    pty.wait_for("Email:");
    pty.type_keys(ENTER);
    visit(&pty.link(), "grace@example.org");
    pty.wait_for("Continue as grace@example.org?");
    pty.signal_foreground(Signal::HUP);
    pty.finish_with(130);
    world.assert_nothing_is_stored();
    assert_eq!(world.service.requests_to("/oauth/revoke").len(), 1);
}
