//! The warnings of a command: each has a message, and one hint that says what the user can do about it.

use std::path::PathBuf;

use super::NotFound;
use crate::config::IgnoredSetting;
use crate::oauth::{CallbackError, Unrelated, port_owner_command};
use crate::ui::Ui;

pub(super) const COPY_AGAIN: &str = "copy the whole URL of the last page again, as it is";

/// A failure or a danger that does not end the command. Foreign text in it is safe to print.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    #[error("finishing up")]
    FinishingUp,
    #[error("ASTRO_API_TOKEN is set and overrides this login")]
    ApiTokenOverrides,
    #[error("ASTRO_API_TOKEN is set and overrides the login of {account}")]
    ApiTokenOverridesLogin { account: String },
    #[error("ASTRO_API_TOKEN is for another organization, {organization}")]
    ApiTokenOrganization { organization: String },
    #[error("ASTRO_API_TOKEN is still set and overrides any login")]
    ApiTokenStays,
    #[error("ASTRO_DOMAIN is set and overrides the current context")]
    DomainOverrides,
    #[error("this machine's clock is {seconds} seconds {} the API's", if *.ahead { "ahead of" } else { "behind" })]
    ClockOff { seconds: u64, ahead: bool },
    // Files.
    #[error("others may write in {}", folder.display())]
    FolderWritable { folder: PathBuf },
    #[error("{} is readable by others", path.display())]
    ConfigReadable { path: PathBuf },
    #[error("tokens are stored unencrypted in {}", path.display())]
    Unencrypted { path: PathBuf },
    #[error("no keychain available ({reason}); credentials will be saved unencrypted in {}", path.display())]
    WillBeUnencrypted { reason: &'static str, path: PathBuf },
    #[error("no terminal to ask on; credentials stay unencrypted in {}, which the Go CLI shares", path.display())]
    StaysUnencrypted { path: PathBuf },
    // The login.
    #[error("{cause}")]
    NoUserInfo { cause: String },
    #[error("expected {expected}, but logged in as {found}")]
    OtherAccount { expected: String, found: String, asks: bool },
    #[error("logged in as {confirmed}, which Astro knows as {known}")]
    KnownAs { confirmed: String, known: String },
    #[error("other users can see {what}s passed as arguments, and your shell history keeps them")]
    SecretInArguments { what: &'static str, flag: &'static str },
    #[error(transparent)]
    SettingIgnored(IgnoredSetting),
    #[error("this API token cannot list workspaces")]
    NoWorkspacesOfToken,
    #[error("the API does not list the workspace that this API token names")]
    WorkspaceOfTokenUnlisted,
    /// A choice that stays open.
    #[error(transparent)]
    NotSelected(NotFound),
    // Two stores hold a login.
    #[error("config.yaml also holds {what}, which only the Go CLI uses")]
    UsedByGoOnly { what: &'static str, domain: String },
    #[error("{keychain} also holds a login of {account}, which is not used")]
    UnusedInKeychain { keychain: String, account: String, domain: String },
    #[error(
        "Astro CLI 1.x wrote its login back to config.yaml, which is used instead of the one in Astro CLI 2's vault"
    )]
    WrittenBack { domain: String },
    // The vault, and its folder if others have access to it.
    #[error("others have access to {}, Astro CLI 2's vault, so nothing is written there", folder.display())]
    VaultOpenToOthers { folder: PathBuf },
    #[error("Astro CLI 2 may move this login out of config.yaml: {cause}")]
    NotMarked { cause: String, open: Option<PathBuf> },
    #[error("Astro CLI 2 and Astro Desktop are logged out of {domain}: {cause}")]
    VaultNotUsed { domain: String, cause: String, open: Option<PathBuf> },
    #[error("credentials may remain in Astro CLI 2's vault: {cause}")]
    MayRemainInVault { cause: String, domain: String, open: Option<PathBuf> },
    // The wait for the browser.
    #[error("another program uses port {port}, so the browser cannot report back")]
    PortTaken { port: u16, paste: &'static str },
    #[error("the browser tried https")]
    TlsAttempt { paste: Option<&'static str> },
    #[error("{reason}")]
    Paste { reason: Unrelated, port: u16 },
    #[error("{reason}")]
    DamagedPaste { reason: CallbackError },
    #[error("could not open a browser ({cause})")]
    BrowserNotOpened { cause: String },
    // The logout.
    #[error("another command may save the login again: {cause}")]
    MayBeSavedAgain { cause: String, hint: String },
    #[error("no keychain available ({reason}); logins saved by a desktop session were not removed")]
    KeychainUnseen { reason: &'static str, domain: String },
    #[error("{cause}; {token} stays valid until it expires")]
    NotRevoked { token: &'static str, cause: String },
    #[error("could not read the credentials before ({cause}), so a refresh token in them was not revoked")]
    RemovedUnread { cause: String },
    #[error("the credentials are still in {keychain}")]
    StillThere { keychain: String },
    #[error("{what} may remain in {keychain}: {cause}")]
    MayRemain { what: &'static str, keychain: String, cause: String },
    #[error("could not remove the login to {domain} from config.yaml: {cause}")]
    ContextNotCleared { domain: String, cause: String, hint: String },
    #[error("a token of {domain} is still in {}, as `{key}`", path.display())]
    TokenRemains { domain: String, path: PathBuf, key: String },
}

impl Warning {
    pub fn show(&self, ui: &Ui) {
        ui.warn(&self.to_string(), &self.hint());
    }

    pub fn hint(&self) -> String {
        let hint = match self {
            Self::FinishingUp => "press Ctrl-C again to stop now",
            Self::ApiTokenOverrides | Self::ApiTokenOverridesLogin { .. } => "unset ASTRO_API_TOKEN to use the login",
            Self::ApiTokenOrganization { .. } => "unset ASTRO_API_TOKEN to work in the organization of the login",
            Self::ApiTokenStays => "unset ASTRO_API_TOKEN to stop using its token",
            Self::DomainOverrides => "unset ASTRO_DOMAIN to use the current context",
            Self::ClockOff { .. } => "set the clock of this machine",
            Self::FolderWritable { folder } => return format!("run `chmod go-w {}`", folder.display()),
            Self::ConfigReadable { path } => return format!("run `chmod 600 {}`", path.display()),
            Self::Unencrypted { .. } => "run `astro login` in a terminal with a keychain available to move them there",
            Self::MayBeSavedAgain { hint, .. } | Self::ContextNotCleared { hint, .. } => hint,
            Self::WillBeUnencrypted { .. } => {
                "start a keychain such as gnome-keyring, or set ASTRO_NO_INSECURE_FALLBACK=1 to forbid this"
            }
            Self::StaysUnencrypted { .. } => "set ASTRO_CREDENTIALS to plain or to keychain to decide",
            Self::NoUserInfo { .. } => "check that the account of the summary is yours",
            Self::OtherAccount { asks: true, .. } => "answer no unless this is an account of yours",
            Self::OtherAccount { asks: false, .. } | Self::KnownAs { .. } => {
                "run `astro logout` unless this is an account of yours"
            }
            Self::SecretInArguments { what, flag } => {
                return format!("use `{flag} -`, which reads the {what} from standard input");
            }
            Self::SettingIgnored(IgnoredSetting::Certificates) => {
                "set SSL_CERT_FILE to the certificate of the platform's authority if it is refused"
            }
            Self::SettingIgnored(IgnoredSetting::Protocol) => "remove the setting, or set it to https",
            Self::SettingIgnored(IgnoredSetting::Port) => "remove the setting, or set it to a number from 1 to 65535",
            Self::NoWorkspacesOfToken => "give the token a role in a workspace if you need one",
            Self::WorkspaceOfTokenUnlisted => "check in the Astro UI that the workspace still exists",
            Self::NotSelected(open) => return open.hint(),
            Self::StillThere { .. } | Self::MayRemain { .. } => {
                "remove the entry of the service `astro-login` with your keychain's own program"
            }
            Self::PortTaken { port, paste } => {
                return format!(
                    "copy the URL of the browser's last page and {paste}, or stop the program, which `{}` shows",
                    port_owner_command(*port)
                );
            }
            Self::TlsAttempt { paste: Some(paste) } => {
                return format!("change https:// to http:// in its address bar, or copy the URL and {paste}");
            }
            Self::TlsAttempt { paste: None } => "change https:// to http:// in its address bar",
            Self::Paste { reason, port } => return paste_hint(*reason, *port),
            Self::DamagedPaste { .. } => COPY_AGAIN,
            Self::BrowserNotOpened { .. } => "open the URL yourself",
            Self::UsedByGoOnly { domain, .. } | Self::UnusedInKeychain { domain, .. } => {
                return format!("run `astro login {domain}` to have one login");
            }
            Self::WrittenBack { domain } => return format!("run `astro login {domain}` to have one login"),
            Self::VaultOpenToOthers { folder } => return format!("run `chmod 700 {}`", folder.display()),
            Self::NotMarked { open: Some(folder), .. }
            | Self::VaultNotUsed { open: Some(folder), .. }
            | Self::MayRemainInVault { open: Some(folder), .. } => {
                return format!("run `chmod 700 {}`, then run this command again", folder.display());
            }
            Self::NotMarked { .. } => "run `astro login --insecure-storage` again once this is corrected",
            Self::VaultNotUsed { .. } => "log in with Astro CLI 2 to use it beside this program",
            Self::MayRemainInVault { domain, .. } => {
                return format!("run `astro logout {domain}` with Astro CLI 2 to remove it");
            }
            Self::KeychainUnseen { domain, .. } => {
                return format!("run `astro logout {domain}` in that session, too");
            }
            Self::NotRevoked { .. } | Self::RemovedUnread { .. } => {
                "contact Astronomer support if others may have a copy of it"
            }
            Self::TokenRemains { path, .. } => return format!("remove it from {} by hand", path.display()),
        };
        hint.to_owned()
    }
}

pub(super) fn paste_hint(reason: Unrelated, port: u16) -> String {
    match reason {
        Unrelated::NotTheRedirectUri => {
            format!("copy the whole URL of the last page, which starts with http://localhost:{port}/callback?")
        }
        Unrelated::NoState | Unrelated::RepeatedState => "copy all of the URL again, as it is".to_owned(),
        Unrelated::OtherState => "copy the URL of the page that this login opened".to_owned(),
    }
}
