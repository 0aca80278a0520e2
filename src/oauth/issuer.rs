//! Who signs people in for a domain, and what it publishes.
//!
//! An [`Issuer`] is an address that has been held to the domain it stands for, so a login configuration cannot send a
//! person to someone else's login page. Its endpoints are derived from it, never read from an answer.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use url::Url;

use crate::domain::Domain;
use crate::http::{Http, HttpError};
use crate::text::clean;
use crate::token::AccessToken;

const KEYS_BOUND: Duration = Duration::from_secs(10);
const METADATA_BOUND: Duration = Duration::from_secs(3);

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
        let Ok(url) = Url::parse(text) else { return refused(text, Refusal::NotAnAddress) };
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
            Ok(request) => request.within(METADATA_BOUND).send().await,
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

    /// The key set (RFC 7517 section 5) as it was sent: JSON, and not yet more than that.
    pub async fn fetch_keys(&self, http: &Http) -> Result<Vec<u8>, HttpError> {
        let url = self.at("/.well-known/jwks.json");
        let response = http.get("fetch the issuer's keys", &url)?.within(KEYS_BOUND).send().await?;
        // A login page of some proxy in the place of the keys is told with the host that sent it.
        let _: IgnoredAny = response.success_json()?;
        response.success_body()
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
        let request = http.get("fetch the login configuration", &url)?.header("X-Astro-Client-Identifier", "cli");
        let response = request.send().await?;
        let Wire { client_id, audience, domain_url, auth_flow } = response.success_json()?;
        if client_id.is_empty() || audience.is_empty() {
            return Err(response.not_understood().into());
        }
        let auth_flow = match auth_flow.as_ref().and_then(Value::as_str) {
            Some("IDENTITY_FIRST") => Some(AuthFlow::IdentityFirst),
            Some("ORG_FIRST") => Some(AuthFlow::OrganizationFirst),
            _ => None,
        };
        Ok(Self { client_id, audience, issuer: Issuer::parse(&domain_url, domain)?, auth_flow })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::http::Fault;

    /// HTTP clients, with the cryptography that the program's entry would have installed.
    pub(crate) fn http() -> Http {
        // An error means that another test was first.
        let _: Result<_, _> = rustls::crypto::ring::default_provider().install_default();
        Http::default()
    }

    /// A server that answers one request with `status` and `body`. Returns its port, and the request as it came.
    pub(crate) async fn canned(status: u16, body: &'static str) -> (u16, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let request = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = String::new();
            while !complete(&request) {
                let mut chunk = [0; 4096];
                let read = stream.read(&mut chunk).await.unwrap();
                assert_ne!(read, 0, "the request ends early: {request:?}");
                request.push_str(std::str::from_utf8(&chunk[..read]).unwrap());
            }
            let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            request
        });
        (port, request)
    }

    fn complete(request: &str) -> bool {
        let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        body.len() >= length.unwrap_or(0)
    }

    pub(crate) fn local_issuer(port: u16) -> Issuer {
        Issuer::parse(&format!("http://127.0.0.1:{port}/"), &local(port)).unwrap()
    }

    fn local(port: u16) -> Domain {
        format!("localhost:{port}").parse().unwrap()
    }

    fn refusal(text: &str, domain: &str) -> (String, Refusal) {
        match Issuer::parse(text, &domain.parse().unwrap()).unwrap_err() {
            IssuerError::Refused { named, refusal, .. } => (named, refusal),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn ar_18_an_issuer_of_the_domain_is_kept_to_the_letter() {
        let table = [
            ("astronomer.io", "https://auth.astronomer.io/"),
            ("astronomer.io", "https://astronomer.io/"),
            ("pr1234.astronomer-dev.io", "https://auth.astronomer-dev.io/"),
            ("localhost", "http://localhost:8888/"),
            ("localhost:9000", "https://127.0.0.1:1/"),
            ("localhost:9000", "http://[::1]/"),
        ];
        for (domain, text) in table {
            assert_eq!(Issuer::parse(text, &domain.parse().unwrap()).unwrap().as_str(), text);
        }
    }

    #[test]
    fn ar_18_every_other_address_is_refused_by_its_host() {
        let table = [
            ("https://evil.com/", "evil.com", Refusal::ForeignHost),
            ("https://auth.astronomer.io.evil.com/", "auth.astronomer.io.evil.com", Refusal::ForeignHost),
            ("https://evilastronomer.io/", "evilastronomer.io", Refusal::ForeignHost),
            ("https://auth.astronomer-stage.io/", "auth.astronomer-stage.io", Refusal::ForeignHost),
            ("https://auth.astronomer.io@evil.com/", "evil.com", Refusal::ForeignHost),
            ("https://evil.com\\@auth.astronomer.io/", "evil.com", Refusal::ForeignHost),
            ("https://аuth.astronomer.іo/", "xn--uth-5cd.astronomer.xn--o-evb", Refusal::ForeignHost),
            ("http://localhost:8888/", "localhost", Refusal::ForeignHost),
            ("http://auth.astronomer.io/", "auth.astronomer.io", Refusal::NotHttps),
            ("ftp://auth.astronomer.io/", "auth.astronomer.io", Refusal::NotHttps),
            ("https://user@auth.astronomer.io/", "auth.astronomer.io", Refusal::NotPlain),
            ("https://@auth.astronomer.io/", "auth.astronomer.io", Refusal::NotPlain),
            ("https://auth.astronomer.io:8443/", "auth.astronomer.io", Refusal::NotPlain),
            ("https://auth.astronomer.io:443/", "auth.astronomer.io", Refusal::NotPlain),
            ("https://auth.astronomer.io/tenant/", "auth.astronomer.io", Refusal::NotPlain),
            ("https://auth.astronomer.io", "auth.astronomer.io", Refusal::NotPlain),
            ("https://auth.astronomer.io/?", "auth.astronomer.io", Refusal::NotPlain),
            ("https://auth.astronomer.io/?a=b", "auth.astronomer.io", Refusal::NotPlain),
            ("https://auth.astronomer.io/#", "auth.astronomer.io", Refusal::NotPlain),
            ("https://AUTH.astronomer.io/", "auth.astronomer.io", Refusal::NotPlain),
            (" https://auth.astronomer.io/", "auth.astronomer.io", Refusal::NotPlain),
            ("https://auth.astro\tnomer.io/", "auth.astronomer.io", Refusal::NotPlain),
            ("auth.astronomer.io", "auth.astronomer.io", Refusal::NotAnAddress),
            ("data:text/html,x", "data:text/html,x", Refusal::NotAnAddress),
            ("", "", Refusal::NotAnAddress),
        ];
        for (text, named, why) in table {
            assert_eq!(refusal(text, "astronomer.io"), (named.to_owned(), why), "{text:?}");
        }
        let local = [
            ("http://10.0.0.1:9000/", "10.0.0.1", Refusal::ForeignHost),
            ("https://auth.astronomer.io/", "auth.astronomer.io", Refusal::ForeignHost),
            ("http://localhost:9000/x", "localhost", Refusal::NotPlain),
            ("ws://localhost:9000/", "localhost", Refusal::NotHttps),
        ];
        for (text, named, why) in local {
            assert_eq!(refusal(text, "localhost:9000"), (named.to_owned(), why), "{text:?}");
        }
    }

    #[test]
    fn ar_18_the_refusal_names_domain_and_host() {
        let error = Issuer::parse("https://evil.com/", &"astronomer.io".parse().unwrap()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the login configuration of astronomer.io names `evil.com` as its issuer, which does not belong to it"
        );
    }

    #[tokio::test]
    async fn the_login_configuration_is_read() {
        let table = [
            (r#"{"clientId":"c","audience":"a","domainUrl":"http://localhost:1/"}"#, None),
            (
                r#"{"clientId":"c","audience":"a","domainUrl":"http://localhost:1/","authFlow":"IDENTITY_FIRST","x":1}"#,
                Some(AuthFlow::IdentityFirst),
            ),
            (
                r#"{"clientId":"c","audience":"a","domainUrl":"http://localhost:1/","authFlow":"ORG_FIRST"}"#,
                Some(AuthFlow::OrganizationFirst),
            ),
            (r#"{"clientId":"c","audience":"a","domainUrl":"http://localhost:1/","authFlow":"LATER"}"#, None),
        ];
        for (body, auth_flow) in table {
            let (port, request) = canned(200, body).await;
            let config = AuthConfig::fetch(&http(), &local(port)).await.unwrap();
            let issuer = Issuer::parse("http://localhost:1/", &local(port)).unwrap();
            let expected = AuthConfig { client_id: "c".to_owned(), audience: "a".to_owned(), issuer, auth_flow };
            assert_eq!(config, expected, "{body}");
            let request = request.await.unwrap().to_ascii_lowercase();
            assert!(request.starts_with("get /private/v1alpha1/cli/auth-config http/1.1\r\n"), "{request}");
            assert!(request.contains("\r\nx-astro-client-identifier: cli\r\n"), "{request}");
        }
    }

    #[tokio::test]
    async fn ar_18_a_configuration_that_leads_elsewhere_is_refused() {
        let (port, _request) = canned(200, r#"{"clientId":"c","audience":"a","domainUrl":"https://evil.com/"}"#).await;
        let refused = AuthConfig::fetch(&http(), &local(port)).await.unwrap_err();
        let expected = IssuerError::Refused {
            domain: format!("localhost:{port}"),
            named: "evil.com".to_owned(),
            refusal: Refusal::ForeignHost,
        };
        assert_eq!(refused, expected);
    }

    #[tokio::test]
    async fn a_configuration_without_a_client_is_not_understood() {
        for body in [r#"{"clientId":"","audience":"a","domainUrl":"http://localhost:1/"}"#, "{}", "<html>"] {
            let (port, _request) = canned(200, body).await;
            match AuthConfig::fetch(&http(), &local(port)).await.unwrap_err() {
                IssuerError::Http(HttpError { fault, .. }) => assert_eq!(fault, Fault::NotUnderstood, "{body}"),
                other => panic!("{body}: {other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn ar_17_metadata_must_be_the_issuers_own() {
        let http = http();
        let (port, _request) = canned(200, r#"{"issuer":"http://127.0.0.1/"}"#).await;
        assert_eq!(
            local_issuer(port).metadata(&http).await.unwrap_err(),
            IssuerError::OtherIssuer {
                expected: format!("http://127.0.0.1:{port}/"),
                named: "http://127.0.0.1/".to_owned()
            }
        );
    }

    #[tokio::test]
    async fn lb_13_metadata_tells_whether_callbacks_name_their_issuer() {
        let http = http();
        for (member, supported) in [
            ("", false),
            (r#","authorization_response_iss_parameter_supported":false"#, false),
            (r#","authorization_response_iss_parameter_supported":true"#, true),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let body = format!(r#"{{"issuer":"http://127.0.0.1:{port}/"{member}}}"#);
            let server = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut chunk = [0; 4096];
                let read = stream.read(&mut chunk).await.unwrap();
                let head = format!("HTTP/1.1 200 X\r\ncontent-length: {}\r\n\r\n", body.len());
                stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
                String::from_utf8(chunk[..read].to_vec()).unwrap()
            });
            let metadata = local_issuer(port).metadata(&http).await.unwrap();
            assert_eq!(metadata, Some(Metadata { iss_parameter_supported: supported }));
            assert!(server.await.unwrap().starts_with("GET /.well-known/openid-configuration HTTP/1.1\r\n"));
        }
    }

    #[tokio::test]
    async fn metadata_that_does_not_come_is_done_without() {
        for (status, body) in [(404, "{}"), (500, ""), (200, "<html>"), (200, "{}")] {
            let (port, _request) = canned(status, body).await;
            assert_eq!(local_issuer(port).metadata(&http()).await, Ok(None), "{status} {body}");
        }
    }

    #[tokio::test]
    async fn cl_2_keys_come_from_the_issuers_well_known_path_as_they_were_sent() {
        let (port, request) = canned(200, r#" {"keys": [], "keys": 1} "#).await;
        let keys = local_issuer(port).fetch_keys(&http()).await.unwrap();
        assert_eq!(keys, br#" {"keys": [], "keys": 1} "#);
        assert!(request.await.unwrap().starts_with("GET /.well-known/jwks.json HTTP/1.1\r\n"));
        let (port, _request) = canned(503, "{}").await;
        assert_eq!(local_issuer(port).fetch_keys(&http()).await.unwrap_err().status(), Some(503));
    }

    #[tokio::test]
    async fn cl_14_userinfo_needs_a_subject_and_nothing_more() {
        let http = http();
        let token = AccessToken::new("secret");
        let (port, request) = canned(200, r#"{"sub":"s","email":"e@x","email_verified":"true"}"#).await;
        let user = local_issuer(port).userinfo(&http, &token).await.unwrap();
        let expected = UserInfo { sub: "s".to_owned(), email: Some("e@x".to_owned()) };
        assert_eq!(user, expected);
        let request = request.await.unwrap();
        assert!(request.starts_with("GET /userinfo HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("\r\nauthorization: Bearer secret\r\n"), "{request}");
        let (port, _request) = canned(200, r#"{"email":"e@x"}"#).await;
        assert_eq!(local_issuer(port).userinfo(&http, &token).await.unwrap_err().fault, Fault::NotUnderstood);
    }
}
