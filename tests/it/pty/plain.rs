//! Logins in plain lines: with `ACCESSIBLE`, and on terminals without escape sequences.

use std::num::NonZero;

use super::{ASTRO, Options, Pty, WAITING, World, visit, visit_elsewhere};
use crate::support::pty::{CTRL_C, ENTER};

const CTRL_D: &str = "\x04";
const CTRL_Z: &str = "\x1a";
const COPY: &str = ", c and Enter to copy the link";

/// Two organizations with two workspaces each, none of them known by an address.
fn world() -> World {
    World::with(Options::default().organizations(2, 2)).set("ACCESSIBLE", "1")
}

/// `astro login` on a terminal of this size.
fn login(world: &World, (columns, rows): (u16, u16), more: &str) -> Pty {
    let domain = world.service.domain();
    let command =
        format!("stty cols {columns} rows {rows} && exec \"$ASTRO\" login {domain} --insecure-storage {more}");
    let environment = world.environment.iter().map(|(name, value)| (*name, value.as_str()));
    Pty::spawn("/bin/sh", &["-c", &command], environment.chain([("ASTRO", ASTRO)]))
}

/// Each step of a login, up to a prompt and with an answer to it.
const STEPS: [(&str, &str); 4] = [
    ("Email: ", ENTER),
    ("Continue as grace@example.org? (y/N) ", "y\r"),
    ("Number or name [1]: ", "2\r"),
    ("Number or name [1]: ", "org 2 workspace 1\r"),
];

/// Logs in up to the prompt of this step.
fn reach(world: &World, pty: &mut Pty, step: usize) {
    for (index, (prompt, answer)) in STEPS.iter().take(step + 1).enumerate() {
        pty.wait_for(prompt);
        if index < step {
            pty.type_keys(answer);
        }
        if index == 0 && step > 0 {
            visit(&pty.link(), "grace@example.org");
        }
    }
    assert!(!pty.is_raw(), "the terminal's own line mode");
    assert!(world.home.config().is_none() || step > 1);
}

/// The rows on a terminal of so many columns, without the ends of the link.
fn rows(world: &World, transcript: &str, columns: u16) -> String {
    let mut terminal = vt100::Parser::new(NonZero::new(200).unwrap(), NonZero::new(columns).unwrap(), 0);
    terminal.process(transcript.as_bytes());
    let rows: Vec<String> = terminal.screen().rows(0, columns).map(|row| row.trim_end().to_owned()).collect();
    let rows = rows.join("\n");
    let (before, rest) = rows.split_once("http://localhost:").unwrap();
    let rest = rest.split_once("\n\n").unwrap().1;
    let mut text = format!("{before}LINK\n\n{rest}").trim_end().to_owned();
    text = text.replace(&world.service.domain(), "localhost:PORT");
    if let Some(at) = text.find("expires       ").map(|at| at + "expires       ".len()) {
        let end = text[at..].find([',', ';']).unwrap();
        text.replace_range(at..at + end, "DATE");
    }
    text.replace(world.home.path().to_str().unwrap(), "HOME")
}

/// Panics if the transcript has an escape sequence other than of a color, or a row that is drawn again.
fn assert_nothing_is_drawn(transcript: &str, colors: bool) {
    for rest in transcript.split('\x1b').skip(1) {
        let end = rest.find(|character: char| !matches!(character, '[' | ';' | '0'..='9')).unwrap();
        assert!(colors && rest.starts_with('[') && rest[end..].starts_with('m'), "{rest:?} in {transcript:?}");
    }
    assert!(!transcript.replace("\r\n", "\n").contains(['\r', '\x08']), "{transcript:?}");
}

#[test]
fn accessible_login_is_plain_lines() {
    for (name, value, colors) in [("ACCESSIBLE", "1", true), ("NO_COLOR", "1", false), ("TERM", "dumb", false)] {
        let world = world().set(name, value);
        let mut pty = login(&world, (80, 24), "");
        reach(&world, &mut pty, 3);
        pty.type_keys("org\r");
        pty.wait_for("no match for `org`\r\nNumber or name [1]: ");
        pty.type_keys("00001\r");
        let shown = pty.finish_with(0);
        assert_nothing_is_drawn(&shown, colors);
        world.assert_logged_in("grace@example.org");
        insta::allow_duplicates! { insta::assert_snapshot!(rows(&world, &shown, 80).replace(COPY, ""), @r"
    Preparing to log in to localhost:PORT…
    press Enter to choose an account in the browser
    Email:
    Opening your browser. If it doesn't open, go to:
    
      LINK
    
    If the last page doesn't load, copy its URL from the address bar and paste it
    here.
    
    Waiting for browser login… (Ctrl-C to cancel)
    Verifying the login…
    Continue as grace@example.org? (y/N) y
    Organization:
      1  Organization 00001
      2  Organization 00002
    Number or name [1]: 2
    > Organization: Organization 00002
    Workspace:
      1  Workspace 00001
      2  Workspace 00002
    Number or name [1]: org
    no match for `org`
    Number or name [1]: 00001
    > Workspace: Workspace 00001
    ✓ Logged in to localhost:PORT as Grace Hopper <grace@example.org>
      organization  Organization 00002
      workspace     Workspace 00001
      credentials   HOME/.astro/config.yaml (unencrypted)
      expires       DATE, renews automatically
    "); }
    }
}

#[test]
fn plain_login_on_narrow_and_on_wide_terminal() {
    let transcript = |columns| {
        let world = world();
        let mut pty = login(&world, (columns, 4), "");
        reach(&world, &mut pty, 3);
        pty.type_keys(ENTER);
        let shown = pty.finish_with(0);
        assert_nothing_is_drawn(&shown, true);
        rows(&world, &shown, columns)
    };
    insta::assert_snapshot!(transcript(40), @r"
    Preparing to log in to localhost:PORT…
    press Enter to choose an account in the
    browser
    Email:
    Opening your browser. If it doesn't
    open, go to:
    
      LINK
    
    If the last page doesn't load, copy its
    URL from the address bar and paste it
    here.
    
    Waiting for browser login… (Ctrl-C to
    cancel, c and Enter to copy the link)
    Verifying the login…
    Continue as grace@example.org? (y/N) y
    Organization:
      1  Organization 00001
      2  Organization 00002
    Number or name [1]: 2
    > Organization: Organization 00002
    Workspace:
      1  Workspace 00001
      2  Workspace 00002
    Number or name [1]:
    > Workspace: Workspace 00001
    ✓ Logged in to localhost:PORT as Grace
    Hopper <grace@example.org>
      organization  Organization 00002
      workspace     Workspace 00001
      credentials   HOME/.astro/c
    onfig.yaml (unencrypted)
      expires       DATE, renews automatically
    ");
    insta::assert_snapshot!(transcript(200), @r"
    Preparing to log in to localhost:PORT…
    press Enter to choose an account in the browser
    Email:
    Opening your browser. If it doesn't open, go to:
    
      LINK
    
    If the last page doesn't load, copy its URL from the address bar and paste it here.
    
    Waiting for browser login… (Ctrl-C to cancel, c and Enter to copy the link)
    Verifying the login…
    Continue as grace@example.org? (y/N) y
    Organization:
      1  Organization 00001
      2  Organization 00002
    Number or name [1]: 2
    > Organization: Organization 00002
    Workspace:
      1  Workspace 00001
      2  Workspace 00002
    Number or name [1]:
    > Workspace: Workspace 00001
    ✓ Logged in to localhost:PORT as Grace Hopper <grace@example.org>
      organization  Organization 00002
      workspace     Workspace 00001
      credentials   HOME/.astro/config.yaml (unencrypted)
      expires       DATE, renews automatically
    ");
}

#[test]
fn long_plain_list_on_terminal_of_four_rows() {
    let world = World::with(Options::default().organizations(120, 1)).set("ACCESSIBLE", "1");
    let mut pty = login(&world, (30, 4), "--email ada@example.com");
    visit(&pty.link(), "ada@example.com");
    pty.wait_for("Organization:\r\n120 to choose from\r\nPart of the name: ");
    pty.type_keys("n 0000\r");
    pty.wait_for("  1  Organization 00001\r\n");
    pty.wait_for("  9  Organization 00009\r\nNumber or name [1]: ");
    pty.type_keys("0001\r");
    pty.wait_for("Number or name [1]: ");
    pty.type_keys("11\r");
    let shown = pty.finish_with(0);
    assert_nothing_is_drawn(&shown, true);
    assert!(shown.contains("Organization 00019\r\n"), "{shown}");
    assert_eq!(world.kept(&["organization"])[0].as_deref(), Some("clorg00000000000000000019"));
}

#[test]
fn accessible_takes_words_for_no() {
    for value in ["0", "false", "no", ""] {
        let world = World::new().set("ACCESSIBLE", value);
        let mut pty = world.login(&[]);
        pty.wait_for("[press Enter to choose an account in the browser]");
        pty.wait_for_raw(true);
        pty.type_keys(CTRL_C);
        pty.finish_with(130);
    }
}

#[test]
fn lb_25_ctrl_c_and_ctrl_d_cancel_plain_prompt() {
    for key in [CTRL_C, CTRL_D] {
        for step in 0..STEPS.len() {
            let world = world();
            let mut pty = login(&world, (80, 24), "");
            reach(&world, &mut pty, step);
            pty.type_keys(key);
            let shown = pty.finish_with(130);
            assert_nothing_is_drawn(&shown, true);
            assert!(super::screen(&shown).contains("\nwarning: canceled"), "{shown}");
            if step < 2 {
                world.assert_nothing_is_stored();
            } else {
                world.assert_logged_in("grace@example.org");
            }
        }
        let world = world();
        let mut pty = login(&world, (80, 24), "--token-login -");
        pty.wait_for("(input hidden):\r\n");
        pty.wait_for_raw(true);
        pty.type_keys(key);
        assert_nothing_is_drawn(&pty.finish_with(130), true);
    }
}

#[test]
fn plain_prompt_is_shown_again_after_stop() {
    let world = world().set("PS1", "$ ");
    let environment = world.environment.iter().map(|(name, value)| (*name, value.as_str()));
    let mut pty = Pty::spawn("/bin/sh", &["-i"], environment.chain([("ASTRO", ASTRO)]));
    pty.type_keys(&format!("\"$ASTRO\" login {} --insecure-storage\n", world.service.domain()));
    pty.wait_for("Email: ");
    pty.type_keys(CTRL_Z);
    pty.wait_for("Stopped");
    pty.type_keys("fg\n");
    pty.wait_for("Email: ");
    pty.type_keys("nobody\r");
    pty.wait_for("not an email address (expected name@example.com)\r\nEmail: ");
    pty.type_keys(CTRL_D);
    pty.wait_for("canceled");
    pty.type_keys("exit\n");
    pty.finish();
}

#[test]
fn lb_27_paste_in_plain_wait_is_hidden() {
    let world = world().set("TERM", "dumb");
    let mut pty = login(&world, (40, 10), "--login-link --email ada@example.com --organization 'Organization 00001'");
    let link = pty.link();
    pty.wait_for(WAITING);
    pty.wait_for_raw(true);
    let callback = visit_elsewhere(&link, "ada@example.com");
    pty.type_keys(&format!("c\rhello\r{callback}\r"));
    pty.wait_for("Number or name [1]: ");
    pty.type_keys(ENTER);
    let shown = pty.finish_with(0);
    assert_nothing_is_drawn(&shown, false);
    assert!(!shown.contains(&super::parameter(&callback, "code").unwrap()), "{shown}");
    assert!(!shown.contains("copy the link"), "{shown}");
}
