//! The token of `ASTRO_API_TOKEN`: it overrides any login to Astro, is never stored, and is held to its domain. It means nothing
//! to Astro Private Cloud, as in the Go CLI, and is not sent there.

use jiff::Timestamp;
use url::Url;

use super::{DomainSource, KeySource, Session};
use crate::domain::{Domain, Product, is_known_host};
use crate::environment::API_TOKEN;
use crate::error::{Error, TokenPlace};
use crate::jwt::{Claims, ExpectedAccess, JwtError, TokenKind, Unverified, verify_access_token};
use crate::oauth::AuthConfig;
use crate::system::System;
use crate::text::parse_url;
use crate::token::{AccessToken, TokenTextError};

/// Returns the token of the variable. Rejects text that is no token, so that it is neither sent nor printed.
pub fn environment_token(system: &System) -> Result<Option<AccessToken>, Error> {
    let Some(text) = system.environment.get(API_TOKEN) else { return Ok(None) };
    let token = match AccessToken::from_text(text) {
        Ok(token) => token,
        Err(TokenTextError::Empty) => return Ok(None),
        Err(source) => return Err(Error::TokenText { place: TokenPlace::Variable, source }),
    };
    Unverified::parse(token.expose()).map_err(Error::ApiTokenInvalid)?;
    Ok(Some(token))
}

/// Rejects an expired token, one of another kind, and one that the issuer of another domain than `domain` issued.
pub fn check_environment_token(token: &AccessToken, domain: Option<&Domain>, now: Timestamp) -> Result<(), Error> {
    let claims = Unverified::parse(token.expose()).map_err(Error::ApiTokenInvalid)?;
    if let Some(at) = claims.expires_at().filter(|at| *at <= now) {
        return Err(Error::ApiTokenExpired { at, now });
    }
    match claims.kind() {
        TokenKind::Access => claims.check_offline(now).map_err(Error::ApiTokenInvalid)?,
        TokenKind::Id => return Err(Error::ApiTokenInvalid(JwtError::IdTokenGiven)),
        TokenKind::Api => {}
    }
    let issuer = claims.issuer().and_then(|issuer| parse_url(issuer).ok());
    match (issuer.as_ref().and_then(Url::host_str), domain) {
        (Some(host), Some(domain)) if is_known_host(host) && !domain.owns_host(host) => {
            Err(Error::ApiTokenOfOtherDomain { domain: domain.to_string(), issuer: host.to_owned() })
        }
        (Some(_) | None, _) => Ok(()),
    }
}

impl Session<'_> {
    /// Returns the token of the variable as it is, for a domain of Astro.
    pub fn overriding_token(&self) -> Result<Option<AccessToken>, Error> {
        match self.domain.product() {
            Product::Astro => environment_token(self.system),
            Product::PrivateCloud => Ok(None),
        }
    }

    /// Returns `true` if the variable overrides any login, even if it holds no valid token. An empty one counts as unset.
    pub fn is_overridden(&self) -> bool {
        !matches!(self.overriding_token(), Ok(None))
    }

    /// Returns the token of the variable if it can be used for this domain. Sends no request.
    pub fn environment_token(&self) -> Result<Option<AccessToken>, Error> {
        let Some(token) = self.overriding_token()? else { return Ok(None) };
        self.check_environment_token(&token)?;
        Ok(Some(token))
    }

    /// Rejects a token that this domain would refuse, without a request.
    pub fn check_environment_token(&self, token: &AccessToken) -> Result<(), Error> {
        // Nothing is sent to a server that may be left over, so its domain does not matter.
        let domain = if self.is_left_over() { None } else { Some(&self.domain) };
        check_environment_token(token, domain, self.now())
    }

    /// Like [`environment_token`](Self::environment_token), for a token that will be sent: not to a development server
    /// that only a context names, and a user's token is verified first.
    pub(super) async fn environment_token_to_send(&self) -> Result<Option<AccessToken>, Error> {
        let Some(token) = self.overriding_token()? else { return Ok(None) };
        if self.is_left_over() {
            return Err(Error::ApiTokenWithheld { domain: self.domain.to_string() });
        }
        self.check_environment_token(&token)?;
        if Unverified::parse(token.expose()).is_ok_and(|claims| claims.kind() == TokenKind::Access) {
            let auth = AuthConfig::fetch(&self.system.http, &self.domain).await?;
            self.verify_user_token(&auth, &token).await.map_err(|failure| match failure {
                Error::Jwt(source) => Error::ApiTokenInvalid(source),
                other => other,
            })?;
        }
        Ok(Some(token))
    }

    /// Verifies a user's token that was not issued to this program. It is sent nowhere.
    pub async fn verify_user_token(&self, auth: &AuthConfig, token: &AccessToken) -> Result<Claims, Error> {
        let unverified = Unverified::parse(token.expose())?;
        let expected =
            ExpectedAccess { issuer: auth.issuer.as_str(), audience: &auth.audience, client_id: &auth.client_id };
        unverified.check_claims(&expected, self.now())?;
        let mut keys = KeySource::fetch(&self.system.http, &auth.issuer).await?;
        keys.verify(|jwks| verify_access_token(token, jwks, &expected, self.now())).await
    }

    /// Returns `true` for a development server that only the current context names: it may be left over, and its port may
    /// belong to another program by now.
    fn is_left_over(&self) -> bool {
        self.domain.is_local() && self.domain_source == Some(DomainSource::CurrentContext)
    }

    /// Adds to a missing login that the variable is set, but empty, as for a secret that does not exist in a CI job.
    pub fn explain_empty_variable(&self, error: Error) -> Error {
        match error {
            Error::NotLoggedIn { domain, .. }
                if self.domain.product() == Product::Astro && self.system.environment.is_empty(API_TOKEN) =>
            {
                Error::ApiTokenEmpty { domain }
            }
            other => other,
        }
    }
}
