//! What this machine has for a login: a browser, a port, a keychain, config.yaml and its environment.

use std::ffi::OsStr;

use url::Url;

use super::{Check, Outcome, Would};
use crate::browser::{NoBrowser, Opening, WayBack, forward_command, is_there, way_back};
use crate::commands::login::callback_port;
use crate::config::ConfigError;
use crate::credentials::{Credentials, Kind, StoreError};
use crate::environment::{API_TOKEN, Environment};
use crate::error::Error;
use crate::http::host_of;
use crate::jwt::Unverified;
use crate::oauth::{CallbackListener, ListenError};
use crate::session::{self, DomainSource, Session, environment_token};
use crate::text::clean;
use crate::time_format;

/// The variables that this program or what it stands on reads, and that decide something.
const VARIABLES: [&str; 22] = [
    "ASTRO_HOME",
    "ASTRO_DOMAIN",
    API_TOKEN,
    "ASTRO_NO_INSECURE_FALLBACK",
    "BROWSER",
    "CI",
    "CODESPACES",
    "GITPOD_WORKSPACE_ID",
    "SSH_CONNECTION",
    "SSH_CLIENT",
    "SSH_TTY",
    "WSL_DISTRO_NAME",
    "WSL_INTEROP",
    "container",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "DBUS_SESSION_BUS_ADDRESS",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NO_COLOR",
    "NO_PROXY",
    "no_proxy",
];

/// Of these the host and the port are told, and no password.
const PROXIES: [&str; 6] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// Reads the login and sees that the keychain is open, as a login does before it begins.
pub(super) async fn ask_keychain(session: &Session<'_>) -> Result<Option<Credentials>, StoreError> {
    session.keychain(|store, domain| store.load(domain).and_then(|found| store.ready().map(|()| found))).await
}

pub(super) fn domain(session: &Session<'_>, named_by: Option<DomainSource>) -> Check {
    let domain = &session.domain;
    match named_by {
        Some(by @ DomainSource::DefaultInstead) => Check::note("domain", &format!("{domain}, {by}")),
        Some(by) => Check::ok("domain", &format!("{domain}, {by}")),
        None => Check::note("domain", &format!("{domain}; config.yaml, which may name another, cannot be read")),
    }
}

/// The first of the programs that BROWSER names which is here.
pub(super) fn chosen_browser<'a>(environment: &Environment, opening: &'a Opening) -> Option<&'a str> {
    let Opening::Chosen(alternatives) = opening else { return None };
    let mut programs = alternatives.iter().filter_map(|words| words.first());
    programs.find(|program| is_there(environment, OsStr::new(program))).map(String::as_str)
}

pub(super) fn login(session: &Session<'_>, opening: &Opening, chosen: Option<&str>, way: Would) -> Check {
    let reason = match opening {
        Opening::Chosen(alternatives) => {
            if let Some(program) = chosen {
                return Check::ok("login", &format!("opens {}, which BROWSER names", clean(program, 100)));
            }
            let program = alternatives.first().and_then(|words| words.first()).map_or("", String::as_str);
            let detail = format!("prints a link: {}, which BROWSER names, is not here", clean(program, 100));
            return Check::note("login", &detail).advice("set BROWSER to a browser that is here, or to nothing");
        }
        Opening::Platform(desktop) => return Check::ok("login", &format!("opens {desktop}")),
        Opening::None(reason) => *reason,
    };
    if way == Would::Token {
        let check = Check::note("login", &format!("no browser is opened: {reason}, and there is no terminal"));
        let hint = Error::NoBrowserNoTerminal { reason }.hint_for(session.domain.as_str());
        return check.advice(&hint.unwrap_or_default());
    }
    let check = Check::ok("login", &format!("prints a link, and opens no browser: {reason}"));
    match reason {
        NoBrowser::NoLauncher => check.advice("install xdg-utils, or set BROWSER to a browser"),
        NoBrowser::TextBrowser(_) => check.advice("set BROWSER to one with a window of its own, or to nothing"),
        _ => check,
    }
}

/// Turns a failure into a note for a login that needs no port: with a token, or at a terminal, which can paste.
fn downgrade_if_optional(check: Check, session: &Session<'_>, way: Would) -> Check {
    if way == Would::Token || session.system.ui.can_ask() { Check { outcome: Outcome::Note, ..check } } else { check }
}

pub(super) fn callback(session: &Session<'_>, way: Would) -> Check {
    let port = callback_port(&session.domain);
    match CallbackListener::bind(port) {
        Err(taken @ ListenError::PortTaken(_)) => {
            downgrade_if_optional(Check::fail("callback", &taken.into(), session), session, way)
        }
        // Nobody can paste instead: a login takes any other failure for final.
        Err(failure) if way != Would::Token => Check::fail("callback", &failure.into(), session),
        Err(failure) => Check::note("callback", &failure.to_string()),
        Ok(_) => {
            let free = if port == 0 { "any free port will do".to_owned() } else { format!("port {port} is free") };
            match way_back(&session.system.environment, session.system.machine()).filter(|_| way != Would::Token) {
                Some(way @ WayBack::Forwarded(_)) => {
                    let check = Check::note("callback", &format!("{free}; {way}"));
                    match forward_command(&session.system.environment, port).filter(|_| port != 0) {
                        Some(forward) => check.advice(&format!("`{forward}`, run at your end first, forwards it")),
                        None => check,
                    }
                }
                Some(way @ WayBack::Wsl) => Check::ok("callback", &format!("{free}; {way}")),
                None => Check::ok("callback", &free),
            }
        }
    }
}

pub(super) fn loopback(session: &Session<'_>, way: Would) -> Check {
    match CallbackListener::bind(0).map(|listener| listener.bound_families()) {
        Ok((true, true)) => Check::ok("loopback", "127.0.0.1 and ::1"),
        Ok((true, false)) => Check::note("loopback", "127.0.0.1 alone: there is no ::1 here"),
        Ok((false, _)) => Check::note("loopback", "::1 alone: there is no 127.0.0.1 here"),
        Err(failure) if way != Would::Token => Check::fail("loopback", &failure.into(), session),
        Err(failure) => Check::note("loopback", &failure.to_string()),
    }
}

pub(super) fn keychain(session: &Session<'_>, keychain: &Result<Option<Credentials>, StoreError>) -> Check {
    let name = session.location_name(session::Location::Keychain);
    match keychain {
        Ok(_) => Check::ok("keychain", &format!("{name} is open, and takes the credentials")),
        Err(damaged @ StoreError::Damaged) => {
            Check::note("keychain", &format!("{name}: {damaged}; a login writes them anew"))
        }
        // A file that cannot be read is told of in its own line.
        Err(StoreError::Absent { reason }) if session.forbids_insecure_fallback().is_ok_and(|it| it) => {
            Check::fail("keychain", &Error::FallbackForbidden { reason }, session)
        }
        Err(StoreError::Absent { reason }) => {
            let detail = format!("none here ({reason}): the credentials would be plain text in config.yaml");
            Check::note("keychain", &detail).advice("start a keychain such as gnome-keyring, if you want one")
        }
        Err(failure) => Check::fail("keychain", &session.keychain_error(failure.clone()), session),
    }
}

pub(super) fn config(session: &Session<'_>) -> Check {
    let (config, domain) = (&session.config, &session.domain);
    // As a login does it, for somebody.
    let foreseen = config.check_editable(domain, |document| {
        document.update_context(domain, |context| context.user_email = Some("somebody@example.com".to_owned()))?;
        document.set_current_context(Some(domain.as_str()))
    });
    let path = config.path().display();
    match foreseen {
        Ok(()) => {}
        Err(ConfigError::Locked { path, .. }) => {
            let path = path.display();
            let busy = Check::note("config", &format!("another program is at work on it: {path} is locked"));
            return busy.advice("wait until other astro commands are done");
        }
        Err(failure) => return Check::fail("config", &failure.into(), session),
    }
    if let Some(warning) = config.writable_by_others() {
        return Check::note("config", &warning);
    }
    if config.readable_by_others() && session.context().is_ok_and(|context| context.token.is_some()) {
        let readable = Check::note("config", &format!("others may read the tokens in {path}"));
        return readable.advice(&format!("`chmod 600 {path}` ends that"));
    }
    match config.link_target() {
        _ if !config.path().exists() => Check::ok("config", &format!("a login will create {path}")),
        Some(target) => Check::ok("config", &format!("can be edited: {path}, a link to {}", target.display())),
        None => Check::ok("config", &format!("can be edited: {path}")),
    }
}

pub(super) fn account(session: &Session<'_>, keychain: Result<Option<Credentials>, StoreError>) -> Check {
    let now = session.now();
    if let Some(token) = environment_token(session.system) {
        let end = Unverified::parse(token.expose()).ok().and_then(|claims| claims.expires_at());
        let expired = if end.is_some_and(|end| end <= now) { ", and has expired" } else { "" };
        let detail = format!("the token in {API_TOKEN}, which wins over any login{expired}");
        return Check::note("account", &detail).advice("unset it to use a login");
    }
    let Ok(context) = session.context() else {
        return Check::note("account", "not known, since config.yaml cannot be read");
    };
    let found = match (session::credentials_from_context(&context), keychain) {
        (Some(credentials), _) => Some(credentials),
        (None, Ok(found)) => found,
        (None, Err(StoreError::Absent { .. })) => None,
        (None, Err(_)) => return Check::note("account", "not known, since the keychain cannot be read"),
    };
    let Some(found) = found else { return Check::ok("account", "nobody is signed in") };
    let who = match found.kind {
        Kind::ApiToken => "an API token".to_owned(),
        Kind::User => found.email.or(context.user_email).unwrap_or_else(|| "somebody".to_owned()),
    };
    let until = found.expires_at.map(|end| time_format::format_timestamp(end, now, &(session.system.time_zone)()));
    match (until, found.refresh) {
        (Some(end), Some(_)) => Check::ok("account", &format!("{who}, until {end}; renewed when needed")),
        (Some(end), None) if found.expires_at.is_some_and(|end| end <= now) => {
            Check::note("account", &format!("{who}, expired: {end}")).advice("sign in again")
        }
        (Some(end), None) => Check::ok("account", &format!("{who}, until {end}; not renewed")),
        (None, _) => Check::ok("account", &format!("{who}, without an end")),
    }
}

pub(super) fn variables(environment: &Environment) -> Check {
    let plain = VARIABLES.iter().filter(|name| environment.get(name).is_some()).map(|name| (*name).to_owned());
    let proxies: Vec<_> = PROXIES.iter().filter_map(|name| Some((name, proxy_host(environment.get(name)?)))).collect();
    let told = proxies.iter().map(|(name, host)| format!("{name} ({})", host.as_deref().unwrap_or("not understood")));
    let set: Vec<String> = plain.chain(told).collect();
    if set.is_empty() {
        return Check::ok("variables", "none is set that matters");
    }
    if proxies.iter().any(|(_, host)| host.is_none()) {
        return Check::note("variables", &set.join(", "))
            .advice("a proxy is named as http://HOST:PORT; what is not understood is not used");
    }
    Check::ok("variables", &set.join(", "))
}

/// The host and the port of a proxy, which may be given without a scheme; nothing where it is no address.
fn proxy_host(value: &str) -> Option<String> {
    let url = if value.contains("://") { value.parse::<Url>() } else { format!("http://{value}").parse() };
    url.ok().filter(Url::has_host).map(|url| host_of(&url))
}
