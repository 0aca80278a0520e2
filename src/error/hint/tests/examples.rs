//! An example of each error and warning.

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;

use super::super::super::{NotFound, Warning};
use super::super::*;
use crate::config::{ConfigError, DocumentError};
use crate::domain::DomainError;
use crate::jwt::JwksError;
use crate::oauth::{CallbackError, ErrorCode, RandomError, Refusal, TokenError, Unrelated};
use crate::token::TokenTextError;

pub(super) const STAGE: &str = "astronomer-stage.io";

pub(super) fn of(text: &str) -> String {
    text.to_owned()
}

pub(super) fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

pub(super) fn io_error() -> io::Error {
    io::Error::other("odd")
}

pub(super) fn faults() -> Vec<Fault> {
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

pub(super) fn token_error(code: ErrorCode) -> TokenError {
    TokenError { code, description: None, status: 400, retry_after: None }
}

pub(super) fn http_error() -> HttpError {
    HttpError { step: "ask", host: of("api.astronomer.io"), fault: Fault::Dns }
}

pub(super) fn login_errors() -> Vec<Error> {
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

pub(super) fn place_errors() -> Vec<Error> {
    let store = |source| Error::Store { domain: of(STAGE), source };
    let vault = |source| Error::Vault { domain: of(STAGE), source };
    let keychain = |source| vault(VaultError::Keychain(source));
    let (path, source) = (|| PathBuf::from("/home/ada/.astro/config.yaml"), io_error);
    let document = |source| ConfigError::Document { path: path(), source }.into();
    vec![
        vault(VaultError::Folder(path())),
        vault(VaultError::OpenToOthers(path())),
        keychain(StoreError::Absent { reason: "no session bus" }),
        keychain(StoreError::Locked),
        keychain(StoreError::Refused),
        keychain(StoreError::TimedOut(Duration::from_secs(3))),
        keychain(StoreError::Disconnected),
        vault(VaultError::NoKey),
        vault(VaultError::InvalidKey),
        vault(VaultError::OtherKey),
        vault(VaultError::Damaged(path())),
        vault(VaultError::Newer(path())),
        vault(VaultError::Unsupported),
        vault(VaultError::Io { path: path(), source: source() }),
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

pub(super) fn server_errors() -> Vec<Error> {
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

pub(super) fn warnings() -> Vec<Warning> {
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
        Warning::WrittenBack { domain: domain() },
        Warning::VaultOpenToOthers { folder: "/home/ada/.astro/secrets".into() },
        Warning::NotMarked { cause: cause() },
        Warning::VaultNotUsed { cause: cause(), domain: domain() },
        Warning::MayRemainInVault { cause: cause(), domain: domain() },
        Warning::RemovedUnread { cause: cause() },
        Warning::StillThere { keychain: keychain() },
        Warning::MayRemain { keychain: keychain(), cause: cause() },
        Warning::ContextNotCleared { domain: domain(), cause: cause() },
        Warning::TokenRemains { domain: domain(), path: path(), key: of("a") },
    ]
}
