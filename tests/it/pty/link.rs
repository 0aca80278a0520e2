//! The link at a terminal: as a hyperlink (OSC 8), and sent for the clipboard (OSC 52).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{ENTER, Pty, WAITING, World};
use crate::support::pty::CTRL_C;

const COPY: &str = "c and Enter to copy the link";

/// Sends `c`, cancels the login, and returns the link and the transcript.
fn after_c(world: &World, flags: &[&str]) -> (String, String) {
    let mut pty = world.login(&[flags, &["--email", "ada@example.com"]].concat());
    let link = pty.link().to_string();
    pty.wait_for(WAITING);
    pty.wait_for_raw(true);
    pty.type_keys("c");
    pty.type_keys(ENTER);
    pty.wait_for(if world.has_clipboard() { "Sent the link to your terminal" } else { "this is not the callback URL" });
    pty.type_keys(CTRL_C);
    (link, pty.finish_with(130))
}

impl World {
    fn has_clipboard(&self) -> bool {
        let has = |name, value| self.environment.iter().any(|(it, set)| (*it, set.as_str()) == (name, value));
        !(has("TERM", "linux") || has("TERM", "dumb") || has("STY", "1"))
    }
}

#[test]
fn link_is_one_hyperlink_and_goes_to_clipboard() {
    for flags in [&["--login-link"][..], &[]] {
        for (name, value, hyperlink) in [
            ("TERM", "xterm", true),
            ("ACCESSIBLE", "1", false),
            ("TERM", "linux", false),
            ("TERM", "dumb", false),
            ("STY", "1", false),
        ] {
            let world = World::simple().set(name, value);
            let (link, shown) = after_c(&world, flags);
            let whole = format!("\x1b]8;id=login;{link}\x1b\\{link}\x1b]8;;\x1b\\\r\n");
            assert_eq!(
                (shown.contains(&whole), shown.contains("\x1b]8")),
                (hyperlink, hyperlink),
                "{value}: {shown:?}"
            );
            assert!(shown.contains(&link), "{shown}");
            let sent = shown.split_once("\x1b]52;c;").map(|(_, rest)| rest.split_once('\x07').unwrap().0);
            let sent = sent.map(|sent| String::from_utf8(STANDARD.decode(sent).unwrap()).unwrap());
            assert_eq!(sent, world.has_clipboard().then_some(link), "{value}: {shown:?}");
            assert_eq!(shown.contains(COPY), world.has_clipboard(), "{value}: {shown:?}");
        }
    }
}

#[test]
fn piped_link_is_bare() {
    let world = World::simple();
    let domain = world.service.domain();
    let command =
        format!("\"$ASTRO\" login {domain} --insecure-storage -l --email ada@example.com --color always | cat -v");
    let environment = world.environment.iter().map(|(name, value)| (*name, value.as_str()));
    let mut pty = Pty::spawn("/bin/sh", &["-c", &command], environment.chain([("ASTRO", super::ASTRO)]));
    let link = pty.link();
    super::visit(&link, "ada@example.com");
    let shown = pty.finish_with(0);
    assert!(!shown.contains("]8;"), "{shown:?}");
}
