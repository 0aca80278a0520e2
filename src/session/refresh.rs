//! A token that is valid now, refreshed if needed: once, even with concurrent callers.
//!
//! A refresh token may be good for one use only, and a second use may end the login (RFC 9700 section 4.14.2). So the order
//! is: lock, reread, check that the result can be stored, spend the token only if still needed, verify, store, return. A login
//! that Astro CLI 2 can renew, too, is renewed under its lock as well. It waits for that for 30 seconds, so the keys are
//! fetched before, and what remains is bounded.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, timeout_at};

use super::retry::with_retries;
use super::{Access, KeySource, Location, SavedLogin, Session, effective_expiry, is_same_user};
use crate::config::Context;
use crate::credentials::Credentials;
use crate::error::Error;
use crate::http::HttpError;
use crate::jwt::{ExpectedAccess, ExpectedId, JwtError, verify_access_token, verify_id_token};
use crate::oauth::{AuthConfig, ErrorCode, Granted, Storing, TokenEndpointError, TokenError, TokenResponse};
use crate::token::RefreshToken;

/// A token that expires within this time is refreshed before it is used.
const REFRESH_WITHIN: SignedDuration = SignedDuration::from_mins(5);
/// A token is not refreshed again within this time: programs that ask at the same time share one refresh.
const YOUNG: SignedDuration = SignedDuration::from_secs(60);
/// The tolerated difference between the clocks of one issuer's servers.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(60);
/// The longest time that the requests under the lock of Astro CLI 2 take.
const UNDER_LOCK: Duration = Duration::from_secs(25);
/// The number of refreshes, if another program keeps replacing the login.
const ATTEMPTS: usize = 3;

#[derive(Debug)]
enum Reason {
    /// The token has expired, or expires within [`REFRESH_WITHIN`].
    Stale,
    /// The user demands a newer token.
    Demanded,
    Refused(HttpError),
}

/// A refresh in progress: what it is for, the issuer's keys, and the end of its time.
struct Refresh<'a> {
    reason: &'a Reason,
    keys: KeySource<'a>,
    until: Instant,
}

impl Session<'_> {
    /// Returns a token that is valid now: the environment's, the saved one if it is fresh, or a refreshed one. A token from
    /// config.yaml that is fresh takes neither the keychain nor the network.
    pub async fn access(&self) -> Result<Access, Error> {
        if let Some(token) = self.environment_token_to_send().await? {
            return Ok(Access::Environment(token));
        }
        Ok(Access::Login(Box::new(self.access_for(self.context()?, None, false).await?)))
    }

    /// Returns the token of the login if it stays valid for this time, else a refreshed one; with `force` a refreshed one.
    /// In both cases a token that is younger than a minute is new enough. `context` was just read.
    pub async fn access_for(
        &self,
        context: Context,
        valid_for: Option<SignedDuration>,
        force: bool,
    ) -> Result<SavedLogin, Error> {
        let saved = self.login_of(context).await?;
        if let Some(warning) = self.vault_warning(saved.location) {
            warning.show(&self.system.ui);
        }
        let now = self.now();
        let lasts = valid_for.is_none_or(|wanted| expires_after(&saved.credentials, now + wanted));
        let demands = force || valid_for.is_some();
        let is_young = saved.credentials.issued_at.is_some_and(|at| now.duration_since(at).abs() < YOUNG);
        let is_new = demands && is_young && expires_after(&saved.credentials, now);
        if is_new || !force && lasts && self.is_fresh(&saved) {
            return Ok(saved);
        }
        self.refresh(saved, &if force || !lasts { Reason::Demanded } else { Reason::Stale }).await
    }

    /// Returns another token after the API responded 401 to this one. Only a login with a refresh token has another.
    pub(super) async fn access_instead_of(&self, access: Access, refused: HttpError) -> Result<Access, Error> {
        match access {
            Access::Environment(_) => Err(Error::ApiTokenRefused),
            Access::Login(saved) => Ok(Access::Login(Box::new(self.refresh(*saved, &Reason::Refused(refused)).await?))),
        }
    }

    async fn login(&self) -> Result<SavedLogin, Error> {
        self.login_of(self.context()?).await
    }

    async fn login_of(&self, context: Context) -> Result<SavedLogin, Error> {
        let saved = self.saved_login_of(context).await.map_err(|error| self.explain_empty_variable(error))?;
        self.require_issuer_of_domain(&saved.credentials)?;
        Ok(saved)
    }

    /// Returns the login, or `None` for a token of the environment. Fails like [`access`](Self::access) without a login, but
    /// offline: a command that lacks something else as well first says that it lacks the login.
    pub async fn require_login(&self) -> Result<Option<Credentials>, Error> {
        if self.environment_token()?.is_some() {
            return Ok(None);
        }
        let saved = self.saved_login().await.map_err(|error| self.explain_empty_variable(error))?;
        self.require_usable(&saved.credentials)?;
        Ok(Some(saved.credentials))
    }

    fn is_fresh(&self, saved: &SavedLogin) -> bool {
        expires_after(&saved.credentials, self.now() + REFRESH_WITHIN)
    }

    /// Returns `true` if `other` replaced `seen` in the store, and needs no refresh.
    fn supersedes(&self, other: &SavedLogin, seen: &SavedLogin) -> bool {
        other.credentials.access != seen.credentials.access && self.is_fresh(other)
    }

    async fn refresh(&self, seen: SavedLogin, reason: &Reason) -> Result<SavedLogin, Error> {
        if seen.credentials.refresh.is_none() {
            return self.without_refresh(seen, reason);
        }
        let _lock = match self.lock().await {
            Ok(lock) => lock,
            Err(failure) => return self.keep_current_token(seen, reason, failure),
        };
        let mut saved = self.login().await?;
        if self.supersedes(&saved, &seen) {
            return Ok(saved);
        }
        if saved.credentials.refresh.is_none() {
            return self.without_refresh(saved, reason);
        }
        // Fetched first: without the keys nothing could be verified, and the refresh token would be spent for nothing.
        let keys = match self.keys_for_renewal(&saved.credentials).await {
            Ok(keys) => keys,
            Err(failure) => return self.keep_current_token(saved, reason, failure),
        };
        let _shared = if saved.location == Location::Keychain {
            None
        } else {
            let lock = match self.lock_renewal().await {
                Ok(lock) => lock,
                Err(failure) => return self.keep_current_token(saved, reason, failure),
            };
            saved = self.login().await?;
            if self.supersedes(&saved, &seen) {
                return Ok(saved);
            }
            Some(lock)
        };
        let mut refresh = Refresh { reason, keys, until: Instant::now() + UNDER_LOCK };
        for _ in 0..ATTEMPTS {
            if let Some(login) = self.refresh_once(saved.clone(), &mut refresh).await? {
                return Ok(login);
            }
            let other = self.login().await?;
            let is_new = other.credentials.access != saved.credentials.access;
            if is_new && expires_after(&other.credentials, self.now()) {
                return Ok(other);
            }
            saved = other;
        }
        self.without_refresh(saved, &Reason::Stale)
    }

    /// Returns `None` if another program replaced the stored tokens during the refresh. Its tokens stay, and count.
    async fn refresh_once(&self, saved: SavedLogin, refreshing: &mut Refresh<'_>) -> Result<Option<SavedLogin>, Error> {
        let reason = refreshing.reason;
        let Some(refresh) = &saved.credentials.refresh else { return self.without_refresh(saved, reason).map(Some) };
        let ready = async {
            self.check_replaceable(&saved).await?;
            self.renewal_config(&saved.credentials).await
        };
        let auth = match ready.await {
            Ok(auth) => auth,
            Err(failure) => return self.keep_current_token(saved, reason, failure).map(Some),
        };
        match self.exchange(&auth, refresh, refreshing.until).await {
            Ok((_storing, granted)) => self.store_refreshed(saved, refreshing, &auth, granted).await,
            Err(Error::Token(TokenEndpointError::Refused(refused))) if refused.code == ErrorCode::InvalidGrant => {
                self.drop_refresh_token(saved, refused).await
            }
            // The issuer's own message would not say what was refused.
            Err(Error::Token(TokenEndpointError::Refused(refused))) => {
                let failure = Error::RefreshRefused { domain: self.domain.to_string(), refused };
                self.keep_current_token(saved, reason, failure).map(Some)
            }
            Err(failure) => self.keep_current_token(saved, reason, failure).map(Some),
        }
    }

    /// Returns a login that has no refresh token, if its token has not expired.
    fn without_refresh(&self, saved: SavedLogin, reason: &Reason) -> Result<SavedLogin, Error> {
        let (domain, now) = (self.domain.to_string(), self.now());
        match (reason, saved.credentials.expires_at) {
            (Reason::Refused(response), _) => Err(Error::TokenRefused { domain, response: Some(response.clone()) }),
            (Reason::Stale, Some(at)) if at <= now => Err(Error::LoginExpired { domain, at, now }),
            (Reason::Stale, _) => Ok(saved),
            (Reason::Demanded, _) => Err(Error::NoRefreshToken { domain }),
        }
    }

    /// Falls back to the current token after a failed refresh, if it has not expired and the failure was transient.
    fn keep_current_token(&self, saved: SavedLogin, reason: &Reason, failure: Error) -> Result<SavedLogin, Error> {
        match reason {
            Reason::Stale if failure.exit_code() == 1 && expires_after(&saved.credentials, self.now()) => {
                tracing::info!(%failure, "could not refresh the token, which is still valid");
                Ok(saved)
            }
            Reason::Stale | Reason::Demanded | Reason::Refused(_) => Err(failure),
        }
    }

    async fn keys_for_renewal(&self, credentials: &Credentials) -> Result<KeySource<'_>, Error> {
        let (http, random) = (&self.system.http, &*self.system.random);
        let issuer = self.renewal_config(credentials).await?.issuer;
        with_retries(random, None, async || KeySource::fetch(http, &issuer).await).await
    }

    /// Spends the refresh token. A signal waits from here until the returned guard is dropped, after the store.
    async fn exchange(
        &self,
        auth: &AuthConfig,
        refresh: &RefreshToken,
        until: Instant,
    ) -> Result<(Storing<'_>, Granted), Error> {
        let (http, random) = (&self.system.http, &*self.system.random);
        let storing = self.system.pending_grant.start_storing().await;
        let granted = with_retries(random, Some(until), async || Ok(auth.refresh(http, refresh).await?)).await?;
        Ok((storing, granted))
    }

    /// Verifies and stores the response before any of it is used.
    async fn store_refreshed(
        &self,
        saved: SavedLogin,
        refreshing: &mut Refresh<'_>,
        auth: &AuthConfig,
        granted: Granted,
    ) -> Result<Option<SavedLogin>, Error> {
        let refresh = granted.refresh_token.or_else(|| saved.credentials.refresh.clone());
        let verified = match granted.tokens {
            Ok(response) => {
                // Keys that are fetched again may take long.
                let verified = self.verify(auth, &mut refreshing.keys, &saved.credentials, response);
                timeout_at(refreshing.until, verified).await.unwrap_or(Err(JwtError::UnknownKey.into()))
            }
            Err(unusable) => Err(unusable.into()),
        };
        let (credentials, refused) = match verified {
            Ok(verified) => (Credentials { refresh, ..verified }, None),
            // The old refresh token is spent: without the new one an invalid response would cost the login.
            Err(refused) => (Credentials { refresh, ..saved.credentials.clone() }, Some(refused)),
        };
        if !self.replace(&saved, Some(credentials.clone())).await? {
            self.revoke_unstored(&saved, &credentials).await;
            return Ok(None);
        }
        match refused {
            None => Ok(Some(SavedLogin { location: saved.location, credentials })),
            Some(refused) => self.keep_current_token(saved, refreshing.reason, refused).map(Some),
        }
    }

    /// Revokes the refresh token of a response that is not stored, because another program logged out or logged in as
    /// another user. A stored login of the same user may descend from the same grant, which a revocation would end.
    async fn revoke_unstored(&self, saved: &SavedLogin, granted: &Credentials) {
        if granted.refresh == saved.credentials.refresh
            || self.login().await.is_ok_and(|stored| is_same_user(&stored.credentials, granted))
        {
            return;
        }
        if let Err(failure) = self.revoke(granted).await {
            tracing::info!(%failure, "could not revoke an unused refresh token");
        }
    }

    /// Removes a refresh token that the issuer called invalid, so that it is not tried again. The rest stays, so that
    /// `auth status` can show the account and the expiry; but not an access token that would outlive the login.
    async fn drop_refresh_token(&self, saved: SavedLogin, refused: TokenError) -> Result<Option<SavedLogin>, Error> {
        let rest = Credentials { refresh: None, ..saved.credentials.clone() };
        let rest = Some(rest).filter(|rest| !rest.access.is_empty() && !expires_after(rest, self.now()));
        if !self.replace(&saved, rest).await? {
            return Ok(None);
        }
        match self.login().await {
            Ok(other) if self.supersedes(&other, &saved) => Ok(Some(other)),
            Ok(_) | Err(_) => Err(Error::LoginRevoked { domain: self.domain.to_string(), refused }),
        }
    }

    /// Verifies a refresh response by the rules of the login (OpenID Connect Core section 12.2).
    async fn verify(
        &self,
        auth: &AuthConfig,
        keys: &mut KeySource<'_>,
        old: &Credentials,
        response: TokenResponse,
    ) -> Result<Credentials, Error> {
        let now = self.now();
        let (issuer, client_id) = (auth.issuer.as_str(), auth.client_id.as_str());
        let expected = ExpectedAccess { issuer, audience: &auth.audience, client_id };
        let access = keys
            .verify_fresh(response.access_token.expose(), |jwks| {
                verify_access_token(&response.access_token, jwks, &expected, now)
            })
            .await?;
        let mut subjects = vec![access.subject];
        if let Some(id_token) = &response.id_token {
            let access_token = &response.access_token;
            let expected = ExpectedId { issuer, client_id, nonce: None, organization: None, access_token };
            let identity =
                keys.verify_fresh(id_token.expose(), |jwks| verify_id_token(id_token, jwks, &expected, now)).await?;
            // It must be a new one (same section): a replayed ID token is older than the login.
            let times = old.issued_at.zip(identity.issued_at);
            if times.is_some_and(|(old, new)| old.duration_since(new) > CLOCK_SKEW) {
                return Err(JwtError::Nonce.into());
            }
            subjects.push(identity.subject);
        }
        // A refresh token alone does not say whose it is.
        let sub = if old.access.is_empty() { subjects[0].clone() } else { old.sub.clone() };
        if subjects.iter().any(|subject| *subject != sub) {
            return Err(Error::SubjectMismatch);
        }
        Ok(Credentials {
            access: response.access_token,
            issuer: issuer.to_owned(),
            client_id: client_id.to_owned(),
            audience: auth.audience.clone(),
            sub,
            issued_at: access.issued_at,
            expires_at: Some(effective_expiry(access.expires_at, access.issued_at, response.expires_in)),
            ..old.clone()
        })
    }
}

/// Returns `true` if there is a token that expires after `at`, or never.
fn expires_after(credentials: &Credentials, at: Timestamp) -> bool {
    !credentials.access.is_empty() && credentials.expires_at.is_none_or(|expiry| expiry > at)
}
