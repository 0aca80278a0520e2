//! Who signs people in for a domain, and what it publishes.
//!
//! An [`Issuer`] is an address that has been held to the domain it stands for, so a login configuration cannot send a
//! person to someone else's login page. Its endpoints are derived from it, never read from an answer.

use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use url::Url;

use crate::domain::Domain;
use crate::http::{Freshness, Http, HttpError, Response};
use crate::text::clean;
use crate::token::AccessToken;

/// An authorization server that belongs to a domain, known by the text that its tokens must carry as `iss`.
#[derive(Clone, PartialEq, Eq)]
pub struct Issuer(Url);

/// Why a configuration or its issuer is not to be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// The question was not answered.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The configuration names an issuer that people of this domain are not sent to.
    #[error("the login configuration of {domain} names `{named}` as its issuer, {refusal}")]
    Refused {
        /// The domain that was asked for.
        domain: String,
        /// The issuer's host, or the whole text where it has none; safe to print.
        named: String,
        /// What is wrong with it.
        refusal: Refusal,
    },
    /// The metadata found at the issuer is another's (RFC 8414 section 3.3).
    #[error("the metadata published by {expected} is that of `{named}`")]
    OtherIssuer {
        /// The issuer whose metadata this should be.
        expected: String,
        /// The issuer that it names, safe to print.
        named: String,
    },
}

/// What is wrong with an issuer's address; completes the sentence "names `x` as its issuer, …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It cannot be understood.
    #[error("which is not an address")]
    NotAnAddress,
    /// It lies elsewhere.
    #[error("which does not belong to it")]
    ForeignHost,
    /// It would carry secrets in the clear.
    #[error("which is not https")]
    NotHttps,
    /// It is more than scheme, host and a slash, or not written in the one plain way.
    #[error("with more than a host in its address")]
    NotPlain,
}

impl Issuer {
    /// Takes an address as the issuer for `domain`: https, the usual port, a host of the domain, the path `/`, and nothing
    /// else. On this machine's own names, plain http and any port will do.
    ///
    /// The text must be what a URL parser writes for it. Tokens are compared with it character for character, and two
    /// ways to write one address would make two issuers (RFC 8725 section 3.8).
    pub fn parse(text: &str, domain: &Domain) -> Result<Self, IssuerError> {
        let refused = |named: &str, refusal| {
            Err(IssuerError::Refused { domain: domain.to_string(), named: clean(named, 100), refusal })
        };
        // Hosts are ASCII here, so a letter that only looks like one of Astro's makes no address, and is shown for what it is.
        let Ok(url) = Url::parse(text) else {
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

    /// The text that a token, its metadata and a callback must name, character for character.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Where people sign in (RFC 6749 section 3.1).
    pub(super) fn authorization_endpoint(&self) -> Url {
        self.at("/authorize")
    }

    /// An address at the issuer.
    pub(super) fn at(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(path);
        url
    }

    /// The issuer's metadata, or `None` where it does not come within three seconds: the well-known paths serve without.
    /// Metadata that names another issuer is an error.
    pub async fn metadata(&self, http: &Http) -> Result<Option<Metadata>, IssuerError> {
        #[derive(Deserialize)]
        struct Wire {
            issuer: String,
            #[serde(default)]
            authorization_response_iss_parameter_supported: bool,
        }
        let url = self.at("/.well-known/openid-configuration");
        let answer = match http.get("fetch the issuer's metadata", &url) {
            Ok(request) => request.within(http.limits().metadata).send().await,
            Err(error) => Err(error),
        };
        let Ok(wire) = answer.and_then(|response| response.success_json::<Wire>()) else { return Ok(None) };
        if wire.issuer != self.as_str() {
            return Err(IssuerError::OtherIssuer {
                expected: self.as_str().to_owned(),
                named: clean(&wire.issuer, 100),
            });
        }
        Ok(Some(Metadata { iss_parameter_supported: wire.authorization_response_iss_parameter_supported }))
    }

    /// The key set (RFC 7517 section 5) as it was sent: JSON, and not yet more than that. Whoever finds it good may say
    /// [`Response::keep`].
    pub async fn fetch_keys(&self, http: &Http, freshness: Freshness) -> Result<Response, HttpError> {
        let url = self.at("/.well-known/jwks.json");
        let request = http.get_public("fetch the issuer's keys", &url, freshness)?;
        let response = request.within(http.limits().keys).send().await?;
        // A login page of some proxy in the place of the keys is told with the host that sent it.
        let _: IgnoredAny = response.success_json()?;
        Ok(response)
    }

    /// What the issuer knows of the person (OpenID Connect Core section 5.3). It speaks of the token's owner only if `sub`
    /// is that of the ID token.
    pub async fn userinfo(&self, http: &Http, token: &AccessToken) -> Result<UserInfo, HttpError> {
        #[derive(Deserialize)]
        struct Wire {
            sub: String,
            email: Option<String>,
        }
        let response = http.get("ask who has signed in", &self.at("/userinfo"))?.bearer(token).send().await?;
        let Wire { sub, email } = response.success_json()?;
        Ok(UserInfo { sub, email })
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issuer({})", self.as_str())
    }
}

/// What of the issuer's metadata is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// Every callback names its issuer; one that does not is not the issuer's (RFC 9207 section 2.4).
    pub iss_parameter_supported: bool,
}

/// What `userinfo` says. The address is for display, and all of it is someone else's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserInfo {
    /// The subject: with the issuer, the one name of the account.
    pub sub: String,
    /// The e-mail address.
    pub email: Option<String>,
}

/// How to sign in to a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthConfig {
    /// What Astro calls this kind of program at its issuer; no secret goes with it.
    pub client_id: String,
    /// The API that tokens are for.
    pub audience: String,
    /// Who signs people in.
    pub issuer: Issuer,
    /// Whether the organization is asked for before the person, where the configuration says.
    pub auth_flow: Option<AuthFlow>,
}

/// What a login begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthFlow {
    /// The person; the issuer finds the organization.
    IdentityFirst,
    /// The organization.
    OrganizationFirst,
}

impl AuthConfig {
    /// Asks the domain's API how to sign in; needs no credentials.
    pub async fn fetch(http: &Http, domain: &Domain) -> Result<Self, IssuerError> {
        Ok(Self::fetch_with_date(http, domain).await?.0)
    }

    /// The same, and the time by the API's clock, where it told it now.
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
        let request = http.get_public("fetch the login configuration", &url, Freshness::Kept)?;
        let response = request.header("X-Astro-Client-Identifier", "cli").send().await?;
        let Wire { client_id, audience, domain_url, auth_flow } = response.success_json()?;
        if client_id.is_empty() || audience.is_empty() {
            return Err(response.not_understood().into());
        }
        let auth_flow = match auth_flow.as_ref().and_then(Value::as_str) {
            Some("IDENTITY_FIRST") => Some(AuthFlow::IdentityFirst),
            Some("ORG_FIRST") => Some(AuthFlow::OrganizationFirst),
            _ => None,
        };
        let issuer = Issuer::parse(&domain_url, domain)?;
        response.keep();
        Ok((Self { client_id, audience, issuer, auth_flow }, response.date()))
    }
}

#[cfg(test)]
pub(super) mod tests;
