//! The checks of this machine: browser, port, keychain, config.yaml and environment.

use std::ffi::OsStr;

use url::Url;

use super::{Check, Outcome, Would, messages};
use crate::browser::{BrowserLaunch, CallbackRoute, NoBrowser, callback_route, forward_command, program_exists};
use crate::commands::login::callback_port;
use crate::config::{ConfigError, Context};
use crate::credentials::vault::{Vault, VaultError};
use crate::credentials::{Credentials, Kind, StoreError};
use crate::domain::{Domain, Product};
use crate::environment::{API_TOKEN, CREDENTIALS, Environment, NO_INSECURE_FALLBACK, PROXIES};
use crate::error::{Error, Warning};
use crate::houston::HoustonError;
use crate::http::host_of;
use crate::next_astro::CHOICE;
use crate::oauth::{CallbackListener, ListenError};
use crate::session::{self, DomainSource, Location, Session, StorageChoice, StoragePlan};
use crate::text::clean;
use crate::time_format;

const VARIABLES: [&str; 24] = [
    "ASTRO_HOME",
    "ASTRO_DOMAIN",
    API_TOKEN,
    CHOICE,
    CREDENTIALS,
    NO_INSECURE_FALLBACK,
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

/// Returns the name of the vault's key if a login could be saved there, and the login that config.yaml says is there.
pub(super) async fn read_vault(
    session: &Session<'_>,
) -> (Result<Option<String>, VaultError>, Result<Option<Credentials>, VaultError>) {
    if session.domain.product() == Product::PrivateCloud {
        return (Ok(None), Ok(None));
    }
    let login = match session.context() {
        Ok(context) if context.in_vault => session.load_from_vault(&context).await,
        Ok(_) | Err(_) => Ok(None),
    };
    (session.vault(Vault::ready).await, login)
}

pub(super) fn vault(session: &Session<'_>, ready: Result<Option<String>, VaultError>) -> Check {
    let key = match ready {
        Ok(None) => return Check::ok("vault", "none (no ~/.astro/secrets)"),
        Ok(Some(key)) => key,
        Err(VaultError::OpenToOthers(folder)) => {
            return Check::warning("vault", &Warning::VaultOpenToOthers { folder });
        }
        Err(failure) => {
            return Check::note("vault", &format!("Astro CLI 2 would not see a login made now: {failure}"));
        }
    };
    let vault = &session.system.vault;
    let contexts = session.config.read().map(|document| document.contexts()).unwrap_or_default();
    let pointing = contexts.into_iter().filter(|it| it.in_vault).filter_map(|it| it.domain.parse().ok());
    let held: Vec<String> =
        pointing.filter(|it| vault.has(&session.vault_name(it).entry())).map(|it: Domain| it.to_string()).collect();
    let held = if held.is_empty() { String::new() } else { format!(", has the login to {}", held.join(", ")) };
    let has_marker = vault.has(&session.vault_name(&session.domain).marker());
    let marker = if has_marker { "; the login to this domain is shared in config.yaml instead" } else { "" };
    Check::ok("vault", &format!("shared with Astro CLI 2 (key {key}){held}{marker}"))
}

pub(super) fn domain(session: &Session<'_>, source: Option<DomainSource>) -> Check {
    let domain = &session.domain;
    match source {
        Some(source @ DomainSource::DefaultInstead(_)) => Check::note("domain", &format!("{domain} ({source})")),
        Some(source) => Check::ok("domain", &format!("{domain} ({source})")),
        None => Check::note("domain", &format!("{domain} (could not read the current context from config.yaml)")),
    }
}

pub(super) fn browser_from_env<'a>(environment: &Environment, launch: &'a BrowserLaunch) -> Option<&'a str> {
    let BrowserLaunch::FromEnv(alternatives) = launch else { return None };
    let mut programs = alternatives.iter().filter_map(|words| words.first());
    programs.find(|program| program_exists(environment, OsStr::new(program))).map(String::as_str)
}

pub(super) fn login(session: &Session<'_>, launch: &BrowserLaunch, program: Option<&str>, would: Would) -> Check {
    if would == Would::Token && session.domain.product() == Product::PrivateCloud {
        let hint = HoustonError::NoTerminal.hint(session.domain.as_str());
        return Check::note("login", "needs a token or a password: no terminal").advice(&hint);
    }
    let reason = match launch {
        BrowserLaunch::FromEnv(alternatives) => {
            if let Some(program) = program {
                return Check::ok("login", &format!("opens {} (from BROWSER)", clean(program, 100)));
            }
            let program = alternatives.first().and_then(|words| words.first()).map_or("", String::as_str);
            let detail = format!("prints a link: could not find {} (from BROWSER)", clean(program, 100));
            return Check::note("login", &detail).advice("set BROWSER to an installed browser, or unset it");
        }
        BrowserLaunch::Platform(desktop) => return Check::ok("login", &format!("opens {desktop}")),
        BrowserLaunch::Unavailable(reason) => *reason,
    };
    if would == Would::Token {
        let check = Check::note("login", &format!("needs a token: no browser ({reason}) and no terminal"));
        let hint = Error::NoBrowserNoTerminal { reason }.hint_for(session.domain.as_str());
        return check.advice(&hint.unwrap_or_default());
    }
    let check = Check::ok("login", &format!("prints a link instead of opening a browser: {reason}"));
    match reason {
        NoBrowser::TextBrowser(_) => check.advice("set BROWSER to a graphical browser, or unset it"),
        _ => check,
    }
}

/// Returns the check of a port that could not be bound. A token login needs none, and on a terminal the URL can be pasted if
/// the port is taken; otherwise a login fails.
fn unbound(name: &'static str, failure: ListenError, session: &Session<'_>, would: Would) -> Check {
    let can_paste = matches!(failure, ListenError::PortTaken(_)) && session.system.ui.can_ask();
    let check = Check::fail(name, &failure.into(), session);
    if would == Would::Token || can_paste { Check { outcome: Outcome::Note, ..check } } else { check }
}

pub(super) fn callback(session: &Session<'_>, would: Would) -> Check {
    let port = callback_port(&session.domain);
    if let Err(failure) = CallbackListener::bind(port) {
        return unbound("callback", failure, session, would);
    }
    let free = if port == 0 { "any free port".to_owned() } else { format!("port {port} is free") };
    let environment = &session.system.environment;
    match callback_route(environment, session.system.machine()).filter(|_| would != Would::Token) {
        Some(route @ CallbackRoute::Forwarded(_)) => {
            let paste = if session.system.ui.can_ask() { " or paste the final URL" } else { "" };
            let check = Check::note("callback", &format!("{free}; {route}{paste}"));
            match forward_command(environment, port).filter(|_| port != 0) {
                Some(forward) => check.advice(&format!("run `{forward}` on your machine first")),
                None => check,
            }
        }
        Some(route @ CallbackRoute::Wsl) => Check::ok("callback", &format!("{free}; {route}")),
        None => Check::ok("callback", &free),
    }
}

pub(super) fn loopback(session: &Session<'_>, would: Would) -> Check {
    match CallbackListener::bind(0).map(|listener| listener.bound_families()) {
        Ok((true, true)) => Check::ok("loopback", "127.0.0.1 and ::1"),
        Ok((true, false)) => Check::note("loopback", "127.0.0.1 only (no ::1 on this machine)"),
        Ok((false, _)) => Check::note("loopback", "::1 only (no 127.0.0.1 on this machine)"),
        Err(failure) => unbound("loopback", failure, session, would),
    }
}

/// Shows the setting in effect, and what a login would do by it.
pub(super) fn storage(
    session: &Session<'_>,
    choice: &Result<StorageChoice, Error>,
    plan: Option<&StoragePlan>,
) -> Check {
    let choice = match choice {
        Ok(choice) => choice,
        // The check of config.yaml reports the error.
        Err(Error::Config(_)) => return Check::note("storage", "unknown: could not read config.yaml"),
        Err(refused) => return Check::fail("storage", refused, session),
    };
    let outcome = match plan {
        Some(StoragePlan::AskToShare { .. }) => "; a login asks first, because the Go CLI shares the stored one",
        Some(StoragePlan::Shared) => "; a login without a terminal stays in config.yaml, which the Go CLI shares",
        Some(StoragePlan::Encrypted(_) | StoragePlan::Plain | StoragePlan::Fallback { .. }) | None => "",
    };
    Check::ok("storage", &format!("{choice}{outcome}"))
}

pub(super) fn keychain(
    session: &Session<'_>,
    keychain: &Result<Option<Credentials>, StoreError>,
    plan: Option<&Result<StoragePlan, Error>>,
) -> Check {
    let name = session.location_name(Location::Keychain);
    match (keychain, plan) {
        (_, Some(Err(refused))) => Check::fail("keychain", refused, session),
        (Ok(_), _) => Check::ok("keychain", &format!("{name} unlocked")),
        (Err(damaged @ StoreError::Damaged), _) => {
            Check::note("keychain", &format!("{name}: {damaged}; a login replaces them"))
        }
        (Err(unused), Some(Ok(StoragePlan::Plain | StoragePlan::Shared))) => {
            Check::note("keychain", &format!("not used: {unused}"))
        }
        (Err(StoreError::Absent { reason }), _) => {
            let detail = format!("no keychain ({reason}); credentials would be saved unencrypted");
            Check::note("keychain", &detail).advice("start a keychain such as gnome-keyring")
        }
        (Err(failure), _) => Check::note("keychain", &failure.to_string()),
    }
}

pub(super) fn config(session: &Session<'_>) -> Check {
    let (config, domain) = (&session.config, &session.domain);
    // The same edit as a login's.
    let foreseen = config.check_editable(domain, |document| {
        document.update_context(domain, |context| context.user_email = Some("user@example.com".to_owned()))?;
        document.set_current_context(Some(domain.as_str()))
    });
    let path = config.path().display();
    match foreseen {
        Ok(()) => {}
        Err(ConfigError::Locked { path, .. }) => {
            let path = path.display();
            let busy = Check::note("config", &format!("another program is using it: {path} is locked"));
            return busy.advice("wait for other astro commands to finish");
        }
        Err(failure) => return Check::fail("config", &failure.into(), session),
    }
    if let Some(folder) = config.writable_by_others() {
        return Check::warning("config", &Warning::FolderWritable { folder });
    }
    if config.readable_by_others() && session.context().is_ok_and(|context| context.token.is_some()) {
        return Check::warning("config", &Warning::ConfigReadable { path: config.path().to_owned() });
    }
    match config.link_target() {
        _ if !config.path().exists() => Check::ok("config", &format!("{path} will be created")),
        Some(target) => Check::ok("config", &format!("{path} is writable (links to {})", target.display())),
        None => Check::ok("config", &format!("{path} is writable")),
    }
}

pub(super) fn account(
    session: &Session<'_>,
    keychain: Result<Option<Credentials>, StoreError>,
    in_vault: Result<Option<Credentials>, VaultError>,
) -> Check {
    if session.is_overridden() {
        let fault = match session.environment_token() {
            Ok(_) => String::new(),
            Err(Error::ApiTokenExpired { .. }) => " (expired)".to_owned(),
            Err(failure) => format!(" ({})", messages(&failure)),
        };
        let detail = format!("{API_TOKEN} overrides any login{fault}");
        return Check::note("account", &detail).advice("unset it to use your login");
    }
    let Ok(context) = session.context() else {
        return Check::note("account", "unknown: could not read config.yaml");
    };
    let in_vault = match in_vault {
        Err(failure) => {
            return Check { outcome: Outcome::Note, ..Check::fail("account", &session.vault_error(failure), session) };
        }
        Ok(found) => found.filter(|it| !it.access.is_empty()),
    };
    let in_config = session::credentials_from_context(&context);
    let in_keychain = match keychain {
        Ok(found) => found,
        Err(StoreError::Absent { .. }) => None,
        Err(_) if context.in_vault => None,
        Err(_) if in_config.as_ref().is_some_and(|it| it.kind != Kind::ApiToken) => None,
        Err(_) => return Check::note("account", "unknown: could not read the keychain"),
    };
    let Some((location, found)) = session::login_in_use(&context, in_vault, in_keychain.clone()) else {
        return Check::ok("account", "not logged in");
    };
    let second = match location {
        Location::Keychain => in_config,
        Location::Vault | Location::Config => in_keychain,
    };
    let check = login_in_use(session, &context, found);
    match second {
        Some(second) => {
            let also = session.second_login_warning(location, &second);
            let detail = clean(&format!("{}; {also}", check.detail), 600);
            Check { outcome: Outcome::Note, detail, ..check }.advice(&also.hint())
        }
        None => check,
    }
}

fn login_in_use(session: &Session<'_>, context: &Context, found: Credentials) -> Check {
    let now = session.now();
    if let Err(mismatch @ Error::IssuerMismatch { .. }) = session.require_usable(&found) {
        return Check::note("account", &mismatch.to_string()).advice("log in again");
    }
    let who = match found.kind {
        Kind::ApiToken => "an API token".to_owned(),
        Kind::PrivateCloud => "a token of Astro Private Cloud".to_owned(),
        Kind::User => found.email.or_else(|| context.user_email.clone()).unwrap_or_else(|| "unknown email".to_owned()),
    };
    let expires = found.expires_at.map(|end| time_format::format_timestamp(end, now, &(session.system.time_zone)()));
    match (expires, found.refresh) {
        (Some(end), Some(_)) => Check::ok("account", &format!("{who}, expires {end}, renews automatically")),
        (Some(end), None) if found.expires_at.is_some_and(|end| end <= now) => {
            Check::note("account", &format!("{who}, expired {end}")).advice("log in again")
        }
        (Some(end), None) => Check::ok("account", &format!("{who}, expires {end}")),
        (None, _) => Check::ok("account", &format!("{who}, never expires")),
    }
}

pub(super) fn variables(environment: &Environment) -> Check {
    let plain = VARIABLES.iter().filter(|name| environment.get(name).is_some()).map(|name| (*name).to_owned());
    // A proxy's URL may hold a password, so only host and port are shown.
    let proxies: Vec<_> =
        PROXIES.iter().filter_map(|name| Some((name, proxy_host(environment.get(name)?.trim())))).collect();
    let shown = proxies.iter().map(|(name, host)| format!("{name} ({})", host.as_deref().unwrap_or("invalid")));
    let set: Vec<String> = plain.chain(shown).collect();
    if set.is_empty() {
        return Check::ok("variables", "none set");
    }
    if proxies.iter().any(|(_, host)| host.is_none()) {
        return Check::note("variables", &set.join(", ")).advice("set a proxy as http://HOST:PORT, without quotes");
    }
    Check::ok("variables", &set.join(", "))
}

/// Returns the host and port of a proxy, whose scheme is optional, or `None` if it is invalid.
fn proxy_host(value: &str) -> Option<String> {
    let url = if value.contains("://") { value.parse::<Url>() } else { format!("http://{value}").parse() };
    url.ok().filter(Url::has_host).map(|url| host_of(&url))
}
