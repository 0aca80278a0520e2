//! The domain of an Astro installation.
//!
//! A [`Domain`] can only be made by parsing, so its value always names an Astro domain, a preview of one, or a development
//! server on this machine.

use std::fmt;
use std::str::FromStr;

use url::Url;

use crate::text::{NOT_SHOWN, clean, may_be_secret};

/// The domain of a login if nothing names another.
pub const DEFAULT: &str = "astronomer.io";

const ASTRO: [&str; 4] = ["astronomer.io", "astronomer-dev.io", "astronomer-stage.io", "astronomer-perf.io"];

const PREVIEWS_UNDER: &str = "astronomer-dev.io";

/// The API port of `localhost` without a port.
const LOCAL_API_PORT: u16 = 8888;

/// An Astro domain, normalized: `astronomer.io`, `pr1234.astronomer-dev.io`, `localhost` or `localhost:8888`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Domain {
    name: String,
    kind: Kind,
    api: Url,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Astro { base: &'static str },
    Local { port: Option<u16> },
}

impl Kind {
    fn owns_host(self, host: &str) -> bool {
        match self {
            Self::Local { .. } => is_loopback(host),
            Self::Astro { base } => host == base || host.strip_suffix(base).is_some_and(|rest| rest.ends_with('.')),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{understood}` is not an Astro domain")]
pub struct DomainError {
    /// The normalized text: without scheme, `cloud.` and trailing slash, in lower case, safe to print.
    pub understood: String,
}

impl Domain {
    pub fn as_str(&self) -> &str {
        &self.name
    }

    pub fn api_base(&self) -> &Url {
        &self.api
    }

    /// Returns the key of this domain's context in config.yaml: with underscores for dots, as in the Go CLI.
    pub fn context_key(&self) -> String {
        self.name.replace('.', "_")
    }

    /// Returns `true` for a development server on this machine, the only server that may use plain http.
    pub fn is_local(&self) -> bool {
        matches!(self.kind, Kind::Local { .. })
    }

    /// Returns the port after `localhost:`. Such a server accepts any redirect URI, so the callback may use any port.
    pub fn local_port(&self) -> Option<u16> {
        match self.kind {
            Kind::Local { port } => port,
            Kind::Astro { .. } => None,
        }
    }

    /// Returns `true` if `host` belongs to this domain: its registrable domain or a name below that. For a development
    /// server: a loopback name.
    pub fn owns_host(&self, host: &str) -> bool {
        self.kind.owns_host(host)
    }

    fn new(name: String, kind: Kind, api: &str) -> Option<Self> {
        Some(Self { name, kind, api: Url::parse(api).ok()? })
    }
}

impl FromStr for Domain {
    type Err = DomainError;

    /// Accepts any case, a leading `https://` and `cloud.`, and one trailing slash.
    fn from_str(typed: &str) -> Result<Self, DomainError> {
        let folded = typed.trim().to_ascii_lowercase();
        let name = folded.strip_prefix("https://").unwrap_or(&folded);
        let name = name.strip_suffix('/').unwrap_or(name);
        parse_local(name)
            .or_else(|| parse_astro(name.strip_prefix("cloud.").unwrap_or(name)))
            .or_else(|| parse_preview(name))
            .ok_or_else(|| DomainError {
                understood: if may_be_secret(typed) { NOT_SHOWN.to_owned() } else { clean(name, 100) },
            })
    }
}

fn parse_astro(name: &str) -> Option<Domain> {
    let base = *ASTRO.iter().find(|known| **known == name)?;
    Domain::new(base.to_owned(), Kind::Astro { base }, &format!("https://api.{base}/"))
}

fn parse_preview(name: &str) -> Option<Domain> {
    let (label, under) = name.split_once('.')?;
    if under.strip_prefix("cloud.").unwrap_or(under) != PREVIEWS_UNDER {
        return None;
    }
    let number = label.strip_prefix("pr")?;
    if !(4..=6).contains(&number.len()) || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let name = format!("{label}.{PREVIEWS_UNDER}");
    Domain::new(name, Kind::Astro { base: PREVIEWS_UNDER }, &format!("https://{label}.api.{PREVIEWS_UNDER}/"))
}

fn parse_local(name: &str) -> Option<Domain> {
    let rest = name.strip_prefix("localhost")?;
    let port = if rest.is_empty() {
        None
    } else {
        // `u16::from_str` accepts a leading plus sign and leading zeros, which would give one server two names.
        let digits = rest.strip_prefix(':').filter(|digits| !digits.starts_with(['0', '+']))?;
        Some(digits.parse().ok()?)
    };
    let api = format!("http://localhost:{}/", port.unwrap_or(LOCAL_API_PORT));
    Domain::new(name.to_owned(), Kind::Local { port }, &api)
}

/// Returns `true` for a host of some Astro domain, or of this machine.
pub fn is_known_host(host: &str) -> bool {
    is_loopback(host) || ASTRO.into_iter().any(|base| Kind::Astro { base }.owns_host(host))
}

/// Returns `true` for the three loopback names in a URL.
pub fn is_loopback(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Domain({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(typed: &str) -> (String, String) {
        let domain: Domain = typed.parse().unwrap();
        (domain.as_str().to_owned(), domain.api_base().to_string())
    }

    #[test]
    fn domain_accepts_common_spellings() {
        let table = [
            ("astronomer.io", "astronomer.io", "https://api.astronomer.io/"),
            ("  HTTPS://Cloud.Astronomer.IO/ ", "astronomer.io", "https://api.astronomer.io/"),
            ("astronomer-stage.io", "astronomer-stage.io", "https://api.astronomer-stage.io/"),
            ("cloud.astronomer-perf.io", "astronomer-perf.io", "https://api.astronomer-perf.io/"),
            ("pr1234.astronomer-dev.io", "pr1234.astronomer-dev.io", "https://pr1234.api.astronomer-dev.io/"),
            (
                "pr123456.cloud.astronomer-dev.io",
                "pr123456.astronomer-dev.io",
                "https://pr123456.api.astronomer-dev.io/",
            ),
            ("localhost", "localhost", "http://localhost:8888/"),
            ("localhost:9000", "localhost:9000", "http://localhost:9000/"),
        ];
        for (typed, name, api) in table {
            assert_eq!(parsed(typed), (name.to_owned(), api.to_owned()), "{typed}");
        }
    }

    #[test]
    fn other_domain_rejected_with_parsed_host() {
        let table = [
            ("", ""),
            ("example.com", "example.com"),
            ("astronomer.io.evil.com", "astronomer.io.evil.com"),
            ("evil-astronomer.io", "evil-astronomer.io"),
            ("http://astronomer.io", "http://astronomer.io"),
            ("pr123.astronomer-dev.io", "pr123.astronomer-dev.io"),
            ("pr1234567.astronomer-dev.io", "pr1234567.astronomer-dev.io"),
            ("pr1234.astronomer.io", "pr1234.astronomer.io"),
            ("astronomer.io/path", "astronomer.io/path"),
            ("astronomer.io:443", "astronomer.io:443"),
            ("user@astronomer.io", "user@astronomer.io"),
            ("localhost:0", "localhost:0"),
            ("localhost:080", "localhost:080"),
            ("localhost:65536", "localhost:65536"),
            ("localhost:+80", "localhost:+80"),
            ("Cloud.Example.com/", "cloud.example.com"),
            ("a\u{1b}[31mb\u{202e}", "a[31mb"),
        ];
        for (typed, understood) in table {
            let refused = typed.parse::<Domain>().unwrap_err();
            assert_eq!(refused, DomainError { understood: understood.to_owned() }, "{typed:?}");
        }
    }

    #[test]
    fn ar_18_host_belongs_to_registrable_domain() {
        let preview: Domain = "pr1234.astronomer-dev.io".parse().unwrap();
        assert!(preview.owns_host("auth.astronomer-dev.io"));
        assert!(preview.owns_host("astronomer-dev.io"));
        assert!(!preview.owns_host("auth.astronomer.io"));
        assert!(!preview.owns_host("evilastronomer-dev.io"));
        assert!(!preview.owns_host("localhost"));
        let local: Domain = "localhost:9000".parse().unwrap();
        assert!(local.owns_host("127.0.0.1"));
        assert!(local.owns_host("[::1]"));
        assert!(!local.owns_host("10.0.0.1"));
    }

    #[test]
    fn context_keys_match_go_cli() {
        assert_eq!("pr1234.astronomer-dev.io".parse::<Domain>().unwrap().context_key(), "pr1234_astronomer-dev_io");
        assert_eq!("localhost:9000".parse::<Domain>().unwrap().context_key(), "localhost:9000");
    }
}
