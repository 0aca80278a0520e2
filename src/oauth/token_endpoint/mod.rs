//! The requests that send a secret to the issuer: redeem a code, refresh, revoke.
//!
//! Each is a POST with its parameters in the body, sent once: after a code or a refresh token is used twice, the issuer may
//! revoke every token of the user (RFC 6749 section 4.1.2, RFC 9700 section 4.14.2).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::authorization::{RedirectUri, SCOPES};
use super::callback::AuthorizationCode;
use super::issuer::AuthConfig;
use super::pkce::PkceVerifier;
use crate::http::{Http, HttpError, Response};
use crate::text::{after_colon, clean};
use crate::token::{AccessToken, IdToken, RefreshToken};

/// The upper limit of `expires_in`, ten years, so that the expiry is a valid date.
const MAX_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// The token endpoint's response (RFC 6749 section 5.1, OpenID Connect Core section 3.1.3.3). Nothing in it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenResponse {
    pub access_token: AccessToken,
    pub id_token: Option<IdToken>,
    /// The lifetime of the access token; `None` if it is missing or invalid.
    pub expires_in: Option<Duration>,
}

/// A successful response. Its refresh token is valid even if the rest of the response is not, so it must be stored or
/// revoked.
#[derive(Debug, PartialEq, Eq)]
pub struct Granted {
    /// After a refresh, it replaces the old one; `None` keeps the old one.
    pub refresh_token: Option<RefreshToken>,
    pub tokens: Result<TokenResponse, TokenEndpointError>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenEndpointError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Refused(#[from] TokenError),
    /// A token of an unsupported type (RFC 6749 section 7.1), safe to print.
    #[error("the issuer sent a token of type `{0}` instead of `Bearer`")]
    TokenType(String),
}

/// An error response of the token endpoint (RFC 6749 section 5.2).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the issuer refused the request{} ({})", after_colon(.description.as_deref()), .code.as_str())]
pub struct TokenError {
    /// The error code. Decide by it: the status of the same error differs between grants.
    pub code: ErrorCode,
    pub description: Option<String>,
    pub status: u16,
    pub retry_after: Option<Duration>,
}

impl TokenError {
    /// Returns whether a later attempt may succeed. For an unknown code the status decides: outages and rate limits have
    /// their own codes, such as `Service Unavailable`.
    pub fn may_pass(&self) -> bool {
        match self.code {
            ErrorCode::TooManyRequests => true,
            ErrorCode::Other(_) => matches!(self.status, 429 | 500..=599),
            ErrorCode::InvalidGrant | ErrorCode::Final(_) => false,
        }
    }
}

/// The codes besides `invalid_grant` that no later attempt changes (RFC 6749 section 5.2).
const FINAL_CODES: [&str; 6] = [
    "invalid_request",
    "invalid_client",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "access_denied",
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorCode {
    /// The code or refresh token is wrong, expired, revoked or used.
    InvalidGrant,
    Final(&'static str),
    TooManyRequests,
    /// Any other code, safe to print.
    Other(String),
}

impl ErrorCode {
    fn parse(code: &str) -> Self {
        match code {
            "invalid_grant" => Self::InvalidGrant,
            "too_many_requests" | "slow_down" => Self::TooManyRequests,
            other => {
                let known = FINAL_CODES.into_iter().find(|code| *code == other);
                known.map_or_else(|| Self::Other(clean(other, 60)), Self::Final)
            }
        }
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::InvalidGrant => "invalid_grant",
            Self::TooManyRequests => "too_many_requests",
            Self::Final(code) => code,
            Self::Other(code) => code,
        }
    }
}

impl AuthConfig {
    /// Redeems a code (RFC 6749 section 4.1.3). Consumes the code and the verifier, so there is no second attempt.
    pub async fn redeem(
        &self,
        http: &Http,
        code: AuthorizationCode,
        verifier: PkceVerifier,
        redirect_uri: &RedirectUri,
    ) -> Result<Granted, TokenEndpointError> {
        #[derive(Serialize)]
        struct Form<'a> {
            grant_type: &'static str,
            client_id: &'a str,
            code: &'a str,
            code_verifier: &'a str,
            redirect_uri: &'a str,
        }
        let form = Form {
            grant_type: "authorization_code",
            client_id: &self.client_id,
            code: code.expose(),
            code_verifier: verifier.expose(),
            redirect_uri: redirect_uri.as_str(),
        };
        self.request_token(http, "exchange the code for a token", &form).await
    }

    /// Uses a refresh token (RFC 6749 section 6), without `scope` and so with every granted scope.
    pub async fn refresh(&self, http: &Http, token: &RefreshToken) -> Result<Granted, TokenEndpointError> {
        #[derive(Serialize)]
        struct Form<'a> {
            grant_type: &'static str,
            client_id: &'a str,
            refresh_token: &'a str,
        }
        let form = Form { grant_type: "refresh_token", client_id: &self.client_id, refresh_token: token.expose() };
        self.request_token(http, "refresh the login", &form).await
    }

    /// Revokes a refresh token (RFC 7009 section 2.1). An unknown token is not an error.
    pub async fn revoke(&self, http: &Http, token: &RefreshToken) -> Result<(), HttpError> {
        #[derive(Serialize)]
        struct Form<'a> {
            client_id: &'a str,
            token: &'a str,
        }
        let form = Form { client_id: &self.client_id, token: token.expose() };
        let request = http.post("revoke the refresh token", &self.issuer.at("/oauth/revoke"))?;
        let response = request.form(&form).within(http.limits().revoke).send().await?;
        if (200..300).contains(&response.status()) { Ok(()) } else { Err(response.status_error()) }
    }

    async fn request_token<T: Serialize>(
        &self,
        http: &Http,
        step: &'static str,
        form: &T,
    ) -> Result<Granted, TokenEndpointError> {
        let request = http.post(step, &self.issuer.at("/oauth/token"))?;
        let response = request.form(form).send().await?;
        let refresh_token = granted_refresh_token(&response);
        match parse_response(&response) {
            Err(failure) if refresh_token.is_none() => Err(failure),
            tokens => Ok(Granted { refresh_token, tokens }),
        }
    }
}

fn granted_refresh_token(response: &Response) -> Option<RefreshToken> {
    #[derive(Deserialize)]
    struct Granted {
        refresh_token: RefreshToken,
    }
    let Granted { refresh_token } = response.success_json().ok()?;
    Some(refresh_token).filter(|token| !token.expose().is_empty())
}

/// Parses a response. With an `error`, it is an error response of any status.
fn parse_response(response: &Response) -> Result<TokenResponse, TokenEndpointError> {
    #[derive(Deserialize)]
    struct Refused {
        error: String,
        error_description: Option<Value>,
    }
    #[derive(Deserialize)]
    struct Granted {
        access_token: AccessToken,
        token_type: String,
        id_token: Option<IdToken>,
        expires_in: Option<Value>,
        scope: Option<String>,
    }
    if let Ok(Refused { error, error_description }) = response.json() {
        let description = error_description.as_ref().and_then(Value::as_str).map(|text| clean(text, 200));
        return Err(TokenEndpointError::Refused(TokenError {
            code: ErrorCode::parse(&error),
            description: description.filter(|text| !text.is_empty()),
            status: response.status(),
            retry_after: response.retry_after(),
        }));
    }
    let granted: Granted = response.success_json()?;
    if !granted.token_type.eq_ignore_ascii_case("Bearer") {
        return Err(TokenEndpointError::TokenType(clean(&granted.token_type, 40)));
    }
    if granted.access_token.expose().is_empty() {
        return Err(response.invalid_body().into());
    }
    // Without `scope`, every requested scope was granted (RFC 6749 section 5.1).
    if let Some(scope) = &granted.scope {
        let withheld: Vec<_> = SCOPES.split(' ').filter(|asked| !scope.split(' ').any(|got| got == *asked)).collect();
        if !withheld.is_empty() {
            tracing::info!(?withheld, "the issuer did not grant every scope");
        }
    }
    Ok(TokenResponse {
        access_token: granted.access_token,
        id_token: granted.id_token.filter(|token| !token.expose().is_empty()),
        expires_in: granted.expires_in.as_ref().and_then(lifetime),
    })
}

/// Parses `expires_in`: a number in the standard, a string from some servers.
fn lifetime(expires_in: &Value) -> Option<Duration> {
    let seconds = match expires_in {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    // False for NaN, too.
    (seconds >= 1.0).then(|| Duration::from_secs_f64(seconds.min(MAX_LIFETIME.as_secs_f64())))
}

#[cfg(test)]
mod tests;
