//! Every error and warning has one hint of one sentence.

mod examples;

use super::super::{NotFound, Warning};
use super::*;
use crate::config::{ConfigError, DocumentError};
use crate::oauth::Unrelated;
use examples::{faults, login_errors, place_errors, server_errors, warnings};

#[test]
fn hint_names_domain_of_command() {
    let damaged = |domain: &str| Error::Store { domain: domain.to_owned(), source: StoreError::Damaged };
    let unreached = |host: &str, domain: &str| {
        let error = HttpError { step: "ask", host: host.to_owned(), fault: Fault::Connect("refused".to_owned()) };
        Error::from(error).during_login(&domain.parse().unwrap())
    };
    let table = [
        (
            unreached("api.astronomer-stage.io", "astronomer-stage.io"),
            "check the network and, behind a proxy, HTTPS_PROXY, or run `astro auth doctor --domain astronomer-stage.io`",
        ),
        (unreached("localhost:8889", "localhost:8889"), "check that the local server is running"),
        (Error::NotLoggedIn { domain: "astronomer.io".to_owned(), no_keychain: None }, "run `astro login`"),
        (
            Error::NotLoggedIn { domain: "astronomer-stage.io".to_owned(), no_keychain: None },
            "run `astro login astronomer-stage.io`",
        ),
        (damaged("astronomer.io"), "run `astro login` to replace them"),
        (damaged("localhost:8889"), "run `astro login localhost:8889` to replace them"),
    ];
    for (error, hint) in table {
        assert_eq!(error.hint().as_deref(), Some(hint), "{error:?}");
    }
}

/// Names each variant of an error or warning that has a hint of its own. The match is exhaustive: a new variant fails to
/// compile here, and then needs an example below.
macro_rules! variants {
    ($function:ident($type:ty) { $($name:literal: $pattern:pat,)+ }) => {
        fn $function(value: &$type) -> &'static str {
            match value { $($pattern => $name,)+ }
        }

        impl AllVariants for $type {
            const NAMES: &'static [&'static str] = &[$($name),+];
        }
    };
}

trait AllVariants {
    const NAMES: &'static [&'static str];
}

variants! { error_name(Error) {
    "canceled": Error::Canceled | Error::Ui(UiError::Canceled),
    "login": Error::Login { .. },
    "selection": Error::Selection { .. },
    "domain": Error::Domain(_),
    "token as domain": Error::TokenAsDomain,
    "token text, variable": Error::TokenText { place: TokenPlace::Variable, .. },
    "token text, argument": Error::TokenText { place: TokenPlace::Argument, .. },
    "token text, stdin": Error::TokenText { place: TokenPlace::Stdin, .. },
    "token text, prompt": Error::TokenText { place: TokenPlace::Prompt, .. },
    "relative path": Error::Environment(EnvironmentError::RelativePath(_)),
    "not text": Error::Environment(EnvironmentError::NotText(_)),
    "no home": Error::NoHome,
    "no browser in CI": Error::NoBrowserNoTerminal { reason: NoBrowser::Ci },
    "no browser": Error::NoBrowserNoTerminal { .. },
    "timeout, terminal": Error::CallbackTimeout { can_paste: true, .. },
    "timeout": Error::CallbackTimeout { can_paste: false, .. },
    "account": Error::AccountMismatch { .. },
    "token account": Error::TokenAccountMismatch { .. },
    "subject": Error::SubjectMismatch,
    "no ID token": Error::NoIdToken,
    "not logged in": Error::NotLoggedIn { no_keychain: None, .. },
    "not logged in, no keychain": Error::NotLoggedIn { no_keychain: Some(_), .. },
    "login expired": Error::LoginExpired { .. },
    "login revoked": Error::LoginRevoked { .. },
    "refresh refused": Error::RefreshRefused { .. },
    "token refused": Error::TokenRefused { .. },
    "issuer mismatch": Error::IssuerMismatch { .. },
    "API token refused": Error::ApiTokenRefused,
    "API token invalid": Error::ApiTokenInvalid(_),
    "API token of other domain": Error::ApiTokenOfOtherDomain { .. },
    "API token withheld": Error::ApiTokenWithheld { .. },
    "API token empty": Error::ApiTokenEmpty { .. },
    "API token expired": Error::ApiTokenExpired { .. },
    "login would fail": Error::LoginWouldFail { .. },
    "logout incomplete": Error::LogoutIncomplete { .. },
    "logout of foreign context": Error::LogoutOfForeignContext { .. },
    "selection crossed": Error::SelectionCrossed { .. },
    "no contexts": Error::NoContexts,
    "missing argument": Error::MissingArgument { .. },
    "not chosen": Error::NotChosen { .. },
    "confirmation": Error::ConfirmationRequired,
    "no organization selected": Error::NoOrganizationSelected,
    "no workspace": Error::NoWorkspace,
    "no permissions": Error::NoPermissions,
    "API token not accepted": Error::ApiTokenNotAccepted { .. },
    "fallback forbidden": Error::FallbackForbidden { .. },
    "no organization": Error::NoOrganization,
    "nothing found": Error::NotFound(NotFound::Nothing { .. }),
    "ambiguous": Error::NotFound(NotFound::Ambiguous { .. }),
    "open": Error::NotFound(NotFound::Open { .. }),
    "config: not a file": Error::Config(ConfigError::NotAFile(_)),
    "config: not a folder": Error::Config(ConfigError::NotAFolder(_)),
    "config: too large": Error::Config(ConfigError::TooLarge(_)),
    "config: dangling": Error::Config(ConfigError::DanglingLink(_)),
    "config: foreign": Error::Config(ConfigError::ForeignOwner(_)),
    "config: read": Error::Config(ConfigError::Read { .. }),
    "config: write": Error::Config(ConfigError::Write { .. }),
    "config: no locks": Error::Config(ConfigError::NoLocks { .. }),
    "config: locked": Error::Config(ConfigError::Locked { .. }),
    "config: syntax": Error::Config(ConfigError::Document { source: DocumentError::Syntax { .. }, .. }),
    "config: would change": Error::Config(ConfigError::Document { source: DocumentError::WouldChange { .. }, .. }),
    "store: absent": Error::Store { source: StoreError::Absent { .. }, .. },
    "store: locked": Error::Store { source: StoreError::Locked, .. },
    "store: refused": Error::Store { source: StoreError::Refused, .. },
    "store: timed out": Error::Store { source: StoreError::TimedOut(_), .. },
    "store: disconnected": Error::Store { source: StoreError::Disconnected, .. },
    "store: damaged": Error::Store { source: StoreError::Damaged, .. },
    "store: newer": Error::Store { source: StoreError::NewerFormat, .. },
    "store: other": Error::Store { source: StoreError::Other(_), .. },
    "vault: folder": Error::Vault { source: VaultError::Folder(_), .. },
    "vault: open": Error::Vault { source: VaultError::OpenToOthers(_), .. },
    "vault: absent": Error::Vault { source: VaultError::Keychain(StoreError::Absent { .. }), .. },
    "vault: locked": Error::Vault { source: VaultError::Keychain(StoreError::Locked), .. },
    "vault: refused": Error::Vault { source: VaultError::Keychain(StoreError::Refused), .. },
    "vault: timed out": Error::Vault { source: VaultError::Keychain(StoreError::TimedOut(_)), .. },
    "vault: keychain": Error::Vault { source: VaultError::Keychain(_), .. },
    "vault: no key": Error::Vault { source: VaultError::NoKey, .. },
    "vault: invalid key": Error::Vault { source: VaultError::InvalidKey, .. },
    "vault: other key": Error::Vault { source: VaultError::OtherKey, .. },
    "vault: damaged": Error::Vault { source: VaultError::Damaged(_), .. },
    "vault: newer": Error::Vault { source: VaultError::Newer(_), .. },
    "vault: unsupported": Error::Vault { source: VaultError::Unsupported, .. },
    "vault: io": Error::Vault { source: VaultError::Io { .. }, .. },
    "port taken": Error::Listen(ListenError::PortTaken(_)),
    "bind": Error::Listen(ListenError::Bind { .. }),
    "issuer: http": Error::Issuer(IssuerError::Http(_)),
    "issuer: refused": Error::Issuer(IssuerError::Refused { .. }),
    "issuer: other": Error::Issuer(IssuerError::OtherIssuer { .. }),
    "callback": Error::Callback(_),
    "token: http": Error::Token(TokenEndpointError::Http(_)),
    "token: refused": Error::Token(TokenEndpointError::Refused(_)),
    "token: type": Error::Token(TokenEndpointError::TokenType(_)),
    "keys": Error::Keys(_),
    "jwt": Error::Jwt(_),
    "http": Error::Http(_),
    "list: http": Error::List(ListError::Http(_)),
    "list: total": Error::List(ListError::Total { .. }),
    "list: late": Error::List(ListError::Late { .. }),
    "list: endless": Error::List(ListError::Endless { .. }),
    "ui: no terminal": Error::Ui(UiError::NoTerminal),
    "ui: too long": Error::Ui(UiError::TooLong),
    "ui: io": Error::Ui(UiError::Io(_)),
    "random": Error::Random(_),
    "io": Error::Io(_),
} }

variants! { fault_name(Fault) {
    "not https": Fault::NotHttps,
    "setup": Fault::Setup(_),
    "dns": Fault::Dns,
    "connect": Fault::Connect(_),
    "proxy invalid": Fault::ProxyInvalid { .. },
    "socks": Fault::SocksProxy { .. },
    "proxy 407": Fault::Proxy { reason: ProxyFault::Refused(407), .. },
    "proxy refused": Fault::Proxy { reason: ProxyFault::Refused(_), .. },
    "proxy": Fault::Proxy { reason: ProxyFault::Dns | ProxyFault::Connect(_) | ProxyFault::HungUp, .. },
    "certificate": Fault::Certificate(_),
    "timeout": Fault::Timeout(_),
    "interrupted": Fault::Interrupted,
    "too large": Fault::TooLarge { .. },
    "redirect": Fault::Redirect { .. },
    "status 401": Fault::Status { status: 401, .. },
    "status 403": Fault::Status { status: 403, .. },
    "status 503": Fault::Status { status: 429 | 500..=599, .. },
    "status": Fault::Status { .. },
    "invalid body": Fault::InvalidBody,
} }

variants! { warning_name(Warning) {
    "finishing up": Warning::FinishingUp,
    "overrides": Warning::ApiTokenOverrides,
    "overrides login": Warning::ApiTokenOverridesLogin { .. },
    "other organization": Warning::ApiTokenOrganization { .. },
    "stays": Warning::ApiTokenStays,
    "domain overrides": Warning::DomainOverrides,
    "clock": Warning::ClockOff { .. },
    "folder": Warning::FolderWritable { .. },
    "readable": Warning::ConfigReadable { .. },
    "unencrypted": Warning::Unencrypted { .. },
    "unreadable": Warning::ConfigUnreadable { .. },
    "will be unencrypted": Warning::WillBeUnencrypted { .. },
    "no user info": Warning::NoUserInfo { .. },
    "other account, asks": Warning::OtherAccount { asks: true, .. },
    "other account": Warning::OtherAccount { asks: false, .. },
    "known as": Warning::KnownAs { .. },
    "token in arguments": Warning::TokenInArguments,
    "no workspaces": Warning::NoWorkspacesOfToken,
    "workspace unlisted": Warning::WorkspaceOfTokenUnlisted,
    "not selected": Warning::NotSelected { .. },
    "new may remain": Warning::NewMayRemain { .. },
    "older may remain": Warning::OlderMayRemain { .. },
    "port": Warning::PortTaken { .. },
    "https, terminal": Warning::TlsAttempt { can_paste: true },
    "https": Warning::TlsAttempt { can_paste: false },
    "paste": Warning::Paste { reason: Unrelated::NotTheRedirectUri, .. },
    "paste: no state": Warning::Paste { reason: Unrelated::NoState, .. },
    "paste: repeated state": Warning::Paste { reason: Unrelated::RepeatedState, .. },
    "paste: other state": Warning::Paste { reason: Unrelated::OtherState, .. },
    "damaged paste": Warning::DamagedPaste { .. },
    "browser": Warning::BrowserNotOpened { .. },
    "saved again": Warning::MayBeSavedAgain { .. },
    "keychain unseen": Warning::KeychainUnseen { .. },
    "not revoked": Warning::NotRevoked { .. },
    "replaced, not revoked": Warning::ReplacedNotRevoked { .. },
    "used by Go only": Warning::UsedByGoOnly { .. },
    "unused in keychain": Warning::UnusedInKeychain { .. },
    "written back": Warning::WrittenBack { .. },
    "vault open": Warning::VaultOpenToOthers { .. },
    "not marked": Warning::NotMarked { .. },
    "vault not used": Warning::VaultNotUsed { .. },
    "may remain in vault": Warning::MayRemainInVault { .. },
    "removed unread": Warning::RemovedUnread { .. },
    "still there": Warning::StillThere { .. },
    "may remain": Warning::MayRemain { .. },
    "not cleared": Warning::ContextNotCleared { .. },
    "token remains": Warning::TokenRemains { .. },
} }

#[track_caller]
fn assert_all<T: AllVariants>(seen: &[&str], elsewhere: &[&str]) {
    let missing: Vec<_> = T::NAMES.iter().filter(|name| !seen.contains(name) && !elsewhere.contains(name)).collect();
    assert!(missing.is_empty(), "no example of {missing:?}");
}

#[track_caller]
fn assert_one_sentence(hint: &str, of: &dyn std::fmt::Debug) {
    let prose: String = hint.split('`').step_by(2).collect();
    let chained = ["; ", ". ", ": ", "(", "n't", "\n"].iter().find(|it| prose.contains(**it));
    assert!(chained.is_none() && !hint.contains("  "), "{of:?}: {hint:?} has {chained:?}");
    let begins_low = hint.starts_with(|first: char| first.is_ascii_lowercase());
    assert!(begins_low && !hint.ends_with('.') && hint.len() <= 170, "{of:?}: {hint:?}");
}

#[test]
fn every_error_has_one_hint_of_one_sentence() {
    let errors: Vec<Error> = [login_errors(), place_errors(), server_errors()].into_iter().flatten().collect();
    for error in &errors {
        match error.hint() {
            None => assert!(matches!(error, Error::Canceled), "{error:?} has no hint"),
            Some(hint) => assert_one_sentence(&hint, error),
        }
    }
    // The owner of a file is found out by `config`, whose tests have its hints.
    assert_all::<Error>(&errors.iter().map(error_name).collect::<Vec<_>>(), &["config: foreign"]);
    assert_all::<Fault>(&faults().iter().map(fault_name).collect::<Vec<_>>(), &[]);
}

#[test]
fn every_warning_has_one_hint_of_one_sentence() {
    let warnings = warnings();
    for warning in &warnings {
        assert_one_sentence(&warning.hint(), warning);
        for chained in ["; use ", "; run ", "; try "] {
            assert!(!warning.to_string().contains(chained), "{warning:?}");
        }
    }
    assert_all::<Warning>(&warnings.iter().map(warning_name).collect::<Vec<_>>(), &[]);
}
