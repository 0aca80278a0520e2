//! Logs in with a browser: prepare, ask for the account, open the browser, wait, exchange the code once, verify the tokens,
//! and answer the browser with the outcome.

use url::Url;

use super::account::ExpectedAccount;
use super::events::Event;
use super::save::Destination;
use super::wait::{CallbackOutcome, CallbackSources};
use super::{LoginFlow, NewLogin, user_credentials};
use crate::api::lookup_organization;
use crate::credentials::Credentials;
use crate::email::EmailAddress;
use crate::error::{Error, NO_EMAIL, Warning};
use crate::jwt::{Claims, ExpectedAccess, ExpectedId, Jwks, verify_access_token, verify_id_token};
use crate::oauth::page::Outcome;
use crate::oauth::{
    AuthConfig, AuthorizationCode, AuthorizationRequest, CallbackError, ExpectedResponse, Granted, Metadata, Nonce,
    PkceChallenge, PkceVerifier, RedirectUri, Reply, State, TokenResponse,
};
use crate::session::{KeySource, StoragePlan, effective_expiry};
use crate::text::clean;
use crate::token::RefreshToken;

/// The issuer's configuration, fetched before the user is asked anything.
pub(super) struct Prepared<'a> {
    pub(super) auth: AuthConfig,
    metadata: Option<Metadata>,
    keys: KeySource<'a>,
}

pub(super) struct VerifiedLogin {
    tokens: TokenResponse,
    refresh_token: Option<RefreshToken>,
    access: Claims,
    identity: Claims,
    /// The email that the issuer reports, safe to print.
    email: Option<String>,
    /// Whether the account is another than the expected one, or none was expected.
    unexpected: bool,
}

impl VerifiedLogin {
    /// Returns a name of the account for the user: its email, or its subject.
    fn account(&self) -> String {
        self.email.clone().unwrap_or_else(|| format!("{}, {NO_EMAIL}", clean(&self.identity.subject, 255)))
    }
}

/// The values that were sent, and that the tokens must match.
pub(super) struct SentValues {
    pub(super) verifier: PkceVerifier,
    pub(super) nonce: Nonce,
    pub(super) organization: Option<String>,
}

impl LoginFlow<'_> {
    pub(super) async fn authenticate_with_browser(&self) -> Result<NewLogin, Error> {
        let delivery = self.link_delivery()?;
        let (redirect_uri, listener) = self.bind()?;
        let (mut prepared, plan) = self.prepare().await?;
        let destination = self.destination(plan).await?;
        let expected = self.ask_account().await?;
        let (sent, response, link) = self.request(&prepared, &redirect_uri, &expected).await?;
        let mut sources = CallbackSources::open(listener, &redirect_uri, response);
        self.event(&Event::Link { link: link.as_str(), expires_at: self.expiry(self.login.timeout()), next: None })?;
        self.event(&Event::Waiting)?;
        let CallbackOutcome { code, reply } = self.wait(&mut sources, delivery, &link).await?;
        // A reload during the exchange finds the port open.
        let sources = Some(sources).filter(|_| reply.is_some());

        let outcome = self.exchange(&mut prepared, &redirect_uri, code, sent, &expected).await;
        respond(reply, &outcome, self.ui().can_ask()).await;
        drop(sources);
        self.confirmed(&prepared.auth, outcome?, &expected, destination).await
    }

    /// Fetches all that the login needs of the issuer, and checks that the login can be saved.
    pub(super) async fn prepare(&self) -> Result<(Prepared<'_>, StoragePlan), Error> {
        let _spinner = self.ui().spinner(&format!("Preparing to log in to {}…", self.session.domain));
        tokio::try_join!(self.fetch_configuration(), self.prepare_to_save())
    }

    /// Fetches the login configuration, then the metadata and the keys at the same time.
    async fn fetch_configuration(&self) -> Result<Prepared<'_>, Error> {
        let auth = self.auth_config().await?;
        let metadata = async { Ok(auth.issuer.metadata(self.http()).await?) };
        let (metadata, keys) = tokio::try_join!(metadata, KeySource::fetch(self.http(), &auth.issuer))?;
        Ok(Prepared { auth, metadata, keys })
    }

    /// Makes an authorization request: the values that were sent, the response to expect, and the link.
    pub(super) async fn request(
        &self,
        prepared: &Prepared<'_>,
        redirect_uri: &RedirectUri,
        expected: &ExpectedAccount,
    ) -> Result<(SentValues, ExpectedResponse, Url), Error> {
        let organization = self.find_organization(&prepared.auth, expected).await;
        let random = &*self.session.system.random;
        let (verifier, state, nonce) = (PkceVerifier::random(random)?, State::random(random)?, Nonce::random(random)?);
        let link = AuthorizationRequest {
            config: &prepared.auth,
            redirect_uri,
            challenge: &PkceChallenge::of(&verifier),
            state: &state,
            nonce: &nonce,
            login_hint: expected.email.as_ref().map(EmailAddress::as_str),
            organization: organization.as_deref(),
        }
        .url();
        let issuer = prepared.auth.issuer.clone();
        let iss_required = prepared.metadata.is_some_and(|it| it.iss_parameter_supported);
        Ok((SentValues { verifier, nonce, organization }, ExpectedResponse { state, issuer, iss_required }, link))
    }

    /// Looks up the issuer's organization, if the email belongs to exactly one.
    async fn find_organization(&self, auth: &AuthConfig, expected: &ExpectedAccount) -> Option<String> {
        let email = expected.email.as_ref().filter(|_| !auth.identity_first)?;
        let _spinner = self.ui().spinner("Looking up your organization…");
        lookup_organization(self.http(), self.session.domain.api_base(), email.as_str()).await
    }

    /// Redeems the code, and verifies the tokens and the account.
    pub(super) async fn exchange(
        &self,
        prepared: &mut Prepared<'_>,
        redirect_uri: &RedirectUri,
        code: Result<AuthorizationCode, CallbackError>,
        sent: SentValues,
        expected: &ExpectedAccount,
    ) -> Result<VerifiedLogin, Error> {
        let code = code?;
        let _spinner = self.ui().spinner("Verifying the login…");
        let Granted { refresh_token, tokens } = self.redeem(prepared, code, sent.verifier, redirect_uri).await?;
        let tokens = tokens?;
        let id_token = tokens.id_token.as_ref().ok_or(Error::NoIdToken)?;
        let AuthConfig { issuer, client_id, audience, .. } = &prepared.auth;
        let expected_id = ExpectedId {
            issuer: issuer.as_str(),
            client_id,
            nonce: Some(sent.nonce.expose()),
            organization: sent.organization.as_deref(),
            access_token: &tokens.access_token,
        };
        let expected_access = ExpectedAccess { issuer: issuer.as_str(), audience, client_id };
        let now = self.session.now();
        let access_token = &tokens.access_token;
        let verify = |jwks: &Jwks| verify_id_token(id_token, jwks, &expected_id, now);
        let identity = prepared.keys.verify_fresh(id_token.expose(), verify).await?;
        let verify = |jwks: &Jwks| verify_access_token(access_token, jwks, &expected_access, now);
        let access = prepared.keys.verify_fresh(access_token.expose(), verify).await?;
        if access.subject != identity.subject {
            return Err(Error::SubjectMismatch);
        }
        let email = match identity.email.clone() {
            Some(email) => Some(email),
            None if identity.email_unverified => None,
            None => self.userinfo_email(&prepared.auth, &tokens, &identity).await?,
        };
        let email = email.map(|email| clean(&email, 254));
        let unexpected = expected.is_unlike(email.as_deref())?;
        Ok(VerifiedLogin { tokens, refresh_token, access, identity, email, unexpected })
    }

    /// Returns the verified login, after a question if its account was not expected.
    pub(super) async fn confirmed(
        &self,
        auth: &AuthConfig,
        login: VerifiedLogin,
        expected: &ExpectedAccount,
        destination: Destination,
    ) -> Result<NewLogin, Error> {
        if login.unexpected {
            self.confirm_account(&login.account(), expected).await?;
        }
        Ok(new_login(auth, login, destination))
    }

    /// Redeems the code. From here on, a signal waits for the response, so that a grant is stored or revoked.
    async fn redeem(
        &self,
        prepared: &Prepared<'_>,
        code: AuthorizationCode,
        verifier: PkceVerifier,
        redirect_uri: &RedirectUri,
    ) -> Result<Granted, Error> {
        let pending = &self.session.system.pending_grant;
        let _exchanging = pending.start_exchange().await;
        let granted = prepared.auth.redeem(self.http(), code, verifier, redirect_uri).await?;
        if let Some(refresh) = granted.refresh_token.clone() {
            pending.hold(prepared.auth.clone(), refresh).await;
        }
        Ok(granted)
    }

    /// Asks the issuer for the email that the ID token lacks. A failure is a warning; another subject is an error (OpenID
    /// Connect Core section 5.3.2).
    async fn userinfo_email(
        &self,
        auth: &AuthConfig,
        tokens: &TokenResponse,
        identity: &Claims,
    ) -> Result<Option<String>, Error> {
        match auth.issuer.userinfo(self.http(), &tokens.access_token).await {
            Ok(userinfo) if userinfo.sub != identity.subject => Err(Error::SubjectMismatch),
            Ok(userinfo) => Ok(userinfo.email),
            Err(failure) => {
                Warning::NoUserInfo { cause: failure.to_string() }.show(self.ui());
                Ok(None)
            }
        }
    }
}

/// Sends the waiting browser its page: the outcome that is certain by now.
async fn respond(reply: Option<Reply>, outcome: &Result<VerifiedLogin, Error>, can_ask: bool) {
    let Some(reply) = reply else { return };
    match outcome {
        Ok(login) => {
            let account = login.email.as_deref().unwrap_or(&login.identity.subject);
            reply.send(&Outcome::Confirmed { account, question: login.unexpected && can_ask }).await;
        }
        Err(failure) => {
            let detail = sentence(&failure.to_string());
            reply.send(&Outcome::Failed { detail: &detail }).await;
        }
    }
}

fn sentence(message: &str) -> String {
    let mut rest = message.chars();
    let first = rest.next().map(char::to_uppercase).into_iter().flatten();
    let end = if message.ends_with(['.', '!', '?']) { "" } else { "." };
    first.chain(rest).collect::<String>() + end
}

fn new_login(auth: &AuthConfig, verified: VerifiedLogin, destination: Destination) -> NewLogin {
    let VerifiedLogin { tokens, refresh_token, access, email, .. } = verified;
    let expires_at = Some(effective_expiry(access.expires_at, access.issued_at, tokens.expires_in));
    let credentials = user_credentials(auth, tokens.access_token, access);
    NewLogin { credentials: Credentials { refresh: refresh_token, email, expires_at, ..credentials }, destination }
}
