//! Decides which browser to launch, from the environment and [`Machine`] alone.
//!
//! `$BROWSER` comes first: VS Code sets it in a codespace to a helper that opens the browser of the user's own machine.
//! Then, in this order: a CI job, a remote session, no display, no launcher.

use std::net::IpAddr;

use crate::environment::Environment;

/// Text browsers, which run in the terminal.
const TEXT_BROWSERS: [&str; 7] = ["www-browser", "lynx", "links", "links2", "elinks", "w3m", "browsh"];

/// The properties of this machine beside its environment variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// The operating system, as `std::env::consts::OS` names it.
    pub os: &'static str,
    /// Whether a file marks this machine as a container.
    pub container: bool,
    /// Whether a program such as xdg-open exists. macOS and Windows always have one.
    pub launcher: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrowserLaunch {
    /// The alternatives in `$BROWSER`, each a program and its arguments.
    FromEnv(Vec<Vec<String>>),
    Platform(Desktop),
    Unavailable(NoBrowser),
}

/// The desktop whose default browser is opened. `Display` completes "opens …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Desktop {
    #[error("the default browser of macOS")]
    MacOs,
    #[error("the default browser of Windows")]
    Windows,
    #[error("the default browser of Windows (WSL)")]
    Wsl,
    #[error("the default browser (Wayland)")]
    Wayland,
    #[error("the default browser (X)")]
    X,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoBrowser {
    #[error("running in CI")]
    Ci,
    #[error("running in a codespace")]
    Codespace,
    #[error("running in a Gitpod workspace")]
    Gitpod,
    #[error("running over SSH")]
    Ssh,
    #[error("$BROWSER is {0}, a text browser, which cannot share this terminal")]
    TextBrowser(&'static str),
    #[error("running in a container")]
    Container,
    #[error("no display")]
    NoDisplay,
    #[error("no browser opener found (install xdg-utils or set BROWSER)")]
    NoLauncher,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallbackRoute {
    #[error("Windows forwards localhost to WSL")]
    Wsl,
    /// Through a forwarded port into this kind of place: a codespace, a container, a machine reached over SSH.
    #[error("if the browser runs outside this {0}, forward the port")]
    Forwarded(&'static str),
}

pub fn decide(environment: &Environment, machine: &Machine) -> BrowserLaunch {
    let alternatives = environment.get("BROWSER").map(alternatives).unwrap_or_default();
    let text_browser = alternatives.iter().find_map(|words| text_browser(words));
    let graphical: Vec<_> = alternatives.into_iter().filter(|words| self::text_browser(words).is_none()).collect();
    if !graphical.is_empty() {
        return BrowserLaunch::FromEnv(graphical);
    }
    let in_ci = is_on(environment, "CI").then_some(NoBrowser::Ci);
    let reason = in_ci.or_else(|| Some(remote_place(environment)?.1)).or(text_browser.map(NoBrowser::TextBrowser));
    reason.map_or_else(|| on_this_machine(environment, machine), BrowserLaunch::Unavailable)
}

/// Returns the route of the callback, or `None` if the browser is on this machine.
pub fn callback_route(environment: &Environment, machine: &Machine) -> Option<CallbackRoute> {
    let place = remote_place(environment).map(|(place, _)| place);
    let place = place.or_else(|| is_container(environment, machine).then_some("container"));
    place.map(CallbackRoute::Forwarded).or_else(|| is_wsl(environment).then_some(CallbackRoute::Wsl))
}

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

/// Returns the kind of place from which the user does not see this machine's display, and the reason that it is.
fn remote_place(environment: &Environment) -> Option<(&'static str, NoBrowser)> {
    if is_on(environment, "CODESPACES") {
        Some(("codespace", NoBrowser::Codespace))
    } else if any(environment, &["GITPOD_WORKSPACE_ID"]) {
        Some(("workspace", NoBrowser::Gitpod))
    } else {
        any(environment, &["SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"]).then_some(("machine", NoBrowser::Ssh))
    }
}

fn on_this_machine(environment: &Environment, machine: &Machine) -> BrowserLaunch {
    let desktop = match machine.os {
        "macos" => return BrowserLaunch::Platform(Desktop::MacOs),
        "windows" => return BrowserLaunch::Platform(Desktop::Windows),
        _ if is_wsl(environment) => Desktop::Wsl,
        _ if any(environment, &["WAYLAND_DISPLAY"]) => Desktop::Wayland,
        _ if any(environment, &["DISPLAY"]) => Desktop::X,
        _ if is_container(environment, machine) => return BrowserLaunch::Unavailable(NoBrowser::Container),
        _ => return BrowserLaunch::Unavailable(NoBrowser::NoDisplay),
    };
    if machine.launcher { BrowserLaunch::Platform(desktop) } else { BrowserLaunch::Unavailable(NoBrowser::NoLauncher) }
}

fn any(environment: &Environment, names: &[&str]) -> bool {
    names.iter().any(|name| environment.get(name).is_some())
}

/// Returns true if the variable is set to anything but `false`, `0` or `no`.
fn is_on(environment: &Environment, name: &str) -> bool {
    environment.get(name).is_some_and(|value| !["false", "0", "no"].iter().any(|no| value.eq_ignore_ascii_case(no)))
}

fn is_wsl(environment: &Environment) -> bool {
    any(environment, &["WSL_DISTRO_NAME", "WSL_INTEROP"])
}

/// Returns true in a container: systemd, podman and toolbox set `container`, Docker creates a file.
fn is_container(environment: &Environment, machine: &Machine) -> bool {
    machine.container || any(environment, &["container"])
}

/// Splits `$BROWSER` into its alternatives at colons, and each into words.
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
    fn the_environment_decides() {
        let none = BrowserLaunch::Unavailable;
        let here = BrowserLaunch::Platform;
        let chosen =
            |programs: &[&str]| BrowserLaunch::FromEnv(programs.iter().map(|it| vec![(*it).to_owned()]).collect());
        let firefox = || chosen(&["firefox"]);
        let table: Vec<(Machine, Variables, BrowserLaunch)> = vec![
            // Displays.
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
            // Launchers.
            (BARE, &[X], none(NoBrowser::NoLauncher)),
            (BARE, &[("WSL_DISTRO_NAME", "Debian")], none(NoBrowser::NoLauncher)),
            (BARE, &[], none(NoBrowser::NoDisplay)),
            // Containers, with and without a display.
            (CONTAINER, &[], none(NoBrowser::Container)),
            (DESKTOP, &[("container", "podman")], none(NoBrowser::Container)),
            (CONTAINER, &[X], none(NoBrowser::NoLauncher)),
            (Machine { container: true, ..DESKTOP }, &[X], here(Desktop::X)),
            // Remote sessions.
            (DESKTOP, &[X, SSH], none(NoBrowser::Ssh)),
            (DESKTOP, &[("WSL_DISTRO_NAME", "Debian"), ("SSH_TTY", "/dev/pts/0")], none(NoBrowser::Ssh)),
            (MACOS, &[("SSH_CLIENT", "a")], none(NoBrowser::Ssh)),
            (CONTAINER, &[SSH], none(NoBrowser::Ssh)),
            (CONTAINER, &[CODESPACE], none(NoBrowser::Codespace)),
            (CONTAINER, &[CODESPACE, SSH], none(NoBrowser::Codespace)),
            (DESKTOP, &[("CODESPACES", "false"), X], here(Desktop::X)),
            (CONTAINER, &[GITPOD], none(NoBrowser::Gitpod)),
            (DESKTOP, &[GITPOD, X], none(NoBrowser::Gitpod)),
            // CI.
            (DESKTOP, &[("CI", "true"), X], none(NoBrowser::Ci)),
            (MACOS, &[("CI", "1")], none(NoBrowser::Ci)),
            (CONTAINER, &[("CI", "woodpecker"), CODESPACE, SSH], none(NoBrowser::Ci)),
            (DESKTOP, &[("CI", "false"), X], here(Desktop::X)),
            // BROWSER.
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
            // Text browsers.
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
    fn a_browser_that_is_elsewhere_has_its_callback_route() {
        let table: [(Machine, Variables, Option<CallbackRoute>); 10] = [
            (DESKTOP, &[X], None),
            (DESKTOP, &[SSH], Some(CallbackRoute::Forwarded("machine"))),
            (CONTAINER, &[SSH], Some(CallbackRoute::Forwarded("machine"))),
            (CONTAINER, &[SSH, CODESPACE], Some(CallbackRoute::Forwarded("codespace"))),
            (DESKTOP, &[("WSL_DISTRO_NAME", "Debian")], Some(CallbackRoute::Wsl)),
            (CONTAINER, &[FIREFOX, CODESPACE], Some(CallbackRoute::Forwarded("codespace"))),
            (CONTAINER, &[GITPOD], Some(CallbackRoute::Forwarded("workspace"))),
            (CONTAINER, &[], Some(CallbackRoute::Forwarded("container"))),
            (DESKTOP, &[("container", "oci")], Some(CallbackRoute::Forwarded("container"))),
            (MACOS, &[], None),
        ];
        for (machine, variables, expected) in table {
            assert_eq!(callback_route(&Environment::from_pairs(variables), &machine), expected, "{variables:?}");
        }
    }
}
