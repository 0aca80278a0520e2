//! A login in two steps, for programs that cannot wait between the link and the response: `astro login --begin` prints the
//! link and ends, `astro login --complete` takes the URL that the browser ended on.
//!
//! Between them, the values of the authorization request are kept where the login will be: in the keychain, or in a file if
//! the login will be unencrypted. They serve once, for ten minutes. Each step is a part of the login of
//! `authorization_code`, with the same checks.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::account::ExpectedAccount;
use super::authorization_code::SentValues;
use super::events::{Event, Output};
use super::wait::CALLBACK_PORT;
use super::{Login, LoginFlow, NewLogin, TokenArgument};
use crate::domain;
use crate::email::EmailAddress;
use crate::error::{Error, NotPending, Warning};
use crate::oauth::{
    CallbackError, ExpectedResponse, Issuer, Nonce, PkceVerifier, RedirectUri, Rejection, State, parse_pasted,
};
use crate::session::{Location, Session, StoragePlan};
use crate::system::System;

const LIFETIME: Duration = Duration::from_secs(600);

const NEXT: &str = "astro login --complete -";

const VERSION: u8 = 1;

/// The size of the buffer for a login in its first step, in bytes.
const BUFFER: usize = 16 * 1024;

/// The first step of a login: the values that were sent, and the flags.
#[derive(Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "most are flags")]
pub(super) struct PendingLogin {
    v: u8,
    expires_at: Timestamp,
    pub(super) domain: String,
    issuer: String,
    iss_required: bool,
    state: State,
    verifier: PkceVerifier,
    nonce: Nonce,
    /// The issuer's organization, which the ID token must name.
    auth_organization: Option<String>,
    expected_email: Option<String>,
    /// Whether `--email` named the expected account.
    is_named: bool,
    organization: Option<String>,
    workspace: Option<String>,
    insecure_storage: bool,
    vault: bool,
    /// The text that was read.
    #[serde(skip)]
    text: Zeroizing<Vec<u8>>,
}

impl PendingLogin {
    /// Finds the first step of a login in this home.
    pub(super) async fn load(system: &System) -> Result<Self, Error> {
        let session = Session::for_domain(system, domain::DEFAULT.parse()?);
        let text = session.load_pending().await?.ok_or(NotPending::Nothing)?;
        let parsed = serde_json::from_slice(&text).ok().filter(|it: &Self| it.v == VERSION);
        let pending = Self { text, ..parsed.ok_or(NotPending::Nothing)? };
        let left = pending.expires_at.duration_since(session.now());
        // More is left only if the clock was set back.
        if left.is_positive() && left.unsigned_abs() <= LIFETIME {
            return Ok(pending);
        }
        session.take_pending(&pending.text).await?;
        Err(NotPending::Expired.into())
    }

    /// Returns the flags of the first step, with those of the second.
    pub(super) fn login(&self, second: &Login) -> Login {
        Login {
            email: self.expected_account().filter(|_| self.is_named),
            organization: self.organization.clone(),
            workspace: self.workspace.clone(),
            insecure_storage: self.insecure_storage,
            vault: self.vault,
            ..second.clone()
        }
    }

    fn expected_account(&self) -> Option<EmailAddress> {
        self.expected_email.as_ref()?.parse().ok()
    }

    fn sent(&self) -> SentValues {
        let organization = self.auth_organization.clone();
        SentValues { verifier: self.verifier.clone(), nonce: self.nonce.clone(), organization }
    }
}

impl LoginFlow<'_> {
    /// Does the first step: everything up to the link. No port is bound, and any page at the redirect URI shows its address.
    pub(super) async fn begin(&self) -> Result<(), Error> {
        let (prepared, plan) = self.prepare().await?;
        let location = match plan {
            // The second step asks.
            StoragePlan::AskToShare { encrypted } => encrypted.unwrap_or(Location::Config),
            plan => self.destination(plan).await?.location,
        };
        let expected = self.ask_account().await?;
        let redirect_uri = RedirectUri::new(CALLBACK_PORT);
        let (sent, response, link) = self.request(&prepared, &redirect_uri, &expected).await?;
        let expires_at = self.expiry(LIFETIME);
        let pending = PendingLogin {
            v: VERSION,
            expires_at,
            domain: self.session.domain.to_string(),
            issuer: response.issuer.as_str().to_owned(),
            iss_required: response.iss_required,
            state: response.state,
            verifier: sent.verifier,
            nonce: sent.nonce,
            auth_organization: sent.organization,
            expected_email: expected.email.as_ref().map(ToString::to_string),
            is_named: self.login.email.is_some(),
            organization: self.login.organization.clone(),
            workspace: self.login.workspace.clone(),
            insecure_storage: self.login.insecure_storage,
            vault: self.login.vault,
            text: Zeroizing::default(),
        };
        // Large enough: a buffer that grows leaves copies of the verifier behind.
        let mut text = Zeroizing::new(Vec::with_capacity(BUFFER));
        serde_json::to_writer(&mut *text, &pending).map_err(std::io::Error::from)?;
        let ui = self.ui();
        if self.session.keep_pending(location, text).await? {
            ui.say("Replaced the login of an earlier `--begin`.");
        }
        if self.login.output == Output::Json {
            return self.event(&Event::Link { link: link.as_str(), expires_at, next: Some(NEXT) });
        }
        ui.say("Open this URL in a browser on any device:\n");
        ui.write_data_ignoring_closed_pipe(link.as_str())?;
        ui.say("\nThe last page won't load. Copy its URL from the address bar, and paste it within 10 minutes into:");
        ui.say(&format!("\n  {NEXT}\n"));
        Ok(())
    }

    /// Does the second step: everything from the response on.
    pub(super) async fn complete(&self, pending: &PendingLogin, url: &TokenArgument) -> Result<NewLogin, Error> {
        let question = "Paste the URL of the browser's last page (input hidden):";
        let warning = Warning::SecretInArguments { what: "URL", flag: "--complete" };
        let (_, url) = self.read_argument(url, question, &warning).await?;
        let redirect_uri = RedirectUri::new(CALLBACK_PORT);
        let issuer = Issuer::parse(&pending.issuer, &self.session.domain)?;
        let response = ExpectedResponse { state: pending.state.clone(), issuer, iss_required: pending.iss_required };
        let code = match parse_pasted(&url, &redirect_uri, &response) {
            Ok(code) => code,
            Err(rejection) => {
                // Another paste may be the right one, except after the issuer's refusal.
                if matches!(rejection, Rejection::Final(CallbackError::Refused(_))) {
                    self.session.take_pending(&pending.text).await?;
                }
                return Err(Error::NotCompleted { rejection, port: CALLBACK_PORT });
            }
        };
        let (mut prepared, plan) = self.prepare().await?;
        if prepared.auth.issuer != response.issuer {
            return Err(NotPending::OtherIssuer.into());
        }
        let destination = self.destination(plan).await?;
        if !self.session.take_pending(&pending.text).await? {
            return Err(NotPending::Nothing.into());
        }
        let expected = ExpectedAccount::of_begun(pending.expected_account(), pending.is_named, self.ui().can_ask());
        let login = self.exchange(&mut prepared, &redirect_uri, Ok(code), pending.sent(), &expected).await?;
        self.confirmed(&prepared.auth, login, &expected, destination).await
    }
}
