//! The issuer of a domain: its login configuration, metadata, keys and userinfo.
//!
//! An [`Issuer`] is a URL that belongs to the domain, so a login configuration cannot send a user to a foreign login
//! page. Its endpoints are derived from it, never read from a response.

use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use url::Url;

use crate::domain::Domain;
use crate::http::{Http, HttpError, Response};
use crate::text::{clean, parse_url};
use crate::token::AccessToken;

/// An authorization server that belongs to a domain. Its tokens must carry the same text as `iss`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer(Url);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("the login configuration of {domain} names `{named}` as its issuer, {refusal}")]
    Refused {
        domain: String,
        /// The issuer's host, or the whole text without one; safe to print.
        named: String,
        refusal: Refusal,
    },
    /// The metadata names a different issuer (RFC 8414 section 3.3).
    #[error("the metadata of {expected} names `{named}` as its issuer")]
    OtherIssuer {
        expected: String,
        /// The issuer in the metadata, safe to print.
        named: String,
    },
}

/// A reason to refuse an issuer's URL; completes the sentence "names `x` as its issuer, …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("which is not a URL")]
    NotAnAddress,
    #[error("which does not belong to it")]
    ForeignHost,
    #[error("which is not https")]
    NotHttps,
    #[error("which is more than `https://HOST/`")]
    NotPlain,
}

impl Issuer {
    /// Parses the issuer of `domain`: https, the default port, a host of the domain, the path `/`, and nothing else.
    /// A loopback domain may use http and any port.
    ///
    /// The text must be in the URL parser's normal form: tokens are compared with it character by character (RFC 8725
    /// section 3.8).
    pub fn parse(text: &str, domain: &Domain) -> Result<Self, IssuerError> {
        let refused = |named: &str, refusal| {
            Err(IssuerError::Refused { domain: domain.to_string(), named: clean(named, 100), refusal })
        };
        // Hosts must be ASCII, so a look-alike letter makes no URL and is printed as an escape.
        let Ok(url) = parse_url(text) else {
            return refused(&text.escape_default().to_string(), Refusal::NotAnAddress);
        };
        let Some(host) = url.host_str() else { return refused(text, Refusal::NotAnAddress) };
        if !domain.owns_host(host) {
            return refused(host, Refusal::ForeignHost);
        }
        if url.scheme() != "https" && !(domain.is_local() && url.scheme() == "http") {
            return refused(host, Refusal::NotHttps);
        }
        let port = url.port().filter(|_| domain.is_local()).map_or_else(String::new, |port| format!(":{port}"));
        if text != format!("{}://{host}{port}/", url.scheme()) {
            return refused(host, Refusal::NotPlain);
        }
        Ok(Self(url))
    }

    /// The text that tokens, metadata and callbacks must carry, character by character.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(super) fn at(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(path);
        url
    }

    /// Fetches the issuer's metadata. Returns `None` if that fails or takes over three seconds: the endpoints are derived.
    /// Metadata of another issuer is an error.
    pub async fn metadata(&self, http: &Http) -> Result<Option<Metadata>, IssuerError> {
        #[derive(Deserialize)]
        struct Wire {
            issuer: String,
            #[serde(default)]
            authorization_response_iss_parameter_supported: bool,
        }
        let url = self.at("/.well-known/openid-configuration");
        let response = match http.get("fetch the issuer's metadata", &url) {
            Ok(request) => request.within(http.limits().metadata).send().await,
            Err(error) => Err(error),
        };
        let Ok(wire) = response.and_then(|response| response.success_json::<Wire>()) else { return Ok(None) };
        if wire.issuer != self.as_str() {
            return Err(IssuerError::OtherIssuer {
                expected: self.as_str().to_owned(),
                named: clean(&wire.issuer, 100),
            });
        }
        Ok(Some(Metadata { iss_parameter_supported: wire.authorization_response_iss_parameter_supported }))
    }

    /// Fetches the key set (RFC 7517 section 5). The body is JSON, and not parsed further.
    pub async fn fetch_keys(&self, http: &Http) -> Result<Response, HttpError> {
        let url = self.at("/.well-known/jwks.json");
        let request = http.get("fetch the issuer's keys", &url)?;
        let response = request.within(http.limits().keys).send().await?;
        // A captive portal's login page becomes an error that names the host.
        let _: IgnoredAny = response.success_json()?;
        Ok(response)
    }

    /// Fetches the user's claims (OpenID Connect Core section 5.3). The caller must compare `sub` with the ID token's.
    pub async fn userinfo(&self, http: &Http, token: &AccessToken) -> Result<UserInfo, HttpError> {
        #[derive(Deserialize)]
        struct Wire {
            sub: String,
            email: Option<String>,
            email_verified: Option<Value>,
        }
        let response = http.get("fetch the user info", &self.at("/userinfo"))?.bearer(token).send().await?;
        let Wire { sub, email, email_verified } = response.success_json()?;
        // Some issuers send text. One that the issuer does not vouch for may be another user's.
        let vouched = email_verified.is_none_or(|it| it == true || it == "true");
        Ok(UserInfo { sub, email: email.filter(|_| vouched) })
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// Whether every callback names its issuer; one that does not must be rejected (RFC 9207 section 2.4).
    pub iss_parameter_supported: bool,
}

/// The response of `userinfo`. Foreign text: clean it before printing it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserInfo {
    pub sub: String,
    /// The address, if the issuer vouches for it.
    pub email: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthConfig {
    pub client_id: String,
    pub audience: String,
    pub issuer: Issuer,
    /// Whether the issuer finds the organization of a user by itself.
    pub identity_first: bool,
}

impl AuthConfig {
    /// Fetches the login configuration from the domain's API, without credentials.
    pub async fn fetch(http: &Http, domain: &Domain) -> Result<Self, IssuerError> {
        Ok(Self::fetch_with_date(http, domain).await?.0)
    }

    /// Like [`fetch`](Self::fetch), with the time of the API's clock.
    pub async fn fetch_with_date(http: &Http, domain: &Domain) -> Result<(Self, Option<Timestamp>), IssuerError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire {
            client_id: String,
            audience: String,
            domain_url: String,
            auth_flow: Option<Value>,
        }
        let mut url = domain.api_base().clone();
        url.set_path("/private/v1alpha1/cli/auth-config");
        let request = http.get("fetch the login configuration", &url)?;
        let response = request.header("X-Astro-Client-Identifier", "cli").send().await?;
        let Wire { client_id, audience, domain_url, auth_flow } = response.success_json()?;
        if client_id.is_empty() || audience.is_empty() {
            return Err(response.invalid_body().into());
        }
        let identity_first = auth_flow.as_ref().and_then(Value::as_str) == Some("IDENTITY_FIRST");
        let issuer = Issuer::parse(&domain_url, domain)?;
        Ok((Self { client_id, audience, issuer, identity_first }, response.date()))
    }
}

#[cfg(test)]
pub(super) mod tests;
