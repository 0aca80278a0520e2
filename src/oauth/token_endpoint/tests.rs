//! The token endpoint against canned answers.

use serde_json::json;

use super::super::issuer::tests::{canned, http, local_issuer};
use super::super::pkce::tests::Fixed;
use super::*;
use crate::http::Fault;

fn config(port: u16) -> AuthConfig {
    let (client_id, audience) = ("client 1".to_owned(), "astronomer-ee".to_owned());
    AuthConfig { client_id, audience, issuer: local_issuer(port), identity_first: false }
}

async fn refreshed(status: u16, body: &'static str) -> Result<TokenResponse, TokenEndpointError> {
    let (port, _request) = canned(status, body).await;
    config(port).refresh(&http(), &RefreshToken::new("old")).await?.tokens
}

#[tokio::test]
async fn tk_1_tk_2_tk_6_ar_19_rf_15_code_in_post_body() {
    let body =
        r#"{"access_token":"a","refresh_token":"r","id_token":"i","expires_in":86400,"token_type":"Bearer","x":[1]}"#;
    let (port, request) = canned(200, body).await;
    let (code, verifier) = (AuthorizationCode::for_test("c&d"), PkceVerifier::random(&Fixed(0)).unwrap());
    let redirect_uri = RedirectUri::new(12345);
    let response = config(port).redeem(&http(), code, verifier, &redirect_uri).await.unwrap();
    let tokens = TokenResponse {
        access_token: AccessToken::new("a"),
        id_token: Some(IdToken::new("i")),
        expires_in: Some(Duration::from_secs(86400)),
    };
    let expected = Granted { refresh_token: Some(RefreshToken::new("r")), tokens: Ok(tokens) };
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
async fn rf_4_rf_15_refresh_sends_no_scope() {
    let (port, request) = canned(200, r#"{"access_token":"a","token_type":"bearer"}"#).await;
    let response = config(port).refresh(&http(), &RefreshToken::new("old+")).await.unwrap();
    let access_token = AccessToken::new("a");
    let tokens = TokenResponse { access_token, id_token: None, expires_in: None };
    assert_eq!(response, Granted { refresh_token: None, tokens: Ok(tokens) });
    let request = request.await.unwrap();
    assert_eq!(
        request.split_once("\r\n\r\n").unwrap().1,
        "grant_type=refresh_token&client_id=client+1&refresh_token=old%2B"
    );
}

#[tokio::test]
async fn rf_12_revocation_succeeds_only_with_2xx() {
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
async fn tk_5_token_type_is_bearer_in_any_case() {
    assert!(refreshed(200, r#"{"access_token":"a","token_type":"bEARER"}"#).await.is_ok());
    let refused = refreshed(200, r#"{"access_token":"a","token_type":"DPoP\u001b"}"#).await.unwrap_err();
    assert_eq!(refused, TokenEndpointError::TokenType("DPoP".to_owned()));
}

#[tokio::test]
async fn rf_16_unusable_response_keeps_its_refresh_token() {
    let table = [
        (200, r#"{"refresh_token":"r","access_token":"a","token_type":"DPoP"}"#, Some("r")),
        (200, r#"{"refresh_token":"r","access_token":"","token_type":"Bearer"}"#, Some("r")),
        (200, r#"{"refresh_token":"r","token_type":7}"#, Some("r")),
        (200, r#"{"refresh_token":"","access_token":"a"}"#, None),
        (200, r#"{"refresh_token":7}"#, None),
        (502, r#"{"refresh_token":"r"}"#, None),
    ];
    for (status, body, expected) in table {
        let (port, _request) = canned(status, body).await;
        let granted = config(port).refresh(&http(), &RefreshToken::new("old")).await.ok();
        assert!(granted.as_ref().is_none_or(|granted| granted.tokens.is_err()), "{body}");
        assert_eq!(granted.and_then(|it| it.refresh_token), expected.map(RefreshToken::new), "{body}");
    }
}

#[tokio::test]
async fn tk_6_response_without_access_token_is_invalid() {
    let table = [
        (200, r#"{"token_type":"Bearer"}"#, Fault::InvalidBody),
        (200, r#"{"access_token":"","token_type":"Bearer"}"#, Fault::InvalidBody),
        (200, r#"{"access_token":7,"token_type":"Bearer"}"#, Fault::InvalidBody),
        (200, r#"{"access_token":"a"}"#, Fault::InvalidBody),
        (200, "<html>", Fault::InvalidBody),
        (502, "<html>Bad gateway", Fault::Status { status: 502, message: None, retry_after: None }),
        (400, r#"{"message":"no"}"#, Fault::Status { status: 400, message: Some("no".to_owned()), retry_after: None }),
    ];
    for (status, body, fault) in table {
        match refreshed(status, body).await.unwrap_err() {
            TokenEndpointError::Http(error) => assert_eq!(error.fault, fault, "{body}"),
            other => panic!("{body}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn tk_8_expires_in_accepts_every_shape() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let table = [
        (json!(86400), seconds(86400)),
        (json!("3600"), seconds(3600)),
        (json!(1.5), Some(Duration::from_millis(1500))),
        (json!(0), None),
        (json!(-1), None),
        (json!(0.2), None),
        (json!(u64::MAX), Some(MAX_LIFETIME)),
        (json!(1e300), Some(MAX_LIFETIME)),
        (json!("inf"), Some(MAX_LIFETIME)),
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
async fn tk_9_error_code_counts_with_any_status() {
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
            ErrorCode::Final("invalid_request"),
            None,
        ),
        (401, r#"{"error":"invalid_client","error_description":""}"#, ErrorCode::Final("invalid_client"), None),
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
fn rf_7_status_is_outage_only_without_error_code() {
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
fn tk_9_error_code_shown_without_description() {
    let mut error = TokenError { code: ErrorCode::InvalidGrant, description: None, status: 400, retry_after: None };
    assert_eq!(error.to_string(), "the issuer refused the request (invalid_grant)");
    error.description = Some("Unknown or invalid refresh token.".to_owned());
    assert_eq!(error.to_string(), "the issuer refused the request: Unknown or invalid refresh token. (invalid_grant)");
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
