//! The reasons to reject a token.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use url::Host;

use super::Unverified;
use super::unverified::LEEWAY;
use crate::domain::{Domain, Product};
use crate::text::{clean, parse_url};
use crate::time_format::format_relative;

/// A rejected token. Values of the token are cleaned when they are printed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    #[error("not a JSON Web Token (JWT)")]
    NotAJwt,
    /// Five segments: an encrypted token (RFC 7516).
    #[error("encrypted tokens are not supported")]
    Encrypted,
    #[error("the token is longer than 16 KiB")]
    TooLong,
    #[error("duplicate claim in the token")]
    DuplicateMember,
    #[error("the token's `{0}` is malformed")]
    Malformed(&'static str),
    #[error("the token has no `{0}`")]
    Missing(&'static str),
    #[error("unsupported token algorithm `{}`; only `RS256` is accepted", clean(.0, 20))]
    Algorithm(String),
    #[error("unsupported `{0}` header in the token")]
    Unsupported(&'static str),
    #[error("unexpected token type `{}`", clean(.0, 40))]
    TypeNotAccepted(String),
    #[error("this is an ID token")]
    IdTokenGiven,
    #[error("this is an Astro API token")]
    ApiTokenGiven,
    #[error("expired on {} ({})", TimeZone::UTC.to_datetime(*.at).date(), format_relative(*.at, *.now))]
    Expired { at: Timestamp, now: Timestamp },
    #[error("not valid before {from}, and this machine's clock says {now:.0}")]
    NotYetValid { from: Timestamp, now: Timestamp },
    #[error("issued at {at}, but this machine's clock says {now:.0}")]
    IssuedInFuture { at: Timestamp, now: Timestamp },
    /// A token that was issued just now looks expired, or not valid yet.
    #[error("this machine's clock says {now:.0}, but the issuer's says {issued}")]
    ClockOff { issued: Timestamp, now: Timestamp },
    #[error("{}", wrong_issuer(.found, .expected))]
    WrongIssuer { found: String, expected: String },
    #[error("made for `{}`, not for `{}`", clean(&.found.join("`, `"), 200), clean(.expected, 100))]
    WrongAudience { found: Vec<String>, expected: String },
    #[error("the ID token is also made for `{}`", clean(.0, 100))]
    UntrustedAudience(String),
    #[error("the ID token was given to another client, `{}`", clean(.0, 100))]
    WrongParty(String),
    #[error("the ID token belongs to another login")]
    Nonce,
    #[error("the ID token belongs to another access token")]
    AtHash,
    #[error(
        "logged in to {} instead of the organization `{}`",
        .found.as_ref().map_or_else(|| "no organization".to_owned(), |found| format!("the organization `{}`", clean(found, 100))),
        clean(.expected, 100)
    )]
    Organization { found: Option<String>, expected: String },
    #[error("signed with a key that the issuer does not publish")]
    UnknownKey,
    #[error("the token does not name its key, and the issuer has several")]
    KeyNotNamed,
    #[error("invalid token signature")]
    SignatureInvalid,
}

impl JwtError {
    /// Blames this machine's clock for the times of a token that was issued just now, if the clocks differ.
    pub fn of_fresh_token(self, token: &str) -> Self {
        let (Self::Expired { now, .. } | Self::NotYetValid { now, .. } | Self::IssuedInFuture { now, .. }) = self
        else {
            return self;
        };
        match Unverified::parse(token).ok().and_then(|claims| claims.issued_at()) {
            Some(issued) if issued.duration_since(now).abs() > LEEWAY => Self::ClockOff { issued, now },
            Some(_) | None => self,
        }
    }
}

/// Returns the Astro domain of `issuer`, such as `astronomer-stage.io` for `https://auth.astronomer-stage.io/`. `None` for
/// any other issuer.
pub fn issuer_domain(issuer: &str) -> Option<Domain> {
    let url = parse_url(issuer).ok()?;
    let host = url.host_str()?;
    match url.port() {
        Some(port) if host == "localhost" => format!("{host}:{port}").parse().ok(),
        Some(_) => None,
        None => {
            let domain: Domain = host.strip_prefix("auth.").unwrap_or(host).parse().ok()?;
            Some(domain).filter(|it| it.product() == Product::Astro)
        }
    }
}

fn wrong_issuer(found: &str, expected: &str) -> String {
    let host = parse_url(found).ok().and_then(|url| url.host().map(|host| host.to_owned()));
    match (issuer_domain(found), issuer_domain(expected)) {
        (Some(found), Some(expected)) if found != expected => format!("issued for {found}, you asked for {expected}"),
        // Auth0's own name for a tenant. Tokens requested under that name carry it as their issuer.
        _ if matches!(host, Some(Host::Domain(name)) if name.ends_with(".auth0.com")) => format!(
            "issued under the identity provider's own name {}, only tokens issued under {} are accepted",
            clean(found, 100),
            clean(expected, 100)
        ),
        _ => format!("issued by {}, not by {}", clean(found, 100), clean(expected, 100)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn every_rejection_has_a_message() {
        let now = at("2026-11-24T10:00:00.123456789Z");
        let ours = "https://auth.astronomer.io/".to_owned();
        let issued_by =
            |found: &str| JwtError::WrongIssuer { found: found.to_owned(), expected: ours.clone() }.to_string();
        let table = [
            (
                JwtError::Expired { at: at("2023-03-22T08:35:40Z"), now }.to_string(),
                "expired on 2023-03-22 (3 years ago)",
            ),
            (
                JwtError::IssuedInFuture { at: at("2027-01-01T00:00:00Z"), now }.to_string(),
                "issued at 2027-01-01T00:00:00Z, but this machine's clock says 2026-11-24T10:00:00Z",
            ),
            (
                JwtError::NotYetValid { from: at("2027-01-01T00:00:00Z"), now }.to_string(),
                "not valid before 2027-01-01T00:00:00Z, and this machine's clock says 2026-11-24T10:00:00Z",
            ),
            (
                issued_by("https://auth.astronomer-stage.io/"),
                "issued for astronomer-stage.io, you asked for astronomer.io",
            ),
            (issued_by("http://localhost:9000/"), "issued for localhost:9000, you asked for astronomer.io"),
            (
                issued_by("https://astronomer-prod.us.auth0.com/"),
                "issued under the identity provider's own name https://astronomer-prod.us.auth0.com/, \
                 only tokens issued under https://auth.astronomer.io/ are accepted",
            ),
            (
                issued_by("https://auth.astronomer.io"),
                "issued by https://auth.astronomer.io, not by https://auth.astronomer.io/",
            ),
            (
                issued_by("https://evil.example/\u{1b}[2J"),
                "issued by https://evil.example/[2J, not by https://auth.astronomer.io/",
            ),
            (
                JwtError::WrongAudience {
                    found: vec!["one".to_owned(), "two\u{7}".to_owned()],
                    expected: "astronomer-ee".to_owned(),
                }
                .to_string(),
                "made for `one`, `two`, not for `astronomer-ee`",
            ),
            (
                JwtError::Organization { found: None, expected: "org_1".to_owned() }.to_string(),
                "logged in to no organization instead of the organization `org_1`",
            ),
            (
                JwtError::Organization { found: Some("org_2".to_owned()), expected: "org_1".to_owned() }.to_string(),
                "logged in to the organization `org_2` instead of the organization `org_1`",
            ),
            (
                JwtError::Algorithm("none\u{202e}".to_owned()).to_string(),
                "unsupported token algorithm `none`; only `RS256` is accepted",
            ),
            (JwtError::UnknownKey.to_string(), "signed with a key that the issuer does not publish"),
            (JwtError::IdTokenGiven.to_string(), "this is an ID token"),
        ];
        for (said, wanted) in table {
            assert_eq!(said, wanted);
        }
    }

    #[test]
    fn issuer_names_its_domain() {
        let table = [
            ("https://auth.astronomer.io/", Some("astronomer.io")),
            ("https://auth.astronomer-dev.io/", Some("astronomer-dev.io")),
            ("https://astronomer-perf.io/", Some("astronomer-perf.io")),
            ("http://localhost:9000/", Some("localhost:9000")),
            ("http://localhost/", Some("localhost")),
            ("https://auth.astronomer.io:8443/", None),
            ("https://auth.example.com/", None),
            ("https://astronomer-prod.us.auth0.com/", None),
            ("http://127.0.0.1:9000/", None),
            ("auth.astronomer.io", None),
            ("", None),
        ];
        for (issuer, domain) in table {
            assert_eq!(issuer_domain(issuer).map(|domain| domain.to_string()).as_deref(), domain, "{issuer}");
        }
    }
}
