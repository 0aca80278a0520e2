//! The requests that carry a secret to the issuer: redeem a code, refresh, revoke.
//!
//! Each is a POST with its parameters in the body, sent once: a code that is redeemed twice, or a refresh token that is
//! spent twice, can cost the person every token (RFC 6749 section 4.1.2, RFC 9700 section 4.14.2).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::authorization::{RedirectUri, SCOPES};
use super::callback::AuthorizationCode;
use super::issuer::AuthConfig;
use super::pkce::PkceVerifier;
use crate::http::{Http, HttpError, Response};
use crate::text::clean;
use crate::token::{AccessToken, IdToken, RefreshToken};

const REVOKE_BOUND: Duration = Duration::from_secs(5);

/// No token lives longer than ten years; a longer `expires_in` is cut to this, so that a date can be made of it.
const LONGEST_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// What the token endpoint gave (RFC 6749 section 5.1, OpenID Connect Core section 3.1.3.3). None of it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenResponse {
    /// What the API is called with.
    pub access_token: AccessToken,
    /// What buys the next one. From a refresh: replaces the old one; `None` means that the old one stays.
    pub refresh_token: Option<RefreshToken>,
    /// Who signed in.
    pub id_token: Option<IdToken>,
    /// How long the access token is said to live; `None` where nothing sensible was said.
    pub expires_in: Option<Duration>,
}

/// Why there are no tokens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenEndpointError {
    /// The request failed, or its answer is none of OAuth's.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The issuer said no.
    #[error(transparent)]
    Refused(#[from] TokenError),
    /// The token is of a type that we cannot use (RFC 6749 section 7.1); the type is safe to print.
    #[error("the issuer sent a token of type `{0}` instead of `Bearer`")]
    TokenType(String),
}

/// An error answer of the token endpoint (RFC 6749 section 5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenError {
    /// What is wrong. Decide by this: the status of one and the same error differs from grant to grant.
    pub code: ErrorCode,
    /// The issuer's own words, safe to print.
    pub description: Option<String>,
    /// The HTTP status that came with it.
    pub status: u16,
    /// How long the issuer asks us to wait.
    pub retry_after: Option<Duration>,
}

impl TokenError {
    /// Whether the issuer may answer otherwise in a while. Only of a code that means nothing to us the status decides:
    /// outages and rate limits come with codes of their own, such as `Service Unavailable`.
    pub fn may_pass(&self) -> bool {
        match self.code {
            ErrorCode::TooManyRequests => true,
            ErrorCode::Other(_) => matches!(self.status, 429 | 500..=599),
            ErrorCode::InvalidGrant
            | ErrorCode::InvalidRequest
            | ErrorCode::InvalidClient
            | ErrorCode::UnauthorizedClient
            | ErrorCode::UnsupportedGrantType
            | ErrorCode::InvalidScope
            | ErrorCode::AccessDenied => false,
        }
    }
}

/// The error codes that mean something to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorCode {
    /// The code, or the refresh token, is wrong, expired, revoked or spent.
    InvalidGrant,
    /// The request is malformed.
    InvalidRequest,
    /// The client is unknown.
    InvalidClient,
    /// The client may not use this grant.
    UnauthorizedClient,
    /// The issuer does not know this grant.
    UnsupportedGrantType,
    /// The scope is unknown or more than was granted.
    InvalidScope,
    /// A rule of the tenant said no.
    AccessDenied,
    /// Too many requests; worth another attempt, later.
    TooManyRequests,
    /// Any other code, safe to print.
    Other(String),
}

impl ErrorCode {
    fn parse(code: &str) -> Self {
        match code {
            "invalid_grant" => Self::InvalidGrant,
            "invalid_request" => Self::InvalidRequest,
            "invalid_client" => Self::InvalidClient,
            "unauthorized_client" => Self::UnauthorizedClient,
            "unsupported_grant_type" => Self::UnsupportedGrantType,
            "invalid_scope" => Self::InvalidScope,
            "access_denied" => Self::AccessDenied,
            "too_many_requests" | "slow_down" => Self::TooManyRequests,
            other => Self::Other(clean(other, 60)),
        }
    }

    /// The code as the protocol spells it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::AccessDenied => "access_denied",
            Self::TooManyRequests => "too_many_requests",
            Self::Other(code) => code,
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the issuer refused with `{}`", self.code.as_str())?;
        self.description.as_ref().map_or(Ok(()), |description| write!(f, ": {description}"))
    }
}

impl std::error::Error for TokenError {}

impl AuthConfig {
    /// Redeems a code (RFC 6749 section 4.1.3). Code and verifier are consumed: there is no second attempt.
    pub async fn redeem(
        &self,
        http: &Http,
        code: AuthorizationCode,
        verifier: PkceVerifier,
        redirect_uri: &RedirectUri,
    ) -> Result<TokenResponse, TokenEndpointError> {
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

    /// Spends a refresh token (RFC 6749 section 6). Asks for no scope, so for all that were granted.
    pub async fn refresh(&self, http: &Http, token: &RefreshToken) -> Result<TokenResponse, TokenEndpointError> {
        #[derive(Serialize)]
        struct Form<'a> {
            grant_type: &'static str,
            client_id: &'a str,
            refresh_token: &'a str,
        }
        let form = Form { grant_type: "refresh_token", client_id: &self.client_id, refresh_token: token.expose() };
        self.request_token(http, "refresh the login", &form).await
    }

    /// Makes a refresh token worthless (RFC 7009 section 2.1). One that the issuer does not know is no error.
    pub async fn revoke(&self, http: &Http, token: &RefreshToken) -> Result<(), HttpError> {
        #[derive(Serialize)]
        struct Form<'a> {
            client_id: &'a str,
            token: &'a str,
        }
        let form = Form { client_id: &self.client_id, token: token.expose() };
        let request = http.post("revoke the refresh token", &self.issuer.at("/oauth/revoke"))?;
        let response = request.form(&form).within(REVOKE_BOUND).send().await?;
        if (200..300).contains(&response.status()) { Ok(()) } else { Err(response.status_error()) }
    }

    async fn request_token<T: Serialize>(
        &self,
        http: &Http,
        step: &'static str,
        form: &T,
    ) -> Result<TokenResponse, TokenEndpointError> {
        let request = http.post(step, &self.issuer.at("/oauth/token"))?;
        understand(&request.form(form).send().await?)
    }
}

/// An `error` is believed whatever the status says; without one, the status decides.
fn understand(response: &Response) -> Result<TokenResponse, TokenEndpointError> {
    #[derive(Deserialize)]
    struct Refused {
        error: String,
        error_description: Option<Value>,
    }
    #[derive(Deserialize)]
    struct Granted {
        access_token: AccessToken,
        token_type: String,
        refresh_token: Option<RefreshToken>,
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
            retry_after: response.header("retry-after").and_then(|text| text.parse().ok()).map(Duration::from_secs),
        }));
    }
    let granted: Granted = response.success_json()?;
    if !granted.token_type.eq_ignore_ascii_case("Bearer") {
        return Err(TokenEndpointError::TokenType(clean(&granted.token_type, 40)));
    }
    if granted.access_token.expose().is_empty() {
        return Err(response.not_understood().into());
    }
    // Without `scope`, all was granted that was asked for (RFC 6749 section 5.1).
    if let Some(scope) = &granted.scope {
        let withheld: Vec<_> = SCOPES.split(' ').filter(|asked| !scope.split(' ').any(|got| got == *asked)).collect();
        if !withheld.is_empty() {
            tracing::info!(?withheld, "the issuer granted less than was asked for");
        }
    }
    Ok(TokenResponse {
        access_token: granted.access_token,
        refresh_token: granted.refresh_token.filter(|token| !token.expose().is_empty()),
        id_token: granted.id_token.filter(|token| !token.expose().is_empty()),
        expires_in: granted.expires_in.as_ref().and_then(lifetime),
    })
}

/// `expires_in` as a length of time. A number by the standard; some servers write it as a string.
fn lifetime(expires_in: &Value) -> Option<Duration> {
    let seconds = match expires_in {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    // A comparison that NaN fails, too.
    (seconds >= 1.0).then(|| Duration::from_secs_f64(seconds.min(LONGEST_LIFE.as_secs_f64())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::issuer::tests::{canned, http, local_issuer};
    use super::super::pkce::tests::Fixed;
    use super::*;
    use crate::http::Fault;

    fn config(port: u16) -> AuthConfig {
        let (client_id, audience) = ("client 1".to_owned(), "astronomer-ee".to_owned());
        AuthConfig { client_id, audience, issuer: local_issuer(port), auth_flow: None }
    }

    async fn refreshed(status: u16, body: &'static str) -> Result<TokenResponse, TokenEndpointError> {
        let (port, _request) = canned(status, body).await;
        config(port).refresh(&http(), &RefreshToken::new("old")).await
    }

    #[tokio::test]
    async fn tk_1_tk_2_ar_19_the_code_is_redeemed_in_the_body_of_a_post() {
        let body = r#"{"access_token":"a","refresh_token":"r","id_token":"i","expires_in":86400,"token_type":"Bearer","x":[1]}"#;
        let (port, request) = canned(200, body).await;
        let (code, verifier) = (AuthorizationCode::for_test("c&d"), PkceVerifier::random(&Fixed(0)).unwrap());
        let redirect_uri = RedirectUri::new(12345);
        let response = config(port).redeem(&http(), code, verifier, &redirect_uri).await.unwrap();
        let expected = TokenResponse {
            access_token: AccessToken::new("a"),
            refresh_token: Some(RefreshToken::new("r")),
            id_token: Some(IdToken::new("i")),
            expires_in: Some(Duration::from_secs(86400)),
        };
        assert_eq!(response, expected);
        let request = request.await.unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /oauth/token HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("content-type: application/x-www-form-urlencoded"), "{head}");
        let verifier = "A".repeat(43);
        assert_eq!(
            body,
            format!(
                "grant_type=authorization_code&client_id=client+1&code=c%26d&code_verifier={verifier}\
                 &redirect_uri=http%3A%2F%2Flocalhost%3A12345%2Fcallback"
            )
        );
    }

    #[tokio::test]
    async fn rf_4_a_refresh_asks_for_no_scope() {
        let (port, request) = canned(200, r#"{"access_token":"a","token_type":"bearer"}"#).await;
        let response = config(port).refresh(&http(), &RefreshToken::new("old+")).await.unwrap();
        let access_token = AccessToken::new("a");
        assert_eq!(response, TokenResponse { access_token, refresh_token: None, id_token: None, expires_in: None });
        let request = request.await.unwrap();
        assert_eq!(
            request.split_once("\r\n\r\n").unwrap().1,
            "grant_type=refresh_token&client_id=client+1&refresh_token=old%2B"
        );
    }

    #[tokio::test]
    async fn rf_12_revocation_is_done_with_200_and_told_otherwise() {
        let (port, request) = canned(200, "").await;
        assert_eq!(config(port).revoke(&http(), &RefreshToken::new("old")).await, Ok(()));
        let request = request.await.unwrap();
        assert!(request.starts_with("POST /oauth/revoke HTTP/1.1\r\n"), "{request}");
        assert!(request.ends_with("\r\n\r\nclient_id=client+1&token=old"), "{request}");
        let (port, _request) = canned(503, "").await;
        let error = config(port).revoke(&http(), &RefreshToken::new("old")).await.unwrap_err();
        assert_eq!(error.status(), Some(503));
    }

    #[tokio::test]
    async fn tk_5_bearer_in_any_case_and_nothing_else() {
        assert!(refreshed(200, r#"{"access_token":"a","token_type":"bEARER"}"#).await.is_ok());
        let refused = refreshed(200, r#"{"access_token":"a","token_type":"DPoP\u001b"}"#).await.unwrap_err();
        assert_eq!(refused, TokenEndpointError::TokenType("DPoP".to_owned()));
    }

    #[tokio::test]
    async fn tk_6_an_answer_without_an_access_token_is_none() {
        let table = [
            (200, r#"{"token_type":"Bearer"}"#, Fault::NotUnderstood),
            (200, r#"{"access_token":"","token_type":"Bearer"}"#, Fault::NotUnderstood),
            (200, r#"{"access_token":7,"token_type":"Bearer"}"#, Fault::NotUnderstood),
            (200, r#"{"access_token":"a"}"#, Fault::NotUnderstood),
            (200, "<html>", Fault::NotUnderstood),
            (502, "<html>Bad gateway", Fault::Status { status: 502, said: None, retry_after: None }),
            (400, r#"{"message":"no"}"#, Fault::Status { status: 400, said: Some("no".to_owned()), retry_after: None }),
        ];
        for (status, body, fault) in table {
            match refreshed(status, body).await.unwrap_err() {
                TokenEndpointError::Http(error) => assert_eq!(error.fault, fault, "{body}"),
                other => panic!("{body}: {other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn tk_8_expires_in_in_every_shape() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let table = [
            (json!(86400), seconds(86400)),
            (json!("3600"), seconds(3600)),
            (json!(1.5), Some(Duration::from_millis(1500))),
            (json!(0), None),
            (json!(-1), None),
            (json!(0.2), None),
            (json!(u64::MAX), Some(LONGEST_LIFE)),
            (json!(1e300), Some(LONGEST_LIFE)),
            (json!("inf"), Some(LONGEST_LIFE)),
            (json!("NaN"), None),
            (json!("soon"), None),
            (json!(null), None),
            (json!(true), None),
            (json!([60]), None),
        ];
        for (value, expected) in table {
            assert_eq!(lifetime(&value), expected, "{value}");
        }
    }

    #[tokio::test]
    async fn tk_9_errors_are_told_by_their_code_whatever_the_status() {
        let table = [
            (400, r#"{"error":"invalid_grant"}"#, ErrorCode::InvalidGrant, None),
            (
                403,
                r#"{"error":"invalid_grant","error_description":"Unknown\u001b[1m token"}"#,
                ErrorCode::InvalidGrant,
                Some("Unknown[1m token"),
            ),
            (
                200,
                r#"{"error":"invalid_request","access_token":"a","token_type":"Bearer"}"#,
                ErrorCode::InvalidRequest,
                None,
            ),
            (401, r#"{"error":"invalid_client","error_description":""}"#, ErrorCode::InvalidClient, None),
            (429, r#"{"error":"slow_down"}"#, ErrorCode::TooManyRequests, None),
            (
                500,
                r#"{"error":"mfa\u202e_required","error_description":7}"#,
                ErrorCode::Other("mfa_required".to_owned()),
                None,
            ),
        ];
        for (status, body, code, description) in table {
            let expected = TokenError { code, description: description.map(str::to_owned), status, retry_after: None };
            assert_eq!(refreshed(status, body).await.unwrap_err(), TokenEndpointError::Refused(expected), "{body}");
        }
    }

    #[test]
    fn rf_7_a_status_tells_an_outage_only_where_the_code_says_nothing() {
        let table = [
            ("invalid_grant", 503, false),
            ("access_denied", 429, false),
            ("slow_down", 400, true),
            ("Too Many Requests", 429, true),
            ("Service Unavailable", 503, true),
            ("mfa_required", 401, false),
        ];
        for (code, status, passes) in table {
            let error = TokenError { code: ErrorCode::parse(code), description: None, status, retry_after: None };
            assert_eq!(error.may_pass(), passes, "{code} {status}");
        }
    }

    #[test]
    fn tk_9_the_code_is_shown_even_without_a_description() {
        let mut error = TokenError { code: ErrorCode::InvalidGrant, description: None, status: 400, retry_after: None };
        assert_eq!(error.to_string(), "the issuer refused with `invalid_grant`");
        error.description = Some("Unknown or invalid refresh token.".to_owned());
        assert_eq!(error.to_string(), "the issuer refused with `invalid_grant`: Unknown or invalid refresh token.");
    }

    #[test]
    fn error_codes_keep_their_spelling() {
        let codes = [
            "invalid_grant",
            "invalid_request",
            "invalid_client",
            "unauthorized_client",
            "unsupported_grant_type",
            "invalid_scope",
            "access_denied",
            "too_many_requests",
            "mfa_required",
        ];
        for code in codes {
            assert_eq!(ErrorCode::parse(code).as_str(), code);
        }
    }
}
