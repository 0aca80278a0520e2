//! Signing in with a browser, here or elsewhere: prepare, ask who, send them there, wait, exchange the code once, verify
//! what came, and answer the browser with the truth.

use super::remember::Storage;
use super::wait::{Answer, Doors};
use super::{Attempt, SignedIn};
use crate::api::lookup_organization;
use crate::browser::BrowserLaunch;
use crate::credentials::{Credentials, Kind};
use crate::email::EmailAddress;
use crate::error::Error;
use crate::jwt::{Claims, ExpectedAccess, ExpectedId, verify_access_token, verify_id_token};
use crate::oauth::page::Outcome;
use crate::oauth::{
    AuthConfig, AuthFlow, AuthorizationCode, AuthorizationRequest, CallbackError, ExpectedResponse, Metadata, Nonce,
    PkceChallenge, PkceVerifier, RedirectUri, Reply, State, TokenResponse,
};
use crate::session::{Keys, earlier};
use crate::system::Granted;
use crate::text::clean;

/// How the person gets to the login page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// A browser is opened here.
    Opened,
    /// A link is printed.
    Link,
}

/// What is known before anyone is asked anything.
struct Prepared<'a> {
    auth: AuthConfig,
    metadata: Option<Metadata>,
    keys: Keys<'a>,
}

/// Who is to sign in.
pub(super) struct Invited {
    email: Option<EmailAddress>,
    /// What it means if somebody else does.
    otherwise: Otherwise,
    /// Whether the person has just answered a question, and so is there and ready.
    pub(super) answered: bool,
}

/// What it means if another account comes back than the one that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Otherwise {
    /// Nothing: the address was a guess.
    GoOn,
    /// The person decides.
    Ask,
    /// The login ends.
    Stop,
}

/// Who has come back.
struct Arrived {
    tokens: TokenResponse,
    access: Claims,
    identity: Claims,
    /// The e-mail address that the issuer knows, safe to print.
    email: Option<String>,
    /// Whether only the person can tell if this is the right account.
    questionable: bool,
}

/// What this attempt sent out, and what has to match it.
struct Sent {
    verifier: PkceVerifier,
    nonce: Nonce,
    organization: Option<String>,
}

impl Attempt<'_> {
    pub(super) async fn sign_in_with_browser(&self) -> Result<SignedIn, Error> {
        let way = self.way()?;
        let (redirect_uri, listener) = self.bind()?;
        let spinner = self.session.system.ui.spinner(&format!("Preparing to sign in to {}…", self.session.domain));
        let (mut prepared, storage) = tokio::try_join!(self.prepare(), self.storage())?;
        drop(spinner);

        let invited = self.ask_who().await?;
        let organization = self.find_organization(&prepared.auth, &invited).await;
        let random = &*self.session.system.random;
        let (verifier, state, nonce) = (PkceVerifier::random(random)?, State::random(random)?, Nonce::random(random)?);
        let link = AuthorizationRequest {
            config: &prepared.auth,
            redirect_uri: &redirect_uri,
            challenge: &PkceChallenge::of(&verifier),
            state: &state,
            nonce: &nonce,
            login_hint: invited.email.as_ref().map(EmailAddress::as_str),
            organization: organization.as_deref(),
        }
        .url();
        let response = ExpectedResponse {
            state,
            issuer: prepared.auth.issuer.clone(),
            iss_required: prepared.metadata.is_some_and(|it| it.iss_parameter_supported),
        };
        let doors = Doors::open(listener, &redirect_uri, response);
        let Answer { result, reply } = self.wait(doors, way, &link, &invited).await?;

        let sent = Sent { verifier, nonce, organization };
        let outcome = self.exchange(&mut prepared, &redirect_uri, result, sent, &invited).await;
        answer(reply, &outcome).await;
        let arrived = self.confirm(outcome?, &invited).await?;
        Ok(signed_in(&prepared.auth, arrived, storage))
    }

    /// Whether a browser can be opened here. Where one can't, a link will do if anyone could read it.
    fn way(&self) -> Result<Way, Error> {
        if self.login.login_link {
            return Ok(Way::Link);
        }
        match self.session.system.opening() {
            BrowserLaunch::FromEnv(_) | BrowserLaunch::Platform(_) => Ok(Way::Opened),
            BrowserLaunch::Unavailable(reason) if self.session.system.ui.can_ask() => {
                self.session.system.ui.say(&format!("No browser is opened: {reason}."));
                Ok(Way::Link)
            }
            BrowserLaunch::Unavailable(reason) => Err(Error::NobodyThere { reason }),
        }
    }

    /// Fetches what the login needs to know of the issuer, all that can be at once.
    async fn prepare(&self) -> Result<Prepared<'_>, Error> {
        let auth = self.auth_config().await?;
        let metadata = async { Ok(auth.issuer.metadata(&self.session.system.http).await?) };
        let (metadata, keys) = tokio::try_join!(metadata, Keys::fetch(&self.session.system.http, &auth.issuer))?;
        Ok(Prepared { auth, metadata, keys })
    }

    /// The e-mail address: the flag's, the person's answer, or what is remembered.
    async fn ask_who(&self) -> Result<Invited, Error> {
        if let Some(email) = &self.login.email {
            return Ok(Invited { email: Some(email.clone()), otherwise: Otherwise::Stop, answered: false });
        }
        let remembered: Option<EmailAddress> = self.before.user_email.as_deref().and_then(|it| it.parse().ok());
        if !self.session.system.ui.can_ask() {
            return Ok(Invited { email: remembered, otherwise: Otherwise::GoOn, answered: false });
        }
        let default = remembered.as_ref().map(EmailAddress::as_str);
        let help = if default.is_none() { Some("leave it empty to say who you are in the browser") } else { None };
        let check = |typed: &str| match typed.parse::<EmailAddress>() {
            Err(error) if !typed.trim().is_empty() => Err(error.to_string()),
            Ok(_) | Err(_) => Ok(()),
        };
        let typed = self.session.system.ui.ask_text("E-mail address:", default, help, check).await?;
        let email: Option<EmailAddress> = typed.and_then(|typed| typed.parse().ok());
        let otherwise = if email.is_some() { Otherwise::Ask } else { Otherwise::GoOn };
        Ok(Invited { email, otherwise, answered: true })
    }

    /// The identity provider's organization, where the e-mail address leads to exactly one.
    async fn find_organization(&self, auth: &AuthConfig, invited: &Invited) -> Option<String> {
        let email = invited.email.as_ref().filter(|_| auth.auth_flow != Some(AuthFlow::IdentityFirst))?;
        let _spinner = self.session.system.ui.spinner("Looking up your organization…");
        lookup_organization(&self.session.system.http, self.session.domain.api_base(), email.as_str()).await
    }

    /// Redeems the code and verifies everything that comes back.
    async fn exchange(
        &self,
        prepared: &mut Prepared<'_>,
        redirect_uri: &RedirectUri,
        result: Result<AuthorizationCode, CallbackError>,
        sent: Sent,
        invited: &Invited,
    ) -> Result<Arrived, Error> {
        let code = result?;
        let _spinner = self.session.system.ui.spinner("Checking who has signed in…");
        let http = &self.session.system.http;
        let tokens = prepared.auth.redeem(http, code, sent.verifier, redirect_uri).await?;
        if let Some(refresh) = tokens.refresh_token.clone() {
            *self.session.system.storing.lock().await = Some(Granted { auth: prepared.auth.clone(), refresh });
        }
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
        let identity = prepared.keys.verify(|jwks| verify_id_token(id_token, jwks, &expected_id, now)).await?;
        let access =
            prepared.keys.verify(|jwks| verify_access_token(&tokens.access_token, jwks, &expected_access, now)).await?;
        if access.subject != identity.subject {
            return Err(Error::OtherSubject);
        }
        let email = match identity.email.clone() {
            Some(email) => Some(email),
            None => self.userinfo_email(&prepared.auth, &tokens, &identity).await?,
        };
        let email = email.map(|email| clean(&email, 254));
        let questionable = self.compare(email.as_deref(), invited)?;
        Ok(Arrived { tokens, access, identity, email, questionable })
    }

    /// The e-mail address that the issuer tells apart from the ID token. Doing without is no failure; being told about
    /// somebody else is (OpenID Connect Core section 5.3.2).
    async fn userinfo_email(
        &self,
        auth: &AuthConfig,
        tokens: &TokenResponse,
        identity: &Claims,
    ) -> Result<Option<String>, Error> {
        match auth.issuer.userinfo(&self.session.system.http, &tokens.access_token).await {
            Ok(userinfo) if userinfo.sub != identity.subject => Err(Error::OtherSubject),
            Ok(userinfo) => Ok(userinfo.email),
            Err(failure) => {
                self.session.system.ui.warn(&failure.to_string());
                Ok(None)
            }
        }
    }

    /// Whether it is open if the right account has signed in; an error where it is plain that it has not.
    fn compare(&self, email: Option<&str>, invited: &Invited) -> Result<bool, Error> {
        let Some(asked) = &invited.email else { return Ok(false) };
        if email.is_some_and(|email| asked.is_same_as(email)) {
            return Ok(false);
        }
        match invited.otherwise {
            Otherwise::GoOn => Ok(false),
            Otherwise::Ask if self.session.system.ui.can_ask() => Ok(true),
            Otherwise::Ask | Otherwise::Stop => {
                Err(Error::OtherAccount { asked: asked.to_string(), found: email.map(str::to_owned) })
            }
        }
    }

    /// Lets the person decide about an account that they have not asked for.
    async fn confirm(&self, arrived: Arrived, invited: &Invited) -> Result<Arrived, Error> {
        let Some(asked) = invited.email.as_ref().filter(|_| arrived.questionable) else { return Ok(arrived) };
        let who = arrived.email.as_deref().unwrap_or("an account without an e-mail address");
        let ui = &self.session.system.ui;
        ui.warn(&format!("you asked for {asked}, but the browser signed in {who}"));
        if ui.confirm(&format!("Go on with {who}?"), false).await? { Ok(arrived) } else { Err(Error::Cancelled) }
    }
}

/// Gives the browser that waits its page: what is known to be true by now.
async fn answer(reply: Option<Reply>, outcome: &Result<Arrived, Error>) {
    let Some(reply) = reply else { return };
    match outcome {
        Ok(arrived) => {
            let account = arrived.email.as_deref().unwrap_or(&arrived.identity.subject);
            reply.send(&Outcome::Confirmed { account, question: arrived.questionable }).await;
        }
        Err(failure) => {
            let detail = sentence(&failure.to_string());
            reply.send(&Outcome::Failed { title: "You are not signed in", detail: &detail }).await;
        }
    }
}

/// An error's words as a page tells them.
fn sentence(words: &str) -> String {
    let mut rest = words.chars();
    let first = rest.next().map(char::to_uppercase).into_iter().flatten();
    let end = if words.ends_with(['.', '!', '?']) { "" } else { "." };
    first.chain(rest).collect::<String>() + end
}

fn signed_in(auth: &AuthConfig, arrived: Arrived, storage: Storage) -> SignedIn {
    let Arrived { tokens, access, identity, email, questionable: _ } = arrived;
    let credentials = Credentials {
        kind: Kind::User,
        access: tokens.access_token,
        refresh: tokens.refresh_token,
        issuer: identity.issuer,
        client_id: auth.client_id.clone(),
        audience: auth.audience.clone(),
        sub: identity.subject,
        email,
        issued_at: access.issued_at,
        expires_at: Some(earlier(access.expires_at, access.issued_at, tokens.expires_in)),
    };
    SignedIn { credentials, storage }
}
