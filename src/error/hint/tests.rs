//! Every error and warning has one hint of one sentence.

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;

use super::super::{NotFound, NotPending, PASTE_HERE, WRITE_TO_STDIN, Warning};
use super::*;
use crate::config::{ConfigError, DocumentError, IgnoredSetting};
use crate::credentials::StoreError;
use crate::credentials::vault::VaultError;
use crate::domain::{DomainError, Product};
use crate::houston::HoustonError;
use crate::jwt::JwksError;
use crate::next_astro::Skipped;
use crate::oauth::{CallbackError, ErrorCode, RandomError, Refusal, Rejection, TokenError, Unrelated};

use warnings::warnings;

const STAGE: &str = "astronomer-stage.io";
const BASE: &str = "base.example.com";
const NOW: Timestamp = Timestamp::UNIX_EPOCH;
const STEP: &str = "list the workspaces";

fn of(text: &str) -> String {
    text.to_owned()
}

fn path() -> PathBuf {
    PathBuf::from("/home/ada/.astro/config.yaml")
}

fn odd() -> io::Error {
    io::Error::other("odd")
}

fn refused(code: ErrorCode) -> TokenError {
    TokenError { code, description: None, status: 400, retry_after: None }
}

fn store(source: StoreError) -> Error {
    Error::Store { domain: of(STAGE), source }
}

fn vault(source: VaultError) -> Error {
    Error::Vault { domain: of(STAGE), source }
}

fn document(source: DocumentError) -> ConfigError {
    ConfigError::Document { path: path(), source }
}

fn status(status: u16) -> Fault {
    Fault::Status { status, message: None, retry_after: None }
}

fn proxy(reason: ProxyFault) -> Fault {
    Fault::Proxy { proxy: of("proxy:1"), reason }
}

fn at_host(host: &str, fault: Fault) -> HttpError {
    HttpError { step: STEP, host: of(host), fault }
}

#[test]
fn hint_names_domain_of_command() {
    let damaged = |domain: &str| Error::Store { domain: domain.to_owned(), source: StoreError::Damaged };
    let unreached = |host: &str, domain: &str| {
        let error = at_host(host, Fault::Connect(of("refused")));
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

/// Makes a function that returns an example of each variant. The match is exhaustive: a new variant needs an example here.
macro_rules! examples {
    ($visibility:vis $function:ident() -> $type:ty { $($pattern:pat => $example:expr,)+ }) => {
        $visibility fn $function() -> Vec<$type> {
            let name = |value: &$type| match value { $($pattern => stringify!($pattern),)+ };
            let example = |example: $type, pattern: &str| {
                assert_eq!(name(&example), pattern);
                example
            };
            vec![$(example($example.into(), stringify!($pattern))),+]
        }
    };
}

mod warnings;

// The owner of a file is found out by `config`, whose tests have its hints.
examples! { errors() -> Error {
    Error::Canceled | Error::Ui(UiError::Canceled) => Error::Canceled,
    Error::Login { .. } => Error::Login { domain: of(STAGE), source: Box::new(Error::NoIdToken) },
    Error::Selection { .. } => Error::Selection { domain: of(STAGE), source: Box::new(Error::NoOrganization) },
    Error::Domain(DomainError::Misspelled { .. }) => DomainError::Misspelled { typed: of("astronomre.io"), meant: "astronomer.io" },
    Error::Domain(DomainError::Page { .. }) => DomainError::Page { typed: of("astronomer.io/x"), domain: of(STAGE) },
    Error::Domain(_) => DomainError::NoDot(of("example")),
    Error::OtherProduct { what: "`astro organization`", .. } => Error::OtherProduct { what: "`astro organization`", domain: of(BASE), product: Product::PrivateCloud },
    Error::OtherProduct { .. } => Error::OtherProduct { what: "`--email`", domain: of(BASE), product: Product::PrivateCloud },
    Error::Houston { .. } => Error::Houston { domain: of(BASE), failure: Box::new(HoustonError::NoProviders) },
    Error::TokenAsDomain => Error::TokenAsDomain,
    Error::TokenText { place: TokenPlace::Variable, .. } => Error::TokenText { place: TokenPlace::Variable, source: TokenTextError::Empty },
    Error::TokenText { source: TokenTextError::Several, .. } => Error::TokenText { place: TokenPlace::Stdin, source: TokenTextError::Several },
    Error::TokenText { .. } => Error::TokenText { place: TokenPlace::Argument, source: TokenTextError::Empty },
    Error::Environment(EnvironmentError::RelativePath(_)) => EnvironmentError::RelativePath("ASTRO_HOME"),
    Error::Environment(EnvironmentError::NotText(_)) => EnvironmentError::NotText("ASTRO_DOMAIN"),
    Error::NoHome => Error::NoHome,
    Error::NoBrowserNoTerminal { reason: NoBrowser::Ci } => Error::NoBrowserNoTerminal { reason: NoBrowser::Ci },
    Error::NoBrowserNoTerminal { .. } => Error::NoBrowserNoTerminal { reason: NoBrowser::Ssh },
    Error::CallbackTimeout { paste: Some(_), .. } => Error::CallbackTimeout { waited: Duration::from_secs(3), paste: Some(PASTE_HERE) },
    Error::CallbackTimeout { .. } => Error::CallbackTimeout { waited: Duration::from_secs(3), paste: None },
    Error::AccountMismatch { is_named: true, .. } => Error::AccountMismatch { expected: of("a@b.c"), found: None, is_named: true },
    Error::AccountMismatch { .. } => Error::AccountMismatch { expected: of("a@b.c"), found: None, is_named: false },
    Error::NotPending(_) => NotPending::Expired,
    Error::NotCompleted { rejection: Rejection::Unrelated(_), .. } => Error::NotCompleted { rejection: Rejection::Unrelated(Unrelated::OtherState), port: 12345 },
    Error::NotCompleted { .. } => Error::NotCompleted { rejection: Rejection::Final(CallbackError::NoIssuer), port: 12345 },
    Error::TokenAccountMismatch { .. } => Error::TokenAccountMismatch { expected: of("a@b.c"), found: None },
    Error::SubjectMismatch => Error::SubjectMismatch,
    Error::NoIdToken => Error::NoIdToken,
    Error::NotLoggedIn { no_keychain: None, .. } => Error::NotLoggedIn { domain: of(STAGE), no_keychain: None },
    Error::NotLoggedIn { .. } => Error::NotLoggedIn { domain: of(STAGE), no_keychain: Some(StoreError::Locked) },
    Error::LoginExpired { .. } => Error::LoginExpired { domain: of(STAGE), at: NOW, now: NOW },
    Error::LoginRevoked { .. } => Error::LoginRevoked { domain: of(STAGE), refused: refused(ErrorCode::InvalidGrant) },
    Error::RefreshRefused { .. } => Error::RefreshRefused { domain: of(STAGE), refused: refused(ErrorCode::InvalidGrant) },
    Error::TokenRefused { .. } => Error::TokenRefused { domain: of(STAGE), response: None },
    Error::IssuerMismatch { .. } => Error::IssuerMismatch { domain: of(STAGE), issuer: None },
    Error::ApiTokenRefused => Error::ApiTokenRefused,
    Error::ApiTokenInvalid(_) => Error::ApiTokenInvalid(JwtError::NotAJwt),
    Error::ApiTokenOfOtherDomain { .. } => Error::ApiTokenOfOtherDomain { domain: of(STAGE), issuer: of("auth.astronomer.io") },
    Error::ApiTokenOfOtherOrganization { .. } => Error::ApiTokenOfOtherOrganization { organization: of("Acme") },
    Error::ApiTokenWithheld { .. } => Error::ApiTokenWithheld { domain: of("localhost:1") },
    Error::ApiTokenEmpty { .. } => Error::ApiTokenEmpty { domain: of(STAGE) },
    Error::ApiTokenExpired { .. } => Error::ApiTokenExpired { at: NOW, now: NOW },
    Error::LoginWouldFail { .. } => Error::LoginWouldFail { domain: of(STAGE) },
    Error::LogoutIncomplete { .. } => Error::LogoutIncomplete { domains: of(STAGE) },
    Error::LogoutOfForeignContext { .. } => Error::LogoutOfForeignContext { context: of("gcp.example.com") },
    Error::SelectionCrossed { .. } => Error::SelectionCrossed { domain: of(STAGE) },
    Error::NoContexts => Error::NoContexts,
    Error::MissingArgument { .. } => Error::MissingArgument { what: "workspace" },
    Error::NotChosen { .. } => Error::NotChosen { what: "context" },
    Error::ConfirmationRequired => Error::ConfirmationRequired,
    Error::NoOrganizationSelected => Error::NoOrganizationSelected,
    Error::NoWorkspace => Error::NoWorkspace,
    Error::NoPermissions => Error::NoPermissions,
    Error::ApiTokenNotAccepted { .. } => Error::ApiTokenNotAccepted { domain: of(STAGE), source: at_host("a.io", Fault::Dns) },
    Error::NoKeychain { why: NoPlaintext::LastInKeychain, .. } => Error::NoKeychain { reason: "no session bus", why: NoPlaintext::LastInKeychain },
    Error::NoKeychain { .. } => Error::NoKeychain { reason: "no session bus", why: NoPlaintext::Forbidden },
    Error::StorageSetting { .. } => Error::StorageSetting { setting: "`credentials` in config.yaml" },
    Error::StorageContradiction { .. } => Error::StorageContradiction { setting: "ASTRO_CREDENTIALS", prohibition: "ASTRO_NO_INSECURE_FALLBACK" },
    Error::NoOrganization => Error::NoOrganization,
    Error::NotFound(NotFound::Nothing { .. }) => NotFound::Nothing { kind: "workspace", wanted: of("x"), known: Vec::new() },
    Error::NotFound(NotFound::Ambiguous { .. }) => NotFound::Ambiguous { kind: "workspace", wanted: of("x"), ids: Vec::new() },
    Error::NotFound(NotFound::Open { .. }) => NotFound::Open { kind: "organization", known: Vec::new() },
    Error::Config(ConfigError::NotAFile(_) | ConfigError::ForeignOwner(_)) => ConfigError::NotAFile(path()), Error::Config(ConfigError::NotAFolder(_)) => ConfigError::NotAFolder(path()),
    Error::Config(ConfigError::TooLarge(_)) => ConfigError::TooLarge(path()), Error::Config(ConfigError::DanglingLink(_)) => ConfigError::DanglingLink(path()),
    Error::Config(ConfigError::Read { .. }) => ConfigError::Read { path: path(), source: odd() }, Error::Config(ConfigError::Write { .. }) => ConfigError::Write { path: path(), source: odd() },
    Error::Config(ConfigError::NoLocks { .. }) => ConfigError::NoLocks { path: path(), source: odd() }, Error::Config(ConfigError::Locked { .. }) => ConfigError::Locked { path: path(), waited: Duration::from_secs(3) },
    Error::Config(ConfigError::Document { source: DocumentError::Syntax { .. }, .. }) => document(DocumentError::Syntax { line: 1, column: 1, reason: of("odd") }),
    Error::Config(ConfigError::Document { source: DocumentError::WouldChange { .. }, .. }) => document(DocumentError::WouldChange { key: of("a") }),
    Error::Store { source: StoreError::Absent { .. }, .. } => store(StoreError::Absent { reason: "no session bus" }),
    Error::Store { source: StoreError::Locked, .. } => store(StoreError::Locked),
    Error::Store { source: StoreError::Refused, .. } => store(StoreError::Refused),
    Error::Store { source: StoreError::TimedOut(_), .. } => store(StoreError::TimedOut(Duration::from_secs(3))),
    Error::Store { source: StoreError::Disconnected, .. } => store(StoreError::Disconnected),
    Error::Store { source: StoreError::Damaged, .. } => store(StoreError::Damaged),
    Error::Store { source: StoreError::NewerFormat, .. } => store(StoreError::NewerFormat),
    Error::Store { source: StoreError::Other(_), .. } => store(StoreError::Other(of("odd"))),
    Error::Vault { source: VaultError::Folder(_), .. } => vault(VaultError::Folder(path())), Error::Vault { source: VaultError::OpenToOthers(_), .. } => vault(VaultError::OpenToOthers(path())),
    Error::Vault { source: VaultError::Keychain(StoreError::Absent { .. }), .. } => vault(VaultError::Keychain(StoreError::Absent { reason: "no session bus" })), Error::Vault { source: VaultError::Keychain(StoreError::Locked), .. } => vault(VaultError::Keychain(StoreError::Locked)),
    Error::Vault { source: VaultError::Keychain(StoreError::Refused), .. } => vault(VaultError::Keychain(StoreError::Refused)), Error::Vault { source: VaultError::Keychain(StoreError::TimedOut(_)), .. } => vault(VaultError::Keychain(StoreError::TimedOut(Duration::from_secs(3)))),
    Error::Vault { source: VaultError::Keychain(_), .. } => vault(VaultError::Keychain(StoreError::Disconnected)), Error::Vault { source: VaultError::NoKey, .. } => vault(VaultError::NoKey),
    Error::Vault { source: VaultError::InvalidKey, .. } => vault(VaultError::InvalidKey), Error::Vault { source: VaultError::OtherKey, .. } => vault(VaultError::OtherKey),
    Error::Vault { source: VaultError::Damaged(_), .. } => vault(VaultError::Damaged(path())), Error::Vault { source: VaultError::Newer(_), .. } => vault(VaultError::Newer(path())),
    Error::Vault { source: VaultError::Unsupported, .. } => vault(VaultError::Unsupported), Error::Vault { source: VaultError::Io { .. }, .. } => vault(VaultError::Io { path: path(), source: odd() }),
    Error::Listen(ListenError::PortTaken(_)) => ListenError::PortTaken(12345),
    Error::Listen(ListenError::Bind { .. }) => ListenError::Bind { port: 12345, source: odd() },
    Error::Issuer(IssuerError::Http(_)) => IssuerError::Http(at_host("a.io", Fault::Dns)),
    Error::Issuer(IssuerError::Refused { .. }) => IssuerError::Refused { domain: of(STAGE), named: of("b.io"), refusal: Refusal::ForeignHost },
    Error::Issuer(IssuerError::OtherIssuer { .. }) => IssuerError::OtherIssuer { expected: of("a"), named: of("b") },
    Error::Callback(_) => CallbackError::NoIssuer,
    Error::Token(TokenEndpointError::Http(_)) => TokenEndpointError::Http(at_host("a.io", Fault::Dns)),
    Error::Token(TokenEndpointError::Refused(TokenError { code: ErrorCode::TooManyRequests, .. })) => TokenEndpointError::Refused(refused(ErrorCode::TooManyRequests)),
    Error::Token(TokenEndpointError::Refused(_)) => TokenEndpointError::Refused(refused(ErrorCode::InvalidGrant)),
    Error::Token(TokenEndpointError::TokenType(_)) => TokenEndpointError::TokenType(of("MAC")),
    Error::Keys(JwksError::NotAKeySet) => JwksError::NotAKeySet,
    Error::Keys(JwksError::TooManyKeys) => JwksError::TooManyKeys,
    Error::Keys(JwksError::NoUsableKey) => JwksError::NoUsableKey,
    Error::Jwt(_) => JwtError::NotAJwt,
    Error::Http(_) => at_host("a.io", Fault::Dns),
    Error::List(ListError::Http(_)) => ListError::Http(at_host("a.io", Fault::Dns)),
    Error::List(ListError::Total { .. }) => ListError::Total { step: STEP, announced: 1, listed: 2 },
    Error::List(ListError::Late { .. }) => ListError::Late { step: STEP, host: of("a.io"), bound: Duration::from_secs(60) },
    Error::List(ListError::Endless { .. }) => ListError::Endless { step: STEP },
    Error::NoCommand => Error::NoCommand,
    Error::ExecOfAstro => Error::ExecOfAstro,
    Error::ExecWithoutVariable { .. } => Error::ExecWithoutVariable { domain: of(BASE) },
    Error::Start { .. } => Error::Start { program: of("af"), source: odd() },
    Error::NoRefreshToken { .. } => Error::NoRefreshToken { domain: of(STAGE) },
    Error::EndsTooSoon { .. } => Error::EndsTooSoon { at: NOW, now: NOW },
    Error::ApiTokenNotRenewable => Error::ApiTokenNotRenewable,
    Error::NextAstro(NextError::Choice { .. }) => NextError::Choice { path: path(), reason: Skipped::OpenFile },
    Error::NextAstro(NextError::Loop(_)) => NextError::Loop(path()),
    Error::NextAstro(NextError::Start { .. }) => NextError::Start { path: path(), source: odd() },
    Error::Ui(UiError::NoTerminal) => Error::Ui(UiError::NoTerminal),
    Error::Ui(UiError::TooLong) => Error::Ui(UiError::TooLong),
    Error::Ui(UiError::Io(_)) => Error::Ui(UiError::Io(odd())),
    Error::Random(_) => RandomError,
    Error::Io(_) => odd(),
} }

examples! { jwt_errors() -> JwtError {
    JwtError::NotAJwt => JwtError::NotAJwt,
    JwtError::Encrypted => JwtError::Encrypted,
    JwtError::TooLong => JwtError::TooLong,
    JwtError::DuplicateMember => JwtError::DuplicateMember,
    JwtError::Malformed(_) => JwtError::Malformed("exp"),
    JwtError::Missing(_) => JwtError::Missing("exp"),
    JwtError::Algorithm(_) => JwtError::Algorithm(of("none")),
    JwtError::Unsupported(_) => JwtError::Unsupported("crit"),
    JwtError::TypeNotAccepted(_) => JwtError::TypeNotAccepted(of("x")),
    JwtError::IdTokenGiven => JwtError::IdTokenGiven,
    JwtError::ApiTokenGiven => JwtError::ApiTokenGiven,
    JwtError::Expired { .. } => JwtError::Expired { at: NOW, now: NOW },
    JwtError::NotYetValid { .. } => JwtError::NotYetValid { from: NOW, now: NOW },
    JwtError::IssuedInFuture { .. } => JwtError::IssuedInFuture { at: NOW, now: NOW },
    JwtError::ClockOff { .. } => JwtError::ClockOff { issued: NOW, now: NOW },
    JwtError::WrongIssuer { .. } => JwtError::WrongIssuer { found: of("a"), expected: of("b") },
    JwtError::WrongAudience { .. } => JwtError::WrongAudience { found: Vec::new(), expected: of("b") },
    JwtError::UntrustedAudience(_) => JwtError::UntrustedAudience(of("a")),
    JwtError::WrongParty(_) => JwtError::WrongParty(of("a")),
    JwtError::Nonce => JwtError::Nonce,
    JwtError::AtHash => JwtError::AtHash,
    JwtError::Organization { .. } => JwtError::Organization { found: None, expected: of("org_1") },
    JwtError::UnknownKey => JwtError::UnknownKey,
    JwtError::KeyNotNamed => JwtError::KeyNotNamed,
    JwtError::SignatureInvalid => JwtError::SignatureInvalid,
} }

examples! { houston_errors() -> HoustonError {
    HoustonError::Http(_) => at_host("a.io", Fault::Certificate(of("odd"))),
    HoustonError::NoPlatform(_) => HoustonError::NoPlatform(at_host("a.io", Fault::Dns)),
    HoustonError::List(_) => HoustonError::List(ListError::Endless { step: STEP }),
    HoustonError::WebPage { .. } => HoustonError::WebPage { step: STEP, host: of("a.io") },
    HoustonError::TokenRefused { .. } => HoustonError::TokenRefused { host: of("a.io") },
    HoustonError::Schema { .. } => HoustonError::Schema { step: STEP, host: of("a.io"), message: of("odd") },
    HoustonError::Failed { .. } => HoustonError::Failed { step: STEP, host: of("a.io"), message: of("odd") },
    HoustonError::PasswordRefused { .. } => HoustonError::PasswordRefused { host: of("a.io"), message: of("odd") },
    HoustonError::EmptyPassword => HoustonError::EmptyPassword,
    HoustonError::NoPasswords => HoustonError::NoPasswords,
    HoustonError::NoProviders => HoustonError::NoProviders,
    HoustonError::AstroToken => HoustonError::AstroToken,
    HoustonError::Expired { .. } => HoustonError::Expired { at: NOW, now: NOW },
    HoustonError::NoTerminal => HoustonError::NoTerminal,
} }

examples! { faults() -> Fault {
    Fault::NotHttps => Fault::NotHttps,
    Fault::Setup(_) => Fault::Setup(of("odd")),
    Fault::Dns => Fault::Dns,
    Fault::Connect(_) => Fault::Connect(of("refused")),
    Fault::ProxyInvalid { .. } => Fault::ProxyInvalid { variable: "HTTPS_PROXY" },
    Fault::SocksProxy { .. } => Fault::SocksProxy { variable: "HTTPS_PROXY", proxy: of("proxy:1") },
    Fault::Proxy { reason: ProxyFault::Refused(407), .. } => proxy(ProxyFault::Refused(407)),
    Fault::Proxy { reason: ProxyFault::Refused(_), .. } => proxy(ProxyFault::Refused(403)),
    Fault::Proxy { reason: ProxyFault::Dns, .. } => proxy(ProxyFault::Dns),
    Fault::Proxy { reason: ProxyFault::Connect(_), .. } => proxy(ProxyFault::Connect(of("refused"))),
    Fault::Proxy { reason: ProxyFault::HungUp, .. } => proxy(ProxyFault::HungUp),
    Fault::Proxy { reason: ProxyFault::Silent(_), .. } => proxy(ProxyFault::Silent(Duration::from_secs(5))),
    Fault::CertificateTime(_) => Fault::CertificateTime("expired"),
    Fault::Certificate(_) => Fault::Certificate(of("revoked")),
    Fault::Timeout(_) => Fault::Timeout(Duration::from_secs(5)),
    Fault::Interrupted => Fault::Interrupted,
    Fault::TooLarge { .. } => Fault::TooLarge { limit: 1 },
    Fault::Redirect { .. } => Fault::Redirect { to: None },
    Fault::Status { status: 401, .. } => status(401),
    Fault::Status { status: 403, .. } => status(403),
    Fault::Status { status: 429 | 500..=599, .. } => status(503),
    Fault::Status { .. } => status(404),
    Fault::InvalidBody => Fault::InvalidBody,
} }

#[track_caller]
fn assert_one_sentence(hint: &str, of: &dyn std::fmt::Debug) {
    let prose: String = hint.split('`').step_by(2).collect();
    let chained = ["; ", ". ", ": ", "(", "n't", "\n"].iter().find(|it| prose.contains(**it));
    assert!(!hint.contains("{login}"), "{of:?}: {hint:?}");
    assert!(chained.is_none() && !hint.contains("  "), "{of:?}: {hint:?} has {chained:?}");
    let begins_low = hint.starts_with(|first: char| first.is_ascii_lowercase());
    assert!(begins_low && !hint.ends_with('.') && hint.len() <= 170, "{of:?}: {hint:?}");
}

#[test]
fn every_error_has_one_hint_of_one_sentence() {
    let mut errors = errors();
    errors.extend(jwt_errors().into_iter().map(Error::from));
    let houston = |failure| Error::Houston { domain: of(BASE), failure: Box::new(failure) };
    errors.extend(houston_errors().into_iter().map(houston));
    for fault in faults() {
        for host in ["api.astronomer.io", "localhost:8889"] {
            let error = || at_host(host, fault.clone());
            errors.extend([
                IssuerError::Http(error()).into(),
                TokenEndpointError::Http(error()).into(),
                error().into(),
                ListError::Http(error()).into(),
                Error::from(error()).during_login(&STAGE.parse().unwrap()),
            ]);
        }
    }
    for error in &errors {
        match error.hint() {
            None => assert!(matches!(error, Error::Canceled), "{error:?} has no hint"),
            Some(hint) => assert_one_sentence(&hint, error),
        }
    }
}

#[test]
fn every_warning_has_one_hint_of_one_sentence() {
    for warning in &warnings() {
        assert_one_sentence(&warning.hint(), warning);
        for chained in ["; use ", "; run ", "; try "] {
            assert!(!warning.to_string().contains(chained), "{warning:?}");
        }
    }
}
