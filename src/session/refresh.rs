//! A token that is valid now, refreshed if need be: once, whoever else asks for it at the same time.
//!
//! A refresh token may be worth one use only, and a second use may cost the person the login (RFC 9700 section 4.14.2).
//! So the order is: lock, read again, spend only if still needed, verify, store, and hand out last.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Keys, Session, Stored, environment_token};
use crate::config::ConfigError;
use crate::credentials::Credentials;
use crate::error::Error;
use crate::http::{Fault, HttpError};
use crate::jwt::{ExpectedAccess, ExpectedId, verify_access_token, verify_id_token};
use crate::oauth::{AuthConfig, ErrorCode, TokenEndpointError, TokenResponse};
use crate::token::{AccessToken, RefreshToken};

/// A token that ends sooner than this is refreshed before it is used.
const STALE_WITHIN: SignedDuration = SignedDuration::from_mins(5);
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// It ends soon, or has ended.
    Stale,
    /// The API has refused it.
    Refused,
}

impl Session<'_> {
    /// A token that is valid now: the environment's, the one that is kept, or a fresh one.
    ///
    /// A refresh that fails for a passing reason leaves a token that is still valid good enough.
    pub async fn access(&self) -> Result<Access, Error> {
        if let Some(token) = environment_token(self.system) {
            return Ok(Access::Environment(token));
        }
        let stored = self.stored().await?.ok_or_else(|| self.signed_out())?;
        if ends_after(&stored.credentials, self.now() + STALE_WITHIN) {
            return Ok(Access::Login(Box::new(stored)));
        }
        Ok(Access::Login(Box::new(self.refresh(stored, Reason::Stale).await?)))
    }

    /// Another token, after the API has answered this one with 401. There is one only if the login can be refreshed.
    pub async fn access_instead_of(&self, refused: Access) -> Result<Access, Error> {
        match refused {
            Access::Environment(_) => Err(Error::ApiTokenRefused),
            Access::Login(stored) => Ok(Access::Login(Box::new(self.refresh(*stored, Reason::Refused).await?))),
        }
    }

    fn signed_out(&self) -> Error {
        Error::SignedOut { domain: self.domain.to_string() }
    }

    async fn refresh(&self, seen: Stored, reason: Reason) -> Result<Stored, Error> {
        let still_good = |stored: &Stored| reason == Reason::Stale && ends_after(&stored.credentials, self.now());
        if seen.credentials.refresh.is_none() {
            return if still_good(&seen) { Ok(seen) } else { Err(self.ended(&seen, reason)) };
        }
        let _lock = match self.lock().await {
            Ok(lock) => lock,
            Err(Error::Config(ConfigError::Locked { .. })) if still_good(&seen) => return Ok(seen),
            Err(failure) => return Err(failure),
        };
        // Another process may have done it, or the person may have signed in again, while the lock was waited for.
        let stored = self.stored().await?.ok_or_else(|| self.signed_out())?;
        if stored.credentials.access != seen.credentials.access
            && ends_after(&stored.credentials, self.now() + STALE_WITHIN)
        {
            return Ok(stored);
        }
        let _storing = self.system.storing.lock().await;
        match self.spend(&stored).await {
            Err(Error::Token(TokenEndpointError::Refused(refused))) if refused.code == ErrorCode::InvalidGrant => {
                self.mark_as_spent(stored).await?;
                Err(Error::LoginEnded { domain: self.domain.to_string(), refused })
            }
            Err(failure) if failure.may_pass() && still_good(&stored) => {
                tracing::info!(%failure, "the token could not be refreshed, and is still valid");
                Ok(stored)
            }
            outcome => outcome,
        }
    }

    fn ended(&self, stored: &Stored, reason: Reason) -> Error {
        let domain = self.domain.to_string();
        match (reason, stored.credentials.expires_at) {
            (Reason::Stale, Some(at)) => Error::LoginExpired { domain, at, now: self.now() },
            (Reason::Stale, None) | (Reason::Refused, _) => Error::TokenRefused { domain },
        }
    }

    /// Spends the refresh token, and stores what came for it before anyone sees it.
    async fn spend(&self, stored: &Stored) -> Result<Stored, Error> {
        let old = &stored.credentials;
        let refresh = old.refresh.as_ref().ok_or_else(|| self.signed_out())?;
        let auth = self.auth_of(old)?;
        let http = &self.system.http;
        // Without the keys nothing could be verified, and the refresh token would be spent for nothing.
        let mut keys = Keys::fetch(http, &auth.issuer).await?;
        let response = self.request(&auth, refresh).await?;
        let renewed = response.refresh_token.clone().or_else(|| old.refresh.clone());
        match self.verify(&auth, &mut keys, old, response).await {
            Ok(credentials) => {
                let fresh =
                    Stored { store: stored.store, credentials: Credentials { refresh: renewed, ..credentials } };
                self.replace(fresh.clone()).await?;
                Ok(fresh)
            }
            Err(refused) => {
                // The old refresh token is spent: without the new one the login would be lost over a bad answer.
                let kept = Credentials { refresh: renewed, ..old.clone() };
                self.replace(Stored { store: stored.store, credentials: kept }).await?;
                Err(refused)
            }
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
            subjects.push(keys.verify(|jwks| verify_id_token(id_token, jwks, &expected, now)).await?.subject);
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

    /// Asks for new tokens, again where the first request cannot have cost anything.
    async fn request(&self, auth: &AuthConfig, refresh: &RefreshToken) -> Result<TokenResponse, Error> {
        let mut lost_an_answer = false;
        let mut attempt = 1;
        loop {
            let failure = match auth.refresh(&self.system.http, refresh).await {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            let Some(pause) = pause(&failure, attempt, &mut lost_an_answer) else { return Err(failure.into()) };
            attempt += 1;
            let pause = pause + self.jitter(pause)?;
            tracing::info!(%failure, ?pause, "the refresh is tried again");
            tokio::time::sleep(pause).await;
        }
    }

    /// Up to half of `pause`, so that many machines don't come back at once.
    fn jitter(&self, pause: Duration) -> Result<Duration, Error> {
        let mut byte = [0];
        self.system.random.fill(&mut byte)?;
        Ok(pause * u32::from(byte[0]) / 512)
    }

    /// Takes a refresh token that the issuer has called worthless out of the store, so that nobody tries it again.
    async fn mark_as_spent(&self, tried: Stored) -> Result<(), Error> {
        // Whoever signed in meanwhile without our lock, as the Go CLI does, keeps what they have.
        if self.stored().await?.as_ref() != Some(&tried) {
            return Ok(());
        }
        let credentials = Credentials { refresh: None, ..tried.credentials };
        self.replace(Stored { store: tried.store, credentials }).await
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

/// How long to wait before the next attempt; `None` if there must not be one. A request whose answer was lost may have
/// spent the refresh token, and is repeated at most once, within the time that issuers allow for just that.
fn pause(failure: &TokenEndpointError, attempt: u32, lost_an_answer: &mut bool) -> Option<Duration> {
    let usual = PAUSE * 2_u32.pow(attempt - 1);
    if attempt >= ATTEMPTS {
        return None;
    }
    match failure {
        TokenEndpointError::Http(HttpError { fault, .. }) => match fault {
            Fault::Dns | Fault::Connect(_) => Some(usual),
            Fault::Timeout(_) | Fault::Interrupted => (!std::mem::replace(lost_an_answer, true)).then_some(usual),
            Fault::Status { status: 429 | 500..=599, retry_after, .. } => {
                Some(retry_after.unwrap_or(usual)).filter(|pause| *pause <= LONGEST_PAUSE)
            }
            Fault::NotHttps
            | Fault::Setup(_)
            | Fault::Certificate(_)
            | Fault::TooLarge { .. }
            | Fault::Redirect { .. }
            | Fault::Status { .. }
            | Fault::NotUnderstood => None,
        },
        TokenEndpointError::Refused(refused) => (refused.code == ErrorCode::TooManyRequests).then_some(usual),
        TokenEndpointError::TokenType(_) => None,
    }
}
