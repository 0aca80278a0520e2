//! Whether a browser can be opened here, which one, and why not.
//!
//! [`decide`] looks at nothing but the environment it is given; [`SystemBrowser`] carries the decision out. A browser is
//! started without a shell, gets the address as one argument, and is not waited for.

use std::io;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::aside::aside;
use crate::domain::is_loopback;
use crate::environment::Environment;

const OPEN_BOUND: Duration = Duration::from_secs(5);

/// Opens a page for the person.
pub trait Browser: Send + Sync {
    /// Hands the address over. Success means that something was started, not that a page is seen.
    fn open(&self, url: &Url) -> io::Result<()>;
}

/// What to do about a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// `$BROWSER` names what to start: alternatives, each a program and its arguments.
    Chosen(Vec<Vec<String>>),
    /// The platform's own way.
    Platform,
    /// There is none to open.
    None(NoBrowser),
}

/// Why no browser can be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoBrowser {
    /// The person sits at another machine.
    #[error("this is an SSH session")]
    Ssh,
    /// There is no desktop to show one on.
    #[error("there is no display here")]
    NoDisplay,
}

/// Decides from the environment; `os` is `std::env::consts::OS`.
pub fn decide(environment: &Environment, os: &str) -> Opening {
    let chosen = environment.get("BROWSER").map(alternatives).unwrap_or_default();
    if !chosen.is_empty() {
        return Opening::Chosen(chosen);
    }
    let any = |names: &[&str]| names.iter().any(|name| environment.get(name).is_some());
    if any(&["SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"]) {
        return Opening::None(NoBrowser::Ssh);
    }
    let has_desktop =
        matches!(os, "macos" | "windows") || any(&["DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME", "WSL_INTEROP"]);
    if has_desktop { Opening::Platform } else { Opening::None(NoBrowser::NoDisplay) }
}

/// The alternatives in `$BROWSER`: separated by colons, each of them words.
fn alternatives(value: &str) -> Vec<Vec<String>> {
    let words = |one: &str| one.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    value.split(':').map(words).filter(|words| !words.is_empty()).collect()
}

/// The person's own browser.
pub struct SystemBrowser {
    opening: Opening,
}

impl SystemBrowser {
    /// A browser that opens as was decided.
    pub fn new(opening: Opening) -> Self {
        Self { opening }
    }
}

impl Browser for SystemBrowser {
    fn open(&self, url: &Url) -> io::Result<()> {
        // The opener would run other schemes too: `file:` and whatever else is registered on the desktop.
        let may_open = url.scheme() == "https" || (url.scheme() == "http" && url.host_str().is_some_and(is_loopback));
        if !may_open {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "only https addresses are opened"));
        }
        match &self.opening {
            Opening::Platform => open::that_detached(url.as_str()),
            Opening::Chosen(alternatives) => open_first(alternatives, url.as_str()),
            Opening::None(reason) => Err(io::Error::new(io::ErrorKind::Unsupported, reason.to_string())),
        }
    }
}

fn open_first(alternatives: &[Vec<String>], url: &str) -> io::Result<()> {
    let mut failure = io::Error::from(io::ErrorKind::NotFound);
    for words in alternatives {
        match command(words, url).map(|mut command| command.spawn()) {
            Some(Ok(_running)) => return Ok(()),
            Some(Err(error)) => failure = io::Error::new(error.kind(), format!("{}: {error}", words[0])),
            None => {}
        }
    }
    Err(failure)
}

fn command(words: &[String], url: &str) -> Option<Command> {
    let (program, arguments) = words.split_first()?;
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.args(arguments.iter().map(|word| word.replace("%s", url)));
    if !arguments.iter().any(|word| word.contains("%s")) {
        command.arg(url);
    }
    // In a group of its own, or Ctrl-C in the terminal would close the browser with us.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    Some(command)
}

/// Opens `url` away from the runtime's thread, for some launchers block; gives up waiting after five seconds.
pub async fn open(browser: Arc<dyn Browser>, url: Url) -> io::Result<()> {
    match tokio::time::timeout(OPEN_BOUND, aside(move || browser.open(&url))).await {
        Ok(outcome) => outcome?,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides() {
        type Variables = &'static [(&'static str, &'static str)];
        let firefox = Opening::Chosen(vec![vec!["firefox".to_owned()]]);
        let table: Vec<(&str, Variables, Opening)> = vec![
            ("linux", &[], Opening::None(NoBrowser::NoDisplay)),
            ("linux", &[("DISPLAY", ":0")], Opening::Platform),
            ("linux", &[("WAYLAND_DISPLAY", "wayland-0")], Opening::Platform),
            ("linux", &[("WSL_DISTRO_NAME", "Debian")], Opening::Platform),
            ("linux", &[("DISPLAY", "")], Opening::None(NoBrowser::NoDisplay)),
            ("linux", &[("DISPLAY", ":0"), ("SSH_CONNECTION", "a 1 b 22")], Opening::None(NoBrowser::Ssh)),
            ("linux", &[("SSH_TTY", "/dev/pts/0"), ("BROWSER", "firefox")], firefox),
            ("linux", &[("BROWSER", " : ")], Opening::None(NoBrowser::NoDisplay)),
            ("macos", &[], Opening::Platform),
            ("macos", &[("SSH_CLIENT", "a")], Opening::None(NoBrowser::Ssh)),
            ("windows", &[], Opening::Platform),
        ];
        for (os, variables, expected) in table {
            assert_eq!(decide(&Environment::from_pairs(variables), os), expected, "{os} {variables:?}");
        }
    }

    #[test]
    fn ar_16_the_address_is_one_argument_and_no_shell_sees_it() {
        let url = "https://auth.astronomer.io/authorize?a=1&b=$(id);'";
        let arguments = |value: &str| {
            let alternative = alternatives(value).remove(0);
            let command = command(&alternative, url).unwrap();
            command.get_args().map(|it| it.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(arguments("firefox"), [url]);
        assert_eq!(arguments("firefox --new-window %s"), ["--new-window", url]);
        assert_eq!(arguments("app --url=%s"), [format!("--url={url}")]);
        assert_eq!(alternatives("a b:c"), [vec!["a", "b"], vec!["c"]]);
    }

    #[test]
    fn ar_16_other_schemes_are_not_opened() {
        let browser = SystemBrowser::new(Opening::Platform);
        for address in ["file:///etc/passwd", "javascript:alert(1)", "http://astronomer.io/"] {
            let refused = browser.open(&Url::parse(address).unwrap()).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{address}");
        }
    }

    #[test]
    fn the_next_alternative_is_tried() {
        let missing = vec!["/nonexistent/browser".to_owned()];
        let present = vec![std::env::current_exe().unwrap().to_str().unwrap().to_owned(), "--help".to_owned()];
        assert!(open_first(&[missing.clone(), present], "--help").is_ok());
        assert_eq!(open_first(&[missing], "x").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
