//! What holds of every input, for the fuzz targets and for `tests/it/fuzz_corpus.rs`, which replays their corpus.

#![allow(dead_code, unreachable_pub, reason = "each fuzz target uses one of them")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a property that does not hold stops here")]

use std::future::Future as _;
use std::net::Ipv4Addr;
use std::sync::OnceLock;
use std::time::Duration;

use astro_login::config::Document;
use astro_login::domain::{Domain, Product};
use astro_login::jwt::{
    Claims, ExpectedAccess, ExpectedId, Jwks, TokenKind, Unverified, verify_access_token, verify_id_token,
};
use astro_login::oauth::{
    CallbackListener, Event, ExpectedResponse, Issuer, Random, RandomError, RedirectUri, Rejection, State, parse_pasted,
};
use astro_login::token::{AccessToken, IdToken, RefreshToken};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use saphyr_parser::{Event as Yaml, Parser};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use url::form_urlencoded;

/// The state of a login whose randomness is all zeros.
const STATE: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const OTHER_STATE: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";

/// Well above what anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

struct Bytes(u8);

impl Random for Bytes {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        bytes.fill(self.0);
        Ok(())
    }
}

fn expected(byte: u8) -> ExpectedResponse {
    ExpectedResponse {
        state: State::random(&Bytes(byte)).unwrap(),
        issuer: Issuer::parse("https://auth.astronomer.io/", &"astronomer.io".parse().unwrap()).unwrap(),
        iss_required: false,
    }
}

/// How often `name` has this value in the query that is all of `text` or stands behind one of its question marks.
fn says(text: &str, name: &str, value: &str) -> bool {
    let queries = std::iter::once(text).chain(text.match_indices('?').map(|(at, _)| &text[at + 1..]));
    let trimmed = |found: &str| found.trim().trim_matches(['"', '\'', '`', '<', '>']).trim().to_owned();
    queries.flat_map(|query| form_urlencoded::parse(query.as_bytes())).any(|(found, text)| {
        let text = text.split('#').next().unwrap_or_default().replace(['\t', '\r', '\n'], "");
        found.replace(['\t', '\r', '\n'], "").ends_with(name) && trimmed(&text).contains(value)
    })
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_current_thread().enable_all().build().unwrap())
}

/// Bytes on a connection to the callback listener, in which `PORT` stands for its port: at most one answer comes back,
/// it invites nobody, and nothing but a request with our state ends the wait.
pub fn request(data: &[u8]) {
    runtime().block_on(async {
        let listener = CallbackListener::bind(0).unwrap();
        let port = listener.redirect_uri().port();
        let mut door = listener.serve(expected(0));
        let sent = with_port(data, port);
        let browser = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let (mut read, mut write) = browser.into_split();
        let sending = async {
            // The other side may have heard enough, and be gone.
            drop(write.write_all(&sent).await);
            drop(write.shutdown().await);
        };
        let receiving = async {
            let mut answer = Vec::new();
            drop(read.read_to_end(&mut answer).await);
            String::from_utf8_lossy(&answer).into_owned()
        };
        let served = async { tokio::join!(sending, receiving).1 };
        let mut served = std::pin::pin!(timeout(PATIENCE, served));
        let mut event = None;
        let answer = std::future::poll_fn(|context| {
            if event.is_none()
                && let std::task::Poll::Ready(next) = std::pin::pin!(door.next()).poll(context)
            {
                event = Some(match next {
                    Event::Callback(callback) => {
                        // The reply that goes with it tells of failure.
                        drop(callback);
                        true
                    }
                    Event::TlsAttempt => false,
                });
            }
            served.as_mut().poll(context)
        })
        .await
        .expect("an end");
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{answer}");
        assert!(!answer.to_ascii_lowercase().contains("access-control"), "{answer}");
        let status = answer.split(' ').nth(1).unwrap_or_default();
        let head = sent.iter().position(|byte| !b"\r\n".contains(byte)).map_or(&b""[..], |start| &sent[start..]);
        match event {
            None => {
                assert!(["", "200", "400", "403", "404", "405", "414", "431", "505"].contains(&status), "{answer}");
                assert!(status != "200" || head.starts_with(b"HEAD /callback"), "{answer}");
            }
            Some(false) => assert_eq!((sent.first(), answer.as_str()), (Some(&0x16), "")),
            Some(true) => {
                assert!(head.starts_with(b"GET /callback?"), "{answer}");
                let line = String::from_utf8_lossy(head.split(|byte| *byte == b'\n').next().unwrap()).into_owned();
                let target = line.split(' ').nth(1).unwrap();
                assert!(says(target, "state", STATE), "{line}");
                let host = format!("localhost:{port}");
                let hosts =
                    [host.as_str(), &host.replace("localhost", "127.0.0.1"), &host.replace("localhost", "[::1]")];
                let text = String::from_utf8_lossy(&sent).to_ascii_lowercase();
                assert!(hosts.iter().any(|host| text.contains(host)), "{text}");
                assert!(["", "400"].contains(&status), "a reply that was dropped told of success: {answer}");
            }
        }
    });
}

fn with_port(data: &[u8], port: u16) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    let mut rest = data;
    while let Some(at) = rest.windows(4).position(|window| window == b"PORT") {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(port.to_string().as_bytes());
        rest = &rest[at + 4..];
    }
    out.extend_from_slice(rest);
    out
}

/// The registered one.
const PORT: u16 = 12345;

/// A pasted address: a code, or the end of the login, comes of nothing
/// but our state, and quotes and space around it change nothing.
pub fn paste(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let redirect_uri = RedirectUri::new(PORT);
    let verdict = parse_pasted(&text, &redirect_uri, &expected(0));
    match &verdict {
        Err(Rejection::Unrelated(_)) => {}
        Ok(_) | Err(Rejection::Final(_)) => assert!(says(&text, "state", STATE), "{text}"),
    }
    if let Err(Rejection::Final(error)) = &verdict {
        assert!(!error.to_string().contains(char::is_control), "{error:?}");
    }
    let other = parse_pasted(&text, &redirect_uri, &expected(1));
    assert!(
        text.contains(OTHER_STATE) || text.contains('%') || matches!(other, Err(Rejection::Unrelated(_))),
        "{text}"
    );
    if text.len() < 16_000 {
        let wrapped = parse_pasted(&format!(" \"{text}'\r\n"), &redirect_uri, &expected(0));
        assert_eq!(wrapped.map(drop), verdict.map(drop), "{text}");
    }
}

const ISSUER: &str = "https://auth.astronomer.io/";
const AUDIENCE: &str = "astronomer-ee";
const CLIENT: &str = "client-1";
const NONCE: &str = "nonce-of-this-login";
/// 2026-11-24T10:00:00Z.
const NOW: i64 = 1_795_514_400;

fn key(other: bool) -> &'static RsaKeyPair {
    static KEYS: OnceLock<[RsaKeyPair; 2]> = OnceLock::new();
    let keys = KEYS.get_or_init(|| {
        let files: [&[u8]; 2] = [
            include_bytes!("../tests/keys/insecure-test-key-1.pk8"),
            include_bytes!("../tests/keys/insecure-test-key-2.pk8"),
        ];
        files.map(|file| RsaKeyPair::from_pkcs8(file).unwrap())
    });
    &keys[usize::from(other)]
}

fn published() -> &'static Jwks {
    static KEYS: OnceLock<Jwks> = OnceLock::new();
    KEYS.get_or_init(|| {
        let public = PublicKeyComponents::<Vec<u8>>::from(key(false).public());
        let (n, e) = (URL_SAFE_NO_PAD.encode(public.n), URL_SAFE_NO_PAD.encode(public.e));
        let jwk = json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "one", "n": n, "e": e});
        Jwks::parse(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap()
    })
}

fn signed(header: &[u8], claims: &[u8], by_another: bool) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = key(by_another);
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Holds a token to every check that there is, as an access token and as an ID token.
fn verified(token: &str) -> [Option<Claims>; 2] {
    let now = Timestamp::from_second(NOW).unwrap();
    if let Ok(unverified) = Unverified::parse(token) {
        assert!(token.len() <= 16 * 1024 && token.split('.').count() == 3);
        let _ = (unverified.issuer(), unverified.subject(), unverified.permissions(), unverified.issued_at());
        let _ = (unverified.check_expiry_if_any(now), unverified.expires_at());
        assert!(unverified.kind() == TokenKind::Access || unverified.check_offline(now).is_err());
    }
    let access = AccessToken::new(token);
    let expected = ExpectedAccess { issuer: ISSUER, audience: AUDIENCE, client_id: CLIENT };
    let as_access = verify_access_token(&access, published(), &expected, now);
    let expected =
        ExpectedId { issuer: ISSUER, client_id: CLIENT, nonce: Some(NONCE), organization: None, access_token: &access };
    let as_id = verify_id_token(&IdToken::new(token), published(), &expected, now);
    for error in [as_access.as_ref().err(), as_id.as_ref().err()].into_iter().flatten() {
        assert!(!error.to_string().contains(char::is_control), "{error:?}");
    }
    [as_access.ok(), as_id.ok()]
}

/// A token, or `{…` for the claims of one that our issuer signed: claims come of a good signature alone, and only where
/// they are for us and valid now.
pub fn jwt(data: &[u8]) {
    astro_login::jwt::crypto::install();
    if data.first() != Some(&b'{') {
        let text = String::from_utf8_lossy(data);
        // Nothing in the corpus is signed, and a signature is not to be had by trying.
        assert_eq!(verified(&text), [None, None], "{text}");
        return;
    }
    let header = br#"{"alg":"RS256","typ":"JWT","kid":"one"}"#;
    assert_eq!(verified(&signed(header, data, true)), [None, None]);
    let [access, id] = verified(&signed(header, data, false));
    assert!(access.is_none() || id.is_none(), "the two kinds exclude each other");
    let Some(claims) = access.as_ref().or(id.as_ref()) else { return };
    let said: Value = serde_json::from_slice(data).unwrap();
    assert_eq!((said["iss"].as_str(), said["sub"].as_str()), (Some(ISSUER), Some(claims.subject.as_str())));
    assert_eq!(claims.issuer, ISSUER);
    assert!(claims.expires_at.as_second() > NOW - 61 && !claims.subject.is_empty());
    let audience = if access.is_some() { AUDIENCE } else { CLIENT };
    assert!(said["aud"] == audience || said["aud"].as_array().unwrap().iter().any(|one| one == audience));
    assert!(id.is_none() || said["nonce"] == NONCE);
}

/// What names a domain: one that is taken is read back as the same from its name, leads to an API of ours, and has a key
/// of its own.
pub fn domain(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let domain: Domain = match text.parse() {
        Ok(domain) => domain,
        Err(refused) => {
            let refused: astro_login::domain::DomainError = refused;
            assert!(!refused.to_string().contains(char::is_control), "{refused:?}");
            return;
        }
    };
    let again: Domain = domain.as_str().parse().unwrap();
    assert!(again == domain && again.as_str() == domain.to_string() && again.api_base() == domain.api_base());
    // No domain has an underscore, so the key tells which it is.
    assert!(!domain.as_str().contains('_'));
    assert_eq!(domain.context_key().replace('_', ".").parse::<Domain>().as_ref(), Ok(&domain));
    let api = domain.api_base();
    let path = match domain.product() {
        Product::Astro => "/",
        Product::PrivateCloud => "/v1",
    };
    assert_eq!((api.path(), api.query(), api.username(), api.password()), (path, None, "", None));
    let host = api.host_str().unwrap();
    assert!(domain.owns_host(host));
    if domain.is_local() {
        assert_eq!((api.scheme(), host), ("http", "localhost"));
        assert_eq!(api.port_or_known_default(), Some(domain.local_port().unwrap_or(8888)));
    } else {
        assert_eq!((api.scheme(), api.port()), ("https", None));
        if domain.product() == Product::PrivateCloud {
            assert_eq!(host, format!("houston.{domain}"));
            return;
        }
        let known = ["astronomer.io", "astronomer-dev.io", "astronomer-stage.io", "astronomer-perf.io"];
        let preview = host.strip_prefix("pr").and_then(|rest| rest.strip_suffix(".api.astronomer-dev.io"));
        let is_preview = preview.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
        assert!(is_preview || known.iter().any(|base| host == format!("api.{base}")), "{host}");
    }
}

type Change = fn(&mut Document, &Domain) -> Result<(), astro_login::config::DocumentError>;

/// A settings file: an edit changes what is ours and nothing else, or is refused and changes nothing; what it wrote reads
/// back, and a second time there is nothing left to do.
pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(document) = Document::parse(text.as_ref()) else { return };
    assert_eq!(document.as_str(), text);
    let changes: [Change; 4] = [
        |document, domain| {
            document.update_context(domain, |context| {
                context.token = Some(AccessToken::new("eyJNEW"));
                context.refresh_token = Some(RefreshToken::new("v1: 'new' # \u{e9}"));
                context.expires_at = Some("2026-11-25T00:00:00Z".parse().unwrap());
                context.user_email = Some("new@example.com".to_owned());
                context.workspace = Some("clnew".to_owned());
            })
        },
        |document, domain| document.set_current_context(Some(domain.as_str())),
        Document::clear_login,
        Document::delete_context,
    ];
    for domain in ["astronomer.io", "localhost:9000"] {
        let domain: Domain = domain.parse().unwrap();
        for (number, change) in changes.into_iter().enumerate() {
            let mut edited = Document::parse(text.as_ref()).unwrap();
            let whole = number == 3;
            if change(&mut edited, &domain).is_err() {
                assert_eq!(edited.as_str(), text, "refused, and changed all the same");
                continue;
            }
            assert_eq!(
                foreign(&text, &domain, whole),
                foreign(edited.as_str(), &domain, whole),
                "{text}\n---\n{}",
                edited.as_str()
            );
            let once = edited.as_str().to_owned();
            change(&mut edited, &domain).unwrap();
            assert_eq!(edited.as_str(), once, "a second time");
            let context = edited.context(&domain);
            match number {
                0 => {
                    let context = context.unwrap();
                    assert_eq!(context.token, Some(AccessToken::new("eyJNEW")));
                    assert_eq!(context.refresh_token, Some(RefreshToken::new("v1: 'new' # \u{e9}")));
                }
                1 => assert_eq!(edited.current_context().as_deref(), Some(domain.as_str())),
                2 => assert!(context.is_none_or(|context| context.token.is_none() && context.refresh_token.is_none())),
                _ => assert_eq!(context, None),
            }
        }
    }
}

/// Every scalar of a settings file that is not ours: its path, its value and how it is quoted, in order. The context as a
/// `whole` is ours to delete.
fn foreign(text: &str, domain: &Domain, whole: bool) -> Vec<String> {
    const OURS: [&str; 9] = [
        "domain",
        "expiresin",
        "last_used_workspace",
        "organization",
        "organization_product",
        "refreshtoken",
        "token",
        "user_email",
        "workspace",
    ];
    /// A collection that is being read: whether it is a mapping, how many nodes it has had, and the last key.
    struct Open(bool, usize, String);
    let mut open: Vec<Open> = Vec::new();
    let mut found = Vec::new();
    let key = domain.context_key().to_ascii_lowercase();
    // Whatever stands below a key of ours is ours too, also where only a text makes sense.
    let is_ours = |path: &[String]| match path {
        [top, ..] if top == "context" => true,
        [contexts, context, field, ..] => {
            contexts == "contexts" && *context == key && (whole || OURS.contains(&field.as_str()))
        }
        _ => false,
    };
    for event in Parser::new_from_str(text) {
        let (event, _) = event.unwrap();
        let (shown, value) = match &event {
            Yaml::Scalar(value, style, anchor, tag) => {
                (format!("{value:?} {style:?} {anchor} {tag:?}"), value.as_ref())
            }
            Yaml::Alias(anchor) => (format!("*{anchor}"), ""),
            Yaml::SequenceStart(..) | Yaml::MappingStart(..) => (String::new(), ""),
            Yaml::SequenceEnd | Yaml::MappingEnd => {
                open.pop();
                continue;
            }
            _ => continue,
        };
        let path: Vec<String> = open.iter().map(|open| open.2.clone()).collect();
        if let Some(Open(mapping, nodes, last)) = open.last_mut() {
            let is_key = *mapping && *nodes % 2 == 0;
            *nodes += 1;
            if is_key {
                *last = value.to_ascii_lowercase();
            } else if !shown.is_empty() && !is_ours(&path) {
                // What was empty may have become the place for ours.
                let vacant = matches!(value, "" | "~" | "null" | "Null" | "NULL")
                    && (path == ["contexts"] || path == ["contexts", key.as_str()]);
                if !vacant {
                    found.push(format!("{}: {shown}", path.join("/")));
                }
            }
        }
        if let Yaml::SequenceStart(..) | Yaml::MappingStart(..) = event {
            open.push(Open(matches!(event, Yaml::MappingStart(..)), 0, String::new()));
        }
    }
    found
}
