//! The issuer and its documents, against canned answers that other tests use too.

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
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
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
fn ar_18_issuer_of_domain_is_kept_verbatim() {
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
fn ar_18_other_issuer_rejected_by_host() {
    let table = [
        ("https://evil.com/", "evil.com", Refusal::ForeignHost),
        ("https://auth.astronomer.io.evil.com/", "auth.astronomer.io.evil.com", Refusal::ForeignHost),
        ("https://evilastronomer.io/", "evilastronomer.io", Refusal::ForeignHost),
        ("https://auth.astronomer-stage.io/", "auth.astronomer-stage.io", Refusal::ForeignHost),
        ("https://auth.astronomer.io@evil.com/", "evil.com", Refusal::ForeignHost),
        ("https://evil.com\\@auth.astronomer.io/", "evil.com", Refusal::ForeignHost),
        ("https://аuth.astronomer.іo/", "https://\\u{430}uth.astronomer.\\u{456}o/", Refusal::NotAnAddress),
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
fn ar_18_rejection_names_domain_and_host() {
    let error = Issuer::parse("https://evil.com/", &"astronomer.io".parse().unwrap()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the login configuration of astronomer.io names `evil.com` as its issuer, which does not belong to it"
    );
}

#[tokio::test]
async fn auth_config_is_parsed() {
    let table = [
        (r#"{"clientId":"c","audience":"a","domainUrl":"http://localhost:1/"}"#, false),
        (
            r#"{"clientId":"c","audience":"a","domainUrl":"http://localhost:1/","authFlow":"IDENTITY_FIRST","x":1}"#,
            true,
        ),
        (r#"{"clientId":"c","audience":"a","domainUrl":"http://localhost:1/","authFlow":"ORG_FIRST"}"#, false),
        (r#"{"clientId":"c","audience":"a","domainUrl":"http://localhost:1/","authFlow":"LATER"}"#, false),
    ];
    for (body, identity_first) in table {
        let (port, request) = canned(200, body).await;
        let config = AuthConfig::fetch(&http(), &local(port)).await.unwrap();
        let issuer = Issuer::parse("http://localhost:1/", &local(port)).unwrap();
        let expected = AuthConfig { client_id: "c".to_owned(), audience: "a".to_owned(), issuer, identity_first };
        assert_eq!(config, expected, "{body}");
        let request = request.await.unwrap().to_ascii_lowercase();
        assert!(request.starts_with("get /private/v1alpha1/cli/auth-config http/1.1\r\n"), "{request}");
        assert!(request.contains("\r\nx-astro-client-identifier: cli\r\n"), "{request}");
    }
}

#[tokio::test]
async fn ar_18_auth_config_of_other_host_rejected() {
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
async fn auth_config_without_client_id_is_invalid() {
    for body in [r#"{"clientId":"","audience":"a","domainUrl":"http://localhost:1/"}"#, "{}", "<html>"] {
        let (port, _request) = canned(200, body).await;
        match AuthConfig::fetch(&http(), &local(port)).await.unwrap_err() {
            IssuerError::Http(HttpError { fault, .. }) => assert_eq!(fault, Fault::InvalidBody, "{body}"),
            other => panic!("{body}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn ar_17_metadata_must_name_its_issuer() {
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
async fn lb_13_metadata_announces_iss_parameter() {
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
async fn missing_metadata_is_tolerated() {
    for (status, body) in [(404, "{}"), (500, ""), (200, "<html>"), (200, "{}")] {
        let (port, _request) = canned(status, body).await;
        assert_eq!(local_issuer(port).metadata(&http()).await, Ok(None), "{status} {body}");
    }
}

#[tokio::test]
async fn cl_2_keys_come_from_well_known_path_verbatim() {
    let (port, request) = canned(200, r#" {"keys": [], "keys": 1} "#).await;
    let keys = local_issuer(port).fetch_keys(&http()).await.unwrap();
    assert_eq!(keys.body(), br#" {"keys": [], "keys": 1} "#);
    assert!(request.await.unwrap().starts_with("GET /.well-known/jwks.json HTTP/1.1\r\n"));
    let (port, _request) = canned(503, "{}").await;
    let refused = local_issuer(port).fetch_keys(&http()).await.map(drop);
    assert_eq!(refused.unwrap_err().status(), Some(503));
}

#[tokio::test]
async fn cl_14_userinfo_needs_only_subject() {
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
    assert_eq!(local_issuer(port).userinfo(&http, &token).await.unwrap_err().fault, Fault::InvalidBody);
}
