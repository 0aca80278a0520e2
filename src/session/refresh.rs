//! A token that is valid now, refreshed if need be: once, whoever else asks for it at the same time.
//!
//! A refresh token may be worth one use only, and a second use may cost the person the login (RFC 9700 section 4.14.2).
//! So the order is: lock, read again, see that there is room, spend only if still needed, verify, store, and hand out last.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::MutexGuard;

use super::{Keys, Session, Stored, environment_token};
use crate::credentials::{Credentials, Kind};
use crate::error::Error;
use crate::http::{Fault, HttpError};
use crate::jwt::{ExpectedAccess, ExpectedId, JwtError, verify_access_token, verify_id_token};
use crate::oauth::{AuthConfig, ErrorCode, Issuer, IssuerError, TokenEndpointError, TokenError, TokenResponse};
use crate::system::Granted;
use crate::text::clean;
use crate::token::{AccessToken, RefreshToken};

/// A token that ends sooner than this is refreshed before it is used.
const STALE_WITHIN: SignedDuration = SignedDuration::from_mins(5);
/// The clocks of an issuer's own servers differ by no more.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(60);
/// How often a refresh is tried in all.
const ATTEMPTS: u32 = 3;
/// The first pause between two attempts; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(400);
/// The longest pause that a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A token to call the API with, and what it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// `ASTRO_API_TOKEN`.
    Environment(AccessToken),
    /// The login that is kept here.
    Login(Box<Stored>),
}

impl Access {
    /// The token itself.
    pub fn token(&self) -> &AccessToken {
        match self {
            Self::Environment(token) => token,
            Self::Login(stored) => &stored.credentials.access,
        }
    }
}

/// Why a token is not good enough.
#[derive(Debug)]
enum Reason {
    /// It ends soon, or has ended.
    Stale,
    /// The API has refused it.
    Refused(HttpError),
}

impl Session<'_> {
    /// A token that is valid now: the environment's, the one that is kept, or a fresh one.
    ///
    /// A refresh that fails for a passing reason leaves a token that is still valid good enough.
    pub async fn access(&self) -> Result<Access, Error> {
        if let Some(token) = environment_token(self.system) {
            return Ok(Access::Environment(token));
        }
        let stored = self.login().await?;
        if self.is_fresh(&stored) {
            return Ok(Access::Login(Box::new(stored)));
        }
        Ok(Access::Login(Box::new(self.refresh(stored, &Reason::Stale).await?)))
    }

    /// Another token, after the API has answered this one with 401. There is one only if the login can be refreshed.
    pub(super) async fn access_instead_of(&self, access: Access, refused: HttpError) -> Result<Access, Error> {
        match access {
            Access::Environment(_) => Err(Error::ApiTokenRefused),
            Access::Login(stored) => {
                Ok(Access::Login(Box::new(self.refresh(*stored, &Reason::Refused(refused)).await?)))
            }
        }
    }

    /// The login that is kept.
    async fn login(&self) -> Result<Stored, Error> {
        self.own(self.stored().await?)
    }

    /// This login, if it is the domain's own. One that another domain's issuer made is not used for anything: neither its
    /// refresh token nor its access token is for the servers of this domain (RFC 9700 section 4.14).
    fn own(&self, stored: Stored) -> Result<Stored, Error> {
        let domain = self.domain.to_string();
        let Credentials { kind, issuer, .. } = &stored.credentials;
        match kind {
            Kind::User if Issuer::parse(issuer, &self.domain).is_err() => {
                let issuer = Some(clean(issuer, 100)).filter(|issuer| !issuer.is_empty());
                Err(Error::ForeignLogin { domain, issuer })
            }
            // An API token names no issuer.
            Kind::User | Kind::ApiToken => Ok(stored),
        }
    }

    fn is_fresh(&self, stored: &Stored) -> bool {
        ends_after(&stored.credentials, self.now() + STALE_WITHIN)
    }

    /// Whether `other` is what another process, or the person, has put in the place of `stored`, and need not be refreshed.
    fn supersedes(&self, other: &Stored, stored: &Stored) -> bool {
        other.credentials.access != stored.credentials.access && self.is_fresh(other)
    }

    async fn refresh(&self, seen: Stored, reason: &Reason) -> Result<Stored, Error> {
        if seen.credentials.refresh.is_none() {
            return self.as_it_is(seen, reason);
        }
        let _lock = match self.lock().await {
            Ok(lock) => lock,
            Err(failure) => return self.make_do_with(seen, reason, failure),
        };
        let stored = self.login().await?;
        if self.supersedes(&stored, &seen) {
            return Ok(stored);
        }
        let Some(refresh) = &stored.credentials.refresh else { return self.as_it_is(stored, reason) };
        let auth = self.auth_of(&stored.credentials)?;
        if let Err(failure) = self.rehearse(&stored).await {
            return self.make_do_with(stored, reason, failure);
        }
        match self.exchange(&auth, refresh).await {
            Ok((_storing, keys, response)) => self.keep(stored, reason, &auth, keys, response).await,
            Err(Error::Token(TokenEndpointError::Refused(refused))) if refused.code == ErrorCode::InvalidGrant => {
                self.end(stored, refused).await
            }
            // The issuer's word alone would not say what it was about.
            Err(Error::Token(TokenEndpointError::Refused(refused))) => {
                self.make_do_with(stored, reason, Error::NotRenewed { domain: self.domain.to_string(), refused })
            }
            Err(failure) => self.make_do_with(stored, reason, failure),
        }
    }

    /// A login that cannot be renewed: good for as long as its token is.
    fn as_it_is(&self, stored: Stored, reason: &Reason) -> Result<Stored, Error> {
        let (domain, now) = (self.domain.to_string(), self.now());
        match (reason, stored.credentials.expires_at) {
            (Reason::Refused(answer), _) => Err(Error::TokenRefused { domain, answer: Some(answer.clone()) }),
            (Reason::Stale, Some(at)) if at <= now => Err(Error::LoginExpired { domain, at, now }),
            (Reason::Stale, _) => Ok(stored),
        }
    }

    /// A login that could not be renewed this time: good for as long as its token is, unless somebody has said no.
    fn make_do_with(&self, stored: Stored, reason: &Reason, failure: Error) -> Result<Stored, Error> {
        match reason {
            Reason::Stale if failure.exit_code() == 1 && ends_after(&stored.credentials, self.now()) => {
                tracing::info!(%failure, "the token could not be refreshed, and is still valid");
                Ok(stored)
            }
            Reason::Stale | Reason::Refused(_) => Err(failure),
        }
    }

    /// Spends the refresh token. From then on until what came for it is stored, Ctrl-C has to wait.
    async fn exchange(
        &self,
        auth: &AuthConfig,
        refresh: &RefreshToken,
    ) -> Result<(MutexGuard<'_, Option<Granted>>, Keys<'_>, TokenResponse), Error> {
        let http = &self.system.http;
        // Without the keys nothing could be verified, and the refresh token would be spent for nothing.
        let keys = self.persist(async || Keys::fetch(http, &auth.issuer).await).await?;
        let storing = self.system.storing.lock().await;
        let response = self.persist(async || Ok(auth.refresh(http, refresh).await?)).await?;
        Ok((storing, keys, response))
    }

    /// Verifies and stores what came for the refresh token, before anyone sees it.
    async fn keep(
        &self,
        stored: Stored,
        reason: &Reason,
        auth: &AuthConfig,
        mut keys: Keys<'_>,
        response: TokenResponse,
    ) -> Result<Stored, Error> {
        let refresh = response.refresh_token.clone().or_else(|| stored.credentials.refresh.clone());
        match self.verify(auth, &mut keys, &stored.credentials, response).await {
            Ok(verified) => {
                let credentials = Credentials { refresh, ..verified };
                if self.replace(&stored, Some(credentials.clone())).await? {
                    return Ok(Stored { store: stored.store, credentials });
                }
                // The person has signed in or out meanwhile, and means that.
                self.as_it_is(self.login().await?, &Reason::Stale)
            }
            Err(refused) => {
                // The old refresh token is spent: without the new one the login would be lost over a bad answer.
                let kept = Credentials { refresh, ..stored.credentials.clone() };
                self.replace(&stored, Some(kept)).await?;
                self.make_do_with(stored, reason, refused)
            }
        }
    }

    /// Takes a refresh token that the issuer has called worthless out of the store, so that nobody tries it again. The rest
    /// stays, to tell whose login it was and when it ended; but not an access token that would outlive the login.
    async fn end(&self, stored: Stored, refused: TokenError) -> Result<Stored, Error> {
        let rest = Credentials { refresh: None, ..stored.credentials.clone() };
        let rest = Some(rest).filter(|rest| !ends_after(rest, self.now()));
        self.replace(&stored, rest).await?;
        match self.login().await {
            Ok(other) if self.supersedes(&other, &stored) => Ok(other),
            Ok(_) | Err(_) => Err(Error::LoginEnded { domain: self.domain.to_string(), refused }),
        }
    }

    /// The rules of the login hold for what replaces it (OpenID Connect Core section 12.2).
    async fn verify(
        &self,
        auth: &AuthConfig,
        keys: &mut Keys<'_>,
        old: &Credentials,
        response: TokenResponse,
    ) -> Result<Credentials, Error> {
        let now = self.now();
        let (issuer, client_id) = (auth.issuer.as_str(), auth.client_id.as_str());
        let expected = ExpectedAccess { issuer, audience: &auth.audience, client_id };
        let access = keys.verify(|jwks| verify_access_token(&response.access_token, jwks, &expected, now)).await?;
        let mut subjects = vec![access.subject];
        if let Some(id_token) = &response.id_token {
            let access_token = &response.access_token;
            let expected = ExpectedId { issuer, client_id, nonce: None, organization: None, access_token };
            let identity = keys.verify(|jwks| verify_id_token(id_token, jwks, &expected, now)).await?;
            // It is to be a new one (the same section); an old one is older than what it would renew.
            let renewed = old.issued_at.zip(identity.issued_at);
            if renewed.is_some_and(|(old, new)| old.duration_since(new) > CLOCKS_DIFFER) {
                return Err(JwtError::Nonce.into());
            }
            subjects.push(identity.subject);
        }
        if subjects.iter().any(|subject| *subject != old.sub) {
            return Err(Error::OtherSubject);
        }
        Ok(Credentials {
            access: response.access_token,
            issued_at: access.issued_at,
            expires_at: Some(earlier(access.expires_at, access.issued_at, response.expires_in)),
            ..old.clone()
        })
    }

    /// Makes an attempt, and further ones where the failure may pass and a repetition does no harm.
    async fn persist<T>(&self, attempt: impl AsyncFn() -> Result<T, Error>) -> Result<T, Error> {
        let mut repeated = false;
        let mut attempts = 1;
        loop {
            let failure = match attempt().await {
                Ok(outcome) => return Ok(outcome),
                Err(failure) => failure,
            };
            let Some(pause) = pause(&failure, attempts, &mut repeated) else { return Err(failure) };
            attempts += 1;
            let pause = pause + self.jitter(pause)?;
            tracing::info!(%failure, ?pause, "trying again");
            tokio::time::sleep(pause).await;
        }
    }

    /// Up to half of `pause`, so that many machines don't come back at once.
    fn jitter(&self, pause: Duration) -> Result<Duration, Error> {
        let mut byte = [0];
        self.system.random.fill(&mut byte)?;
        Ok(pause * u32::from(byte[0]) / 512)
    }
}

/// Whether the token lives beyond `at`. One without an end always does.
fn ends_after(credentials: &Credentials, at: Timestamp) -> bool {
    credentials.expires_at.is_none_or(|end| end > at)
}

/// The end of a token: its own word is signed, the answer around it may only shorten it (RFC 6749 section 5.1).
pub fn earlier(expires_at: Timestamp, issued_at: Option<Timestamp>, expires_in: Option<Duration>) -> Timestamp {
    let told = expires_in.and_then(|life| issued_at?.checked_add(life).ok());
    told.map_or(expires_at, |told| told.min(expires_at))
}

/// How long to wait before the next attempt; `None` if there must not be one.
///
/// A request that may have been acted upon is repeated once, and soon. If it did spend the refresh token, the new one is
/// lost with the answer, and only within the time that an issuer allows for just that is the old one still good for
/// another. Where none is allowed the repetition costs nothing that was not lost already.
fn pause(failure: &Error, attempts: u32, repeated: &mut bool) -> Option<Duration> {
    let (may_have_acted, asked_for) = match failure {
        Error::Token(TokenEndpointError::Refused(refused)) if refused.may_pass() => {
            (refused.status >= 500, refused.retry_after)
        }
        Error::Issuer(IssuerError::Http(HttpError { fault, .. }))
        | Error::Token(TokenEndpointError::Http(HttpError { fault, .. })) => match fault {
            Fault::Dns | Fault::Connect(_) => (false, None),
            Fault::Timeout(_) | Fault::Interrupted => (true, None),
            Fault::Status { status: 429, retry_after, .. } => (false, *retry_after),
            Fault::Status { status: 500..=599, retry_after, .. } => (true, *retry_after),
            Fault::NotHttps
            | Fault::Setup(_)
            | Fault::Certificate(_)
            | Fault::TooLarge { .. }
            | Fault::Redirect { .. }
            | Fault::Status { .. }
            | Fault::NotUnderstood => return None,
        },
        _ => return None,
    };
    if attempts >= ATTEMPTS || (may_have_acted && std::mem::replace(repeated, true)) {
        return None;
    }
    Some(asked_for.unwrap_or(PAUSE * 2_u32.pow(attempts - 1))).filter(|pause| *pause <= LONGEST_PAUSE)
}
