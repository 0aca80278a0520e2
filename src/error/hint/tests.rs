//! Every error and warning has one hint of one sentence.

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;

use super::super::{NotFound, Warning};
use super::*;
use crate::config::{ConfigError, DocumentError};
use crate::domain::DomainError;
use crate::jwt::JwksError;
use crate::oauth::{CallbackError, ErrorCode, RandomError, Refusal, TokenError, Unrelated};
use crate::token::TokenTextError;

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
    "removed unread": Warning::RemovedUnread { .. },
    "still there": Warning::StillThere { .. },
    "may remain": Warning::MayRemain { .. },
    "not cleared": Warning::ContextNotCleared { .. },
    "token remains": Warning::TokenRemains { .. },
} }

const STAGE: &str = "astronomer-stage.io";

fn of(text: &str) -> String {
    text.to_owned()
}

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

fn io_error() -> io::Error {
    io::Error::other("odd")
}

fn faults() -> Vec<Fault> {
    let proxy = |reason| Fault::Proxy { proxy: of("proxy:1"), reason };
    let status = |status| Fault::Status { status, message: None, retry_after: None };
    vec![
        Fault::NotHttps,
        Fault::Setup(of("odd")),
        Fault::Dns,
        Fault::Connect(of("refused")),
        Fault::ProxyInvalid { variable: "HTTPS_PROXY" },
        Fault::SocksProxy { variable: "HTTPS_PROXY", proxy: of("proxy:1") },
        proxy(ProxyFault::Refused(407)),
        proxy(ProxyFault::Refused(403)),
        proxy(ProxyFault::Dns),
        Fault::Certificate(of("expired")),
        Fault::Timeout(Duration::from_secs(5)),
        Fault::Interrupted,
        Fault::TooLarge { limit: 1 },
        Fault::Redirect { to: None },
        status(401),
        status(403),
        status(503),
        status(404),
        Fault::InvalidBody,
    ]
}

fn token_error(code: ErrorCode) -> TokenError {
    TokenError { code, description: None, status: 400, retry_after: None }
}

fn http_error() -> HttpError {
    HttpError { step: "ask", host: of("api.astronomer.io"), fault: Fault::Dns }
}

fn login_errors() -> Vec<Error> {
    let domain = || of(STAGE);
    let refused = || token_error(ErrorCode::InvalidGrant);
    let invalid = || JwtError::NotAJwt;
    let text = |place| Error::TokenText { place, source: TokenTextError::Empty };
    let timeout = |can_paste| Error::CallbackTimeout { waited: Duration::from_secs(3), can_paste };
    let email = || of("ada@example.com");
    vec![
        Error::Canceled,
        Error::Login { domain: domain(), source: Box::new(Error::NoIdToken) },
        Error::Selection { domain: domain(), source: Box::new(Error::NoOrganization) },
        Error::Domain(DomainError { understood: of("example.com") }),
        Error::TokenAsDomain,
        text(TokenPlace::Variable),
        text(TokenPlace::Argument),
        text(TokenPlace::Stdin),
        text(TokenPlace::Prompt),
        EnvironmentError::RelativePath("ASTRO_HOME").into(),
        EnvironmentError::NotText("ASTRO_DOMAIN").into(),
        Error::NoHome,
        Error::NoBrowserNoTerminal { reason: NoBrowser::Ci },
        Error::NoBrowserNoTerminal { reason: NoBrowser::Ssh },
        timeout(true),
        timeout(false),
        Error::AccountMismatch { expected: email(), found: None },
        Error::TokenAccountMismatch { expected: email(), found: None },
        Error::SubjectMismatch,
        Error::NoIdToken,
        Error::NotLoggedIn { domain: domain(), no_keychain: None },
        Error::NotLoggedIn { domain: domain(), no_keychain: Some(StoreError::Absent { reason: "no session bus" }) },
        Error::LoginExpired { domain: domain(), at: now(), now: now() },
        Error::LoginRevoked { domain: domain(), refused: refused() },
        Error::RefreshRefused { domain: domain(), refused: refused() },
        Error::TokenRefused { domain: domain(), response: None },
        Error::IssuerMismatch { domain: domain(), issuer: None },
        Error::ApiTokenRefused,
        Error::ApiTokenInvalid(invalid()),
        Error::ApiTokenOfOtherDomain { domain: domain(), issuer: of("https://auth.astronomer.io/") },
        Error::ApiTokenWithheld { domain: of("localhost:1") },
        Error::ApiTokenEmpty { domain: domain() },
        Error::ApiTokenExpired { at: now(), now: now() },
        Error::LoginWouldFail { domain: domain() },
        Error::LogoutIncomplete { domains: domain() },
        Error::LogoutOfForeignContext { context: of("gcp.example.com") },
        Error::SelectionCrossed { domain: domain() },
    ]
}

fn place_errors() -> Vec<Error> {
    let store = |source| Error::Store { domain: of(STAGE), source };
    let (path, source) = (|| PathBuf::from("/home/ada/.astro/config.yaml"), io_error);
    let document = |source| ConfigError::Document { path: path(), source }.into();
    vec![
        Error::NoContexts,
        Error::MissingArgument { what: "workspace" },
        Error::NotChosen { what: "workspace" },
        Error::ConfirmationRequired,
        Error::NoOrganizationSelected,
        Error::NoWorkspace,
        Error::NoPermissions,
        Error::ApiTokenNotAccepted { domain: of(STAGE), source: http_error() },
        Error::FallbackForbidden { reason: "no session bus" },
        Error::NoOrganization,
        NotFound::Nothing { kind: "workspace", wanted: of("x"), known: Vec::new() }.into(),
        NotFound::Ambiguous { kind: "workspace", wanted: of("x"), ids: Vec::new() }.into(),
        NotFound::Open { kind: "organization", known: Vec::new() }.into(),
        ConfigError::NotAFile(path()).into(),
        ConfigError::NotAFolder(path()).into(),
        ConfigError::TooLarge(path()).into(),
        ConfigError::DanglingLink(path()).into(),
        ConfigError::Read { path: path(), source: source() }.into(),
        ConfigError::Write { path: path(), source: source() }.into(),
        ConfigError::NoLocks { path: path(), source: source() }.into(),
        ConfigError::Locked { path: path(), waited: Duration::from_secs(3) }.into(),
        document(DocumentError::Syntax { line: 1, column: 1, reason: of("odd") }),
        document(DocumentError::WouldChange { key: of("a") }),
        store(StoreError::Absent { reason: "no session bus" }),
        store(StoreError::Locked),
        store(StoreError::Refused),
        store(StoreError::TimedOut(Duration::from_secs(3))),
        store(StoreError::Disconnected),
        store(StoreError::Damaged),
        store(StoreError::NewerFormat),
        store(StoreError::Other(of("odd"))),
        ListenError::PortTaken(12345).into(),
        ListenError::Bind { port: 12345, source: source() }.into(),
        Error::Ui(UiError::NoTerminal),
        Error::Ui(UiError::TooLong),
        Error::Ui(UiError::Io(source())),
        RandomError.into(),
        source().into(),
    ]
}

fn server_errors() -> Vec<Error> {
    let step = "list the workspaces";
    let mut all: Vec<Error> = vec![
        IssuerError::Refused { domain: of(STAGE), named: of("evil.example"), refusal: Refusal::ForeignHost }.into(),
        IssuerError::OtherIssuer { expected: of("a"), named: of("b") }.into(),
        CallbackError::NoIssuer.into(),
        CallbackError::CodeAndError.into(),
        TokenEndpointError::Refused(token_error(ErrorCode::InvalidGrant)).into(),
        TokenEndpointError::Refused(token_error(ErrorCode::TooManyRequests)).into(),
        TokenEndpointError::TokenType(of("MAC")).into(),
        JwksError::NotAKeySet.into(),
        JwksError::NoUsableKey.into(),
        JwtError::ApiTokenGiven.into(),
        JwtError::Expired { at: now(), now: now() }.into(),
        JwtError::IssuedInFuture { at: now(), now: now() }.into(),
        JwtError::WrongIssuer { found: of("a"), expected: of("b") }.into(),
        JwtError::Organization { found: None, expected: of("org_1") }.into(),
        JwtError::AtHash.into(),
        ListError::Total { step, announced: 1, listed: 2 }.into(),
        ListError::Late { step, host: of("api.astronomer.io"), bound: Duration::from_secs(60) }.into(),
        ListError::Endless { step, pages: 1000 }.into(),
    ];
    for fault in faults() {
        for host in ["api.astronomer.io", "localhost:8889"] {
            let error = || HttpError { step: "ask", host: of(host), fault: fault.clone() };
            all.extend([
                IssuerError::Http(error()).into(),
                TokenEndpointError::Http(error()).into(),
                error().into(),
                ListError::Http(error()).into(),
                Error::from(error()).during_login(&STAGE.parse().unwrap()),
            ]);
        }
    }
    all
}

fn warnings() -> Vec<Warning> {
    let (path, cause, domain) = (|| PathBuf::from("/home/ada/.astro"), || of("odd"), || of(STAGE));
    let keychain = || of("the Secret Service");
    let paste = |reason| Warning::Paste { reason, port: 12345 };
    let other = |asks| Warning::OtherAccount { expected: of("a@b.c"), found: of("d@e.f"), asks };
    vec![
        Warning::FinishingUp,
        Warning::ApiTokenOverrides,
        Warning::ApiTokenOverridesLogin { account: of("a@b.c") },
        Warning::ApiTokenOrganization { organization: of("clorg1") },
        Warning::ApiTokenStays,
        Warning::DomainOverrides,
        Warning::ClockOff { seconds: 70, ahead: true },
        Warning::FolderWritable { folder: path() },
        Warning::ConfigReadable { path: path() },
        Warning::Unencrypted { path: path() },
        Warning::ConfigUnreadable { message: of("odd"), hint: ConfigError::NotAFile(path()).hint() },
        Warning::WillBeUnencrypted { reason: "no session bus", path: path() },
        Warning::NoUserInfo { cause: cause() },
        other(true),
        other(false),
        Warning::KnownAs { confirmed: of("a@b.c"), known: of("d@e.f") },
        Warning::TokenInArguments,
        Warning::NoWorkspacesOfToken,
        Warning::WorkspaceOfTokenUnlisted,
        Warning::NotSelected { kind: "workspace", known: Vec::new() },
        Warning::NewMayRemain { keychain: keychain(), cause: cause() },
        Warning::OlderMayRemain { keychain: keychain(), cause: cause() },
        Warning::PortTaken { port: 12345 },
        Warning::TlsAttempt { can_paste: true },
        Warning::TlsAttempt { can_paste: false },
        paste(Unrelated::NotTheRedirectUri),
        paste(Unrelated::NoState),
        paste(Unrelated::RepeatedState),
        paste(Unrelated::OtherState),
        Warning::DamagedPaste { reason: CallbackError::NoIssuer },
        Warning::BrowserNotOpened { cause: cause() },
        Warning::MayBeSavedAgain { domain: domain(), cause: cause() },
        Warning::KeychainUnseen { reason: "no session bus", domain: domain() },
        Warning::NotRevoked { cause: cause() },
        Warning::ReplacedNotRevoked { cause: cause() },
        Warning::UsedByGoOnly { what: "a token", domain: domain() },
        Warning::UnusedInKeychain { keychain: keychain(), account: of("a@b.c"), domain: domain() },
        Warning::RemovedUnread { cause: cause() },
        Warning::StillThere { keychain: keychain() },
        Warning::MayRemain { keychain: keychain(), cause: cause() },
        Warning::ContextNotCleared { domain: domain(), cause: cause() },
        Warning::TokenRemains { domain: domain(), path: path(), key: of("a") },
    ]
}

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
