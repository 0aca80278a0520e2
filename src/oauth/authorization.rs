//! The authorization request: its URL and the redirect URI.
//!
//! The URL holds no long-lived secret: the challenge, state and nonce are used for one attempt.

use std::fmt;

use url::Url;

use super::issuer::AuthConfig;
use super::pkce::{Nonce, PkceChallenge, State};

/// The requested scopes: identity and a refresh token.
pub(super) const SCOPES: &str = "openid profile email offline_access";

pub(super) const CALLBACK_PATH: &str = "/callback";

/// The redirect URI: a loopback address with a port (RFC 8252 section 7.3).
///
/// It uses `localhost` instead of 127.0.0.1, against section 8.3, because Auth0 compares it with the registered text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectUri {
    text: String,
    port: u16,
}

impl RedirectUri {
    pub fn new(port: u16) -> Self {
        Self { text: format!("http://localhost:{port}{CALLBACK_PATH}"), port }
    }

    /// The text, which is the same in the authorization and the token request (RFC 6749 section 4.1.3).
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// One authorization request (RFC 6749 section 4.1.1, RFC 7636 section 4.3).
#[derive(Debug, Clone, Copy)]
pub struct AuthorizationRequest<'a> {
    pub config: &'a AuthConfig,
    pub redirect_uri: &'a RedirectUri,
    pub challenge: &'a PkceChallenge,
    pub state: &'a State,
    pub nonce: &'a Nonce,
    pub login_hint: Option<&'a str>,
    /// The Auth0 organization, which the ID token must then name.
    pub organization: Option<&'a str>,
}

impl AuthorizationRequest<'_> {
    /// Returns the URL: `https://`, or `http://` with a loopback host, as the [`Issuer`] ensures.
    ///
    /// [`Issuer`]: super::Issuer
    pub fn url(&self) -> Url {
        let mut url = self.config.issuer.at("/authorize");
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("response_mode", "query")
            .append_pair("client_id", &self.config.client_id)
            .append_pair("audience", &self.config.audience)
            .append_pair("redirect_uri", self.redirect_uri.as_str())
            .append_pair("scope", SCOPES)
            .append_pair("code_challenge", self.challenge.as_str())
            .append_pair("code_challenge_method", "S256")
            // Without it, the last user of this browser would be logged in without a question.
            .append_pair("prompt", "login")
            .append_pair("state", self.state.expose())
            .append_pair("nonce", self.nonce.expose());
        if let Some(email) = self.login_hint {
            query.append_pair("login_hint", email);
        }
        if let Some(organization) = self.organization {
            query.append_pair("organization", organization);
        }
        drop(query);
        url
    }
}

#[cfg(test)]
mod tests {
    use super::super::issuer::Issuer;
    use super::super::pkce::PkceVerifier;
    use super::super::pkce::tests::Fixed;
    use super::*;

    fn config(domain: &str, issuer: &str) -> AuthConfig {
        AuthConfig {
            client_id: "5XYJZYf5xZ0eKALgBH3O08WzgfUfz7y9".to_owned(),
            audience: "astronomer-ee".to_owned(),
            issuer: Issuer::parse(issuer, &domain.parse().unwrap()).unwrap(),
            identity_first: false,
        }
    }

    fn url(config: &AuthConfig, login_hint: Option<&str>, organization: Option<&str>) -> Url {
        AuthorizationRequest {
            config,
            redirect_uri: &RedirectUri::new(12345),
            challenge: &PkceChallenge::of(&PkceVerifier::random(&Fixed(1)).unwrap()),
            state: &State::random(&Fixed(2)).unwrap(),
            nonce: &Nonce::random(&Fixed(3)).unwrap(),
            login_hint,
            organization,
        }
        .url()
    }

    #[test]
    fn ar_1_ar_3_ar_5_ar_9_ar_13_ar_14_rf_15_authorization_url() {
        let config = config("astronomer.io", "https://auth.astronomer.io/");
        assert_eq!(
            url(&config, None, None).as_str(),
            "https://auth.astronomer.io/authorize?response_type=code&response_mode=query\
             &client_id=5XYJZYf5xZ0eKALgBH3O08WzgfUfz7y9&audience=astronomer-ee\
             &redirect_uri=http%3A%2F%2Flocalhost%3A12345%2Fcallback&scope=openid+profile+email+offline_access\
             &code_challenge=VtX6czP210fbQsI5QH5dpMMvTHnzXQkrE0_TWkAtnFw&code_challenge_method=S256&prompt=login\
             &state=AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI&nonce=AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM"
        );
    }

    #[test]
    fn ar_14_typed_text_adds_no_parameter() {
        let config = config("astronomer.io", "https://auth.astronomer.io/");
        let url = url(&config, Some("a+b&prompt=none#x@example.com"), Some("org_1&state=2"));
        let last: Vec<_> = url.query_pairs().skip(11).collect();
        assert_eq!(
            last,
            [
                ("login_hint".into(), "a+b&prompt=none#x@example.com".into()),
                ("organization".into(), "org_1&state=2".into())
            ]
        );
        assert_eq!(url.fragment(), None);
    }

    #[test]
    fn ar_15_ar_16_url_is_https_except_loopback() {
        let remote = url(&config("astronomer.io", "https://auth.astronomer.io/"), None, None);
        assert!(remote.as_str().starts_with("https://auth.astronomer.io/authorize?"));
        let local = url(&config("localhost:9000", "http://127.0.0.1:9001/"), None, None);
        assert!(local.as_str().starts_with("http://127.0.0.1:9001/authorize?"));
    }

    #[test]
    fn ar_20_url_has_no_verifier() {
        let config = config("astronomer.io", "https://auth.astronomer.io/");
        let verifier = PkceVerifier::random(&Fixed(1)).unwrap();
        assert!(!url(&config, None, None).as_str().contains(verifier.expose()));
    }

    #[test]
    fn lb_4_redirect_uri_is_registered_one() {
        let redirect_uri = RedirectUri::new(12345);
        assert_eq!((redirect_uri.as_str(), redirect_uri.port()), ("http://localhost:12345/callback", 12345));
    }
}
