//! Whether a browser can be opened here, which one, and why not.
//!
//! [`decide`] looks at nothing but the environment it is given; [`SystemBrowser`] carries the decision out. A browser is
//! started without a shell and without our token, gets the address as one argument, and is not waited for.

use std::io;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use url::Url;

use crate::aside::aside;
use crate::domain::is_loopback;
use crate::environment::{API_TOKEN, Environment};

const OPEN_BOUND: Duration = Duration::from_secs(5);
/// A launcher that fails at all fails within this time.
const LAUNCHER_BOUND: Duration = Duration::from_millis(250);
const LOOK_EVERY: Duration = Duration::from_millis(10);

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
            Opening::Platform => start_first(open::commands(url.as_str()), LAUNCHER_BOUND),
            // What the person has chosen may well be the browser itself, and what its end means is theirs to know.
            Opening::Chosen(alternatives) => {
                let commands = alternatives.iter().filter_map(|words| command(words, url.as_str()));
                start_first(commands, Duration::ZERO)
            }
            Opening::None(reason) => Err(io::Error::new(io::ErrorKind::Unsupported, reason.to_string())),
        }
    }
}

/// Starts the first that can be started and does not fail while it is watched; the first failure, where none can.
fn start_first(commands: impl IntoIterator<Item = Command>, watch: Duration) -> io::Result<()> {
    let mut failure = None;
    for mut command in commands {
        let Err(error) = start(&mut command, watch) else { return Ok(()) };
        let program = command.get_program().display();
        failure.get_or_insert_with(|| io::Error::new(error.kind(), format!("{program}: {error}")));
    }
    Err(failure.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
}

/// Starts one, without our terminal, and without our token: it has no use for it, and hands it on to whatever it starts.
fn start(command: &mut Command, watch: Duration) -> io::Result<()> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).env_remove(API_TOKEN);
    // In a group of its own, or Ctrl-C in the terminal would close the browser with us.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    let mut running = command.spawn()?;
    let end = Instant::now() + watch;
    while Instant::now() < end {
        match running.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(io::Error::other(status.to_string())),
            None => sleep(LOOK_EVERY),
        }
    }
    Ok(())
}

fn command(words: &[String], url: &str) -> Option<Command> {
    let (program, arguments) = words.split_first()?;
    let mut command = Command::new(program);
    command.args(arguments.iter().map(|word| word.replace("%s", url)));
    if !arguments.iter().any(|word| word.contains("%s")) {
        command.arg(url);
    }
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
        let present = vec![std::env::current_exe().unwrap().to_str().unwrap().to_owned()];
        let commands = |alternatives: &[&Vec<String>], url: &str| {
            alternatives.iter().filter_map(|words| command(words, url)).collect::<Vec<_>>()
        };
        assert!(start_first(commands(&[&missing, &present], "--help"), Duration::ZERO).is_ok());
        assert_eq!(
            start_first(commands(&[&missing], "x"), Duration::ZERO).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        // No test has this name, and no flag that one: the first succeeds, the second fails.
        let failing = || commands(&[&present], "--no-such-flag");
        assert!(start_first(failing(), Duration::ZERO).is_ok(), "nobody looks");
        let long = Duration::from_secs(30);
        assert!(start_first(failing(), long).unwrap_err().to_string().contains("exit"));
        assert!(start_first(failing().into_iter().chain(commands(&[&present], "--help")), long).is_ok());
    }
}
