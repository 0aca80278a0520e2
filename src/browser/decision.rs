//! Where a browser could be opened, and why there or why not: from facts that are handed in, and nothing else.
//!
//! `$BROWSER` comes first, whatever else is known: somebody has chosen it for just this place. VS Code sets it in a
//! codespace to a helper that opens the browser of the person's own machine, and so may anybody over SSH. After it the
//! nearer fact decides: whether anybody is there, whose screen it is, whether there is one, and how it is asked.

use std::fmt;
use std::net::IpAddr;

use crate::environment::Environment;

/// Browsers that show a page in the terminal.
const TEXT_BROWSERS: [&str; 7] = ["www-browser", "lynx", "links", "links2", "elinks", "w3m", "browsh"];

/// What is known of this machine beside its environment variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// The operating system, as `std::env::consts::OS` names it.
    pub os: &'static str,
    /// Whether a file says that this is a container.
    pub container: bool,
    /// Whether there is a program that hands addresses to the desktop's browser. macOS and Windows always have one.
    pub launcher: bool,
}

/// What to do about a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// `$BROWSER` names what to start: alternatives, each a program and its arguments.
    Chosen(Vec<Vec<String>>),
    /// The platform's own way.
    Platform(Desktop),
    /// There is none to open.
    None(NoBrowser),
}

/// Whose browser the platform opens; completes "opens …".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Desktop {
    /// macOS.
    MacOs,
    /// Windows.
    Windows,
    /// Linux within Windows.
    Wsl,
    /// A Wayland session.
    Wayland,
    /// An X session.
    X,
}

impl fmt::Display for Desktop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MacOs => "the browser that macOS is set to",
            Self::Windows => "the browser that Windows is set to",
            Self::Wsl => "the browser of Windows, since this is WSL",
            Self::Wayland => "the desktop's browser (Wayland)",
            Self::X => "the desktop's browser (X)",
        })
    }
}

/// Why no browser can be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoBrowser {
    /// Nobody is there.
    #[error("this is a CI job")]
    Ci,
    /// The person's browser is at the other end of GitHub's tunnel.
    #[error("this is a codespace")]
    Codespace,
    /// The same, of Gitpod's.
    #[error("this is a Gitpod workspace")]
    Gitpod,
    /// The person sits at another machine.
    #[error("this is an SSH session")]
    Ssh,
    /// It would take over the terminal that has to wait.
    #[error("{0}, which BROWSER names, would need the terminal for itself")]
    TextBrowser(&'static str),
    /// A container without a screen.
    #[error("this is a container")]
    Container,
    /// There is no desktop to show one on.
    #[error("there is no display here")]
    NoDisplay,
    /// There is a desktop, and nothing that would hand it an address.
    #[error("there is no xdg-open here, nor anything like it")]
    NoLauncher,
}

/// How what a browser answers comes back, where the browser may not be on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WayBack {
    /// From Windows to its Linux.
    Wsl,
    /// Out of a codespace, a workspace, a container, or a machine reached over SSH, if the port is forwarded there.
    Forwarded(&'static str),
}

impl fmt::Display for WayBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wsl => f.write_str("Windows hands on what its browser sends to localhost"),
            Self::Forwarded(from) => write!(
                f,
                "a browser outside of this {from} gets back only where the port is forwarded; else paste its address"
            ),
        }
    }
}

/// Decides what to do.
pub fn decide(environment: &Environment, machine: &Machine) -> Opening {
    let alternatives = environment.get("BROWSER").map(alternatives).unwrap_or_default();
    let text_browser = alternatives.iter().find_map(|words| text_browser(words));
    let graphical: Vec<_> = alternatives.into_iter().filter(|words| self::text_browser(words).is_none()).collect();
    if !graphical.is_empty() {
        return Opening::Chosen(graphical);
    }
    let reason = elsewhere(environment).or(text_browser.map(NoBrowser::TextBrowser));
    reason.map_or_else(|| on_this_machine(environment, machine), Opening::None)
}

/// How an answer gets here from a browser that is not quite here; nothing where it simply is.
pub fn way_back(environment: &Environment, machine: &Machine) -> Option<WayBack> {
    if is_on(environment, "CODESPACES") {
        Some(WayBack::Forwarded("codespace"))
    } else if environment.get("GITPOD_WORKSPACE_ID").is_some() {
        Some(WayBack::Forwarded("workspace"))
    } else if is_over_ssh(environment) {
        Some(WayBack::Forwarded("machine"))
    } else if is_container(environment, machine) {
        Some(WayBack::Forwarded("container"))
    } else {
        is_wsl(environment).then_some(WayBack::Wsl)
    }
}

/// The command that makes the callback port of this machine reachable from the one that the person sits at.
pub fn forward_command(environment: &Environment, callback: u16) -> Option<String> {
    // "client-address client-port server-address server-port", as sshd sets it.
    let connection: Vec<&str> = environment.get("SSH_CONNECTION")?.split_whitespace().collect();
    let [_, _, server, port] = connection.as_slice() else { return None };
    let (server, port): (IpAddr, u16) = (server.parse().ok()?, port.parse().ok()?);
    let user = environment.get("USER").or_else(|| environment.get("LOGNAME"))?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !user.bytes().all(plain) {
        return None;
    }
    let port = if port == 22 { String::new() } else { format!("-p {port} ") };
    Some(format!("ssh {port}-L {callback}:localhost:{callback} {user}@{server}"))
}

/// Why nobody looks at a screen of this machine, if that is so.
fn elsewhere(environment: &Environment) -> Option<NoBrowser> {
    if is_on(environment, "CI") {
        Some(NoBrowser::Ci)
    } else if is_on(environment, "CODESPACES") {
        Some(NoBrowser::Codespace)
    } else if environment.get("GITPOD_WORKSPACE_ID").is_some() {
        Some(NoBrowser::Gitpod)
    } else {
        is_over_ssh(environment).then_some(NoBrowser::Ssh)
    }
}

fn on_this_machine(environment: &Environment, machine: &Machine) -> Opening {
    let desktop = match machine.os {
        "macos" => return Opening::Platform(Desktop::MacOs),
        "windows" => return Opening::Platform(Desktop::Windows),
        _ if is_wsl(environment) => Desktop::Wsl,
        _ if any(environment, &["WAYLAND_DISPLAY"]) => Desktop::Wayland,
        _ if any(environment, &["DISPLAY"]) => Desktop::X,
        _ if is_container(environment, machine) => return Opening::None(NoBrowser::Container),
        _ => return Opening::None(NoBrowser::NoDisplay),
    };
    if machine.launcher { Opening::Platform(desktop) } else { Opening::None(NoBrowser::NoLauncher) }
}

fn any(environment: &Environment, names: &[&str]) -> bool {
    names.iter().any(|name| environment.get(name).is_some())
}

/// Whether a switch is set, and not to a no.
fn is_on(environment: &Environment, name: &str) -> bool {
    environment.get(name).is_some_and(|value| !["false", "0", "no"].iter().any(|no| value.eq_ignore_ascii_case(no)))
}

fn is_over_ssh(environment: &Environment) -> bool {
    any(environment, &["SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"])
}

fn is_wsl(environment: &Environment) -> bool {
    any(environment, &["WSL_DISTRO_NAME", "WSL_INTEROP"])
}

/// systemd, podman and toolbox set `container`; Docker leaves a file.
fn is_container(environment: &Environment, machine: &Machine) -> bool {
    machine.container || any(environment, &["container"])
}

/// The alternatives in `$BROWSER`: separated by colons, each of them words.
pub(super) fn alternatives(value: &str) -> Vec<Vec<String>> {
    let words = |one: &str| one.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    value.split(':').map(words).filter(|words| !words.is_empty()).collect()
}

fn text_browser(words: &[String]) -> Option<&'static str> {
    let program = words.first()?.rsplit('/').next()?;
    TEXT_BROWSERS.into_iter().find(|known| *known == program)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Variables = &'static [(&'static str, &'static str)];

    const DESKTOP: Machine = Machine { os: "linux", container: false, launcher: true };
    const BARE: Machine = Machine { launcher: false, ..DESKTOP };
    const CONTAINER: Machine = Machine { container: true, ..BARE };
    const MACOS: Machine = Machine { os: "macos", ..DESKTOP };
    const WINDOWS: Machine = Machine { os: "windows", ..DESKTOP };
    const SSH: (&str, &str) = ("SSH_CONNECTION", "a 1 b 22");
    const X: (&str, &str) = ("DISPLAY", ":0");
    const CODESPACE: (&str, &str) = ("CODESPACES", "true");
    const GITPOD: (&str, &str) = ("GITPOD_WORKSPACE_ID", "amber-otter-1");
    const FIREFOX: (&str, &str) = ("BROWSER", "firefox");

    #[test]
    fn ar_2_environment_selects_browser_launch() {
        let none = Opening::None;
        let here = Opening::Platform;
        let chosen = |programs: &[&str]| Opening::Chosen(programs.iter().map(|it| vec![(*it).to_owned()]).collect());
        let firefox = || chosen(&["firefox"]);
        let table: Vec<(Machine, Variables, Opening)> = vec![
            // What there is to see.
            (DESKTOP, &[], none(NoBrowser::NoDisplay)),
            (DESKTOP, &[("DISPLAY", "")], none(NoBrowser::NoDisplay)),
            (DESKTOP, &[X], here(Desktop::X)),
            (DESKTOP, &[("WAYLAND_DISPLAY", "wayland-0")], here(Desktop::Wayland)),
            (DESKTOP, &[("WAYLAND_DISPLAY", "wayland-0"), X], here(Desktop::Wayland)),
            (DESKTOP, &[("WSL_DISTRO_NAME", "Debian")], here(Desktop::Wsl)),
            (DESKTOP, &[("WSL_INTEROP", "/run/WSL/8_interop"), X], here(Desktop::Wsl)),
            (MACOS, &[], here(Desktop::MacOs)),
            (WINDOWS, &[], here(Desktop::Windows)),
            (Machine { os: "freebsd", ..DESKTOP }, &[X], here(Desktop::X)),
            // How it is asked.
            (BARE, &[X], none(NoBrowser::NoLauncher)),
            (BARE, &[("WSL_DISTRO_NAME", "Debian")], none(NoBrowser::NoLauncher)),
            (BARE, &[], none(NoBrowser::NoDisplay)),
            // In a container there is seldom a screen, but there may be.
            (CONTAINER, &[], none(NoBrowser::Container)),
            (DESKTOP, &[("container", "podman")], none(NoBrowser::Container)),
            (CONTAINER, &[X], none(NoBrowser::NoLauncher)),
            (Machine { container: true, ..DESKTOP }, &[X], here(Desktop::X)),
            // The person is elsewhere, whatever there is here.
            (DESKTOP, &[X, SSH], none(NoBrowser::Ssh)),
            (DESKTOP, &[("WSL_DISTRO_NAME", "Debian"), ("SSH_TTY", "/dev/pts/0")], none(NoBrowser::Ssh)),
            (MACOS, &[("SSH_CLIENT", "a")], none(NoBrowser::Ssh)),
            (CONTAINER, &[SSH], none(NoBrowser::Ssh)),
            (CONTAINER, &[CODESPACE], none(NoBrowser::Codespace)),
            (CONTAINER, &[CODESPACE, SSH], none(NoBrowser::Codespace)),
            (DESKTOP, &[("CODESPACES", "false"), X], here(Desktop::X)),
            (CONTAINER, &[GITPOD], none(NoBrowser::Gitpod)),
            (DESKTOP, &[GITPOD, X], none(NoBrowser::Gitpod)),
            // Nobody is there.
            (DESKTOP, &[("CI", "true"), X], none(NoBrowser::Ci)),
            (MACOS, &[("CI", "1")], none(NoBrowser::Ci)),
            (CONTAINER, &[("CI", "woodpecker"), CODESPACE, SSH], none(NoBrowser::Ci)),
            (DESKTOP, &[("CI", "false"), X], here(Desktop::X)),
            // Somebody has chosen.
            (DESKTOP, &[FIREFOX], firefox()),
            (DESKTOP, &[FIREFOX, SSH], firefox()),
            (BARE, &[FIREFOX, X], firefox()),
            (CONTAINER, &[FIREFOX, CODESPACE], firefox()),
            (CONTAINER, &[FIREFOX, GITPOD], firefox()),
            (CONTAINER, &[FIREFOX], firefox()),
            (DESKTOP, &[FIREFOX, ("CI", "true")], firefox()),
            (MACOS, &[FIREFOX], firefox()),
            (DESKTOP, &[("BROWSER", "firefox:chromium")], chosen(&["firefox", "chromium"])),
            (DESKTOP, &[("BROWSER", " : ")], none(NoBrowser::NoDisplay)),
            (DESKTOP, &[("BROWSER", " : "), X], here(Desktop::X)),
            // A browser in the terminal that has to wait for it.
            (DESKTOP, &[("BROWSER", "lynx"), X], none(NoBrowser::TextBrowser("lynx"))),
            (DESKTOP, &[("BROWSER", "/usr/bin/w3m -o x=y %s")], none(NoBrowser::TextBrowser("w3m"))),
            (DESKTOP, &[("BROWSER", "links:elinks:www-browser")], none(NoBrowser::TextBrowser("links"))),
            (MACOS, &[("BROWSER", "elinks")], none(NoBrowser::TextBrowser("elinks"))),
            (DESKTOP, &[("BROWSER", "lynx:firefox")], firefox()),
            (DESKTOP, &[("BROWSER", "lynx"), SSH], none(NoBrowser::Ssh)),
            (DESKTOP, &[("BROWSER", "lynx"), ("CI", "true")], none(NoBrowser::Ci)),
        ];
        for (machine, variables, expected) in table {
            assert_eq!(decide(&Environment::from_pairs(variables), &machine), expected, "{machine:?} {variables:?}");
        }
    }

    #[test]
    fn remote_browser_gets_callback_route() {
        let table: [(Machine, Variables, Option<WayBack>); 10] = [
            (DESKTOP, &[X], None),
            (DESKTOP, &[SSH], Some(WayBack::Forwarded("machine"))),
            (CONTAINER, &[SSH], Some(WayBack::Forwarded("machine"))),
            (CONTAINER, &[SSH, CODESPACE], Some(WayBack::Forwarded("codespace"))),
            (DESKTOP, &[("WSL_DISTRO_NAME", "Debian")], Some(WayBack::Wsl)),
            (CONTAINER, &[FIREFOX, CODESPACE], Some(WayBack::Forwarded("codespace"))),
            (CONTAINER, &[GITPOD], Some(WayBack::Forwarded("workspace"))),
            (CONTAINER, &[], Some(WayBack::Forwarded("container"))),
            (DESKTOP, &[("container", "oci")], Some(WayBack::Forwarded("container"))),
            (MACOS, &[], None),
        ];
        for (machine, variables, expected) in table {
            assert_eq!(way_back(&Environment::from_pairs(variables), &machine), expected, "{variables:?}");
        }
    }
}
