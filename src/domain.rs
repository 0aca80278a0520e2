//! The domain of a login, and the product that it belongs to.
//!
//! A [`Domain`] can only be made by parsing, so its value always names an Astro domain, a preview of one, a development
//! server on this machine, or the base domain of an Astro Private Cloud. Only the parser decides which.

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

/// The hosts of an Astro Private Cloud below its base domain, one of which a person may type.
const PLATFORM_HOSTS: [&str; 3] = ["app.", "houston.", "registry."];

/// The longest name of a host (RFC 1035 section 2.3.4), less the longest of [`PLATFORM_HOSTS`].
const LONGEST_BASE: usize = 253 - "registry.".len();

/// A domain, normalized: `astronomer.io`, `pr1234.astronomer-dev.io`, `localhost`, `localhost:8888`, or the base domain of an
/// Astro Private Cloud.
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
    PrivateCloud,
}

/// The product that a domain belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Product {
    #[default]
    Astro,
    PrivateCloud,
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Astro => "Astro",
            Self::PrivateCloud => "Astro Private Cloud",
        })
    }
}

/// The reason why text names no domain. The texts are normalized and safe to print.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    #[error("`{0}` is not a domain")]
    NotADomain(String),
    #[error("`{0}` is not a domain: it has no dot")]
    NoDot(String),
    /// A name under an Astro domain that is none.
    #[error("`{0}` is not an Astro domain")]
    NotAstro(String),
    #[error("`{typed}` looks like a misspelled {meant}")]
    Misspelled { typed: String, meant: &'static str },
    #[error("`{typed}` is the address of a page, not a domain")]
    Page { typed: String, domain: String },
}

impl Domain {
    pub fn as_str(&self) -> &str {
        &self.name
    }

    pub fn api_base(&self) -> &Url {
        &self.api
    }

    /// Returns the address of the page that shows a user a token.
    pub fn token_page(&self) -> String {
        match self.product() {
            Product::Astro => format!("cloud.{DEFAULT}/token"),
            Product::PrivateCloud => format!("app.{}/token", self.name),
        }
    }

    /// Returns the key of this domain's context in config.yaml: with underscores for dots, as in the Go CLI.
    pub fn context_key(&self) -> String {
        self.name.replace('.', "_")
    }

    pub fn product(&self) -> Product {
        match self.kind {
            Kind::Astro { .. } | Kind::Local { .. } => Product::Astro,
            Kind::PrivateCloud => Product::PrivateCloud,
        }
    }

    /// Returns `true` for a development server on this machine, the only server that may use plain http.
    pub fn is_local(&self) -> bool {
        matches!(self.kind, Kind::Local { .. })
    }

    /// Returns the port after `localhost:`. Such a server accepts any redirect URI, so the callback may use any port.
    pub fn local_port(&self) -> Option<u16> {
        match self.kind {
            Kind::Local { port } => port,
            Kind::Astro { .. } | Kind::PrivateCloud => None,
        }
    }

    /// Returns `true` if `host` belongs to this domain: its registrable domain or a name below that. For a development
    /// server: a loopback name.
    pub fn owns_host(&self, host: &str) -> bool {
        match self.kind {
            Kind::Local { .. } => is_loopback(host),
            Kind::Astro { base } => is_within(host, base),
            Kind::PrivateCloud => is_within(host, &self.name),
        }
    }

    fn new(name: String, kind: Kind, api: &str) -> Option<Self> {
        Some(Self { name, kind, api: Url::parse(api).ok()? })
    }
}

impl FromStr for Domain {
    type Err = DomainError;

    /// Accepts any case, a leading `https://` and `cloud.`, and one trailing slash; for Astro Private Cloud also a port.
    fn from_str(typed: &str) -> Result<Self, DomainError> {
        let folded = typed.trim().to_ascii_lowercase();
        let name = folded.strip_prefix("https://").unwrap_or(&folded);
        let name = name.strip_suffix('/').unwrap_or(name);
        parse_local(name)
            .or_else(|| parse_astro(name.strip_prefix("cloud.").unwrap_or(name)))
            .or_else(|| parse_preview(name))
            .map_or_else(|| parse_private_cloud(name, &shown(typed, name)), Ok)
    }
}

fn shown(typed: &str, name: &str) -> String {
    let has_password = name.split_once('@').is_some_and(|(user, _)| user.contains(':'));
    if has_password || may_be_secret(typed) { NOT_SHOWN.to_owned() } else { clean(name, 100) }
}

/// Returns the domain that typed text stands for: of a short name of the Go CLI, such as `stage` or `pr1234`, or of a host of an
/// Astro Private Cloud. Other text is returned as it is.
pub fn expand_typed(typed: &str) -> String {
    let name = typed.trim().to_ascii_lowercase();
    match name.as_str() {
        "prod" => DEFAULT.to_owned(),
        "stage" | "dev" => format!("astronomer-{name}.io"),
        label if is_preview(label) => format!("{label}.{PREVIEWS_UNDER}"),
        _ => base_of_host(&name).unwrap_or(typed).to_owned(),
    }
}

fn base_of_host(name: &str) -> Option<&str> {
    let address = name.strip_prefix("https://").or(name.strip_prefix("http://")).unwrap_or(name);
    let base = PLATFORM_HOSTS.iter().find_map(|host| address.strip_prefix(host))?;
    base.split(['/', ':']).next().is_some_and(|base| base.contains('.')).then_some(base)
}

fn is_preview(label: &str) -> bool {
    let number = label.strip_prefix("pr").unwrap_or_default();
    (4..=6).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
}

fn parse_astro(name: &str) -> Option<Domain> {
    let base = *ASTRO.iter().find(|known| **known == name)?;
    Domain::new(base.to_owned(), Kind::Astro { base }, &format!("https://api.{base}/"))
}

fn parse_preview(name: &str) -> Option<Domain> {
    let (label, under) = name.split_once('.')?;
    if under.strip_prefix("cloud.").unwrap_or(under) != PREVIEWS_UNDER || !is_preview(label) {
        return None;
    }
    let name = format!("{label}.{PREVIEWS_UNDER}");
    Domain::new(name, Kind::Astro { base: PREVIEWS_UNDER }, &format!("https://{label}.api.{PREVIEWS_UNDER}/"))
}

/// Reads the base domain of an Astro Private Cloud. Rejects what is more likely a slip: `typed` as it is shown.
fn parse_private_cloud(name: &str, typed: &str) -> Result<Domain, DomainError> {
    let address = name.strip_prefix("http://").unwrap_or(name);
    if let Some((host, _)) = address.split_once(['/', '?', '#']) {
        let domain: Domain = host.parse().map_err(|_| DomainError::NotADomain(typed.to_owned()))?;
        return Err(DomainError::Page { typed: typed.to_owned(), domain: domain.to_string() });
    }
    let base = match address.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) | None => address,
    };
    if !is_host_name(base) || base == "localhost" {
        return Err(DomainError::NotADomain(typed.to_owned()));
    }
    if ASTRO.iter().any(|astro| is_within(base, astro)) {
        return Err(DomainError::NotAstro(typed.to_owned()));
    }
    let mut labels = base.rsplitn(3, '.');
    let (Some(top), Some(below)) = (labels.next(), labels.next()) else {
        return Err(DomainError::NoDot(typed.to_owned()));
    };
    if let Some(meant) = ASTRO.into_iter().find(|astro| is_one_edit(&format!("{below}.{top}"), astro)) {
        return Err(DomainError::Misspelled { typed: typed.to_owned(), meant });
    }
    let domain = Domain::new(base.to_owned(), Kind::PrivateCloud, &format!("https://houston.{base}/v1"));
    domain.ok_or_else(|| DomainError::NotADomain(typed.to_owned()))
}

/// Returns `true` for labels of letters, digits and hyphens, the last of which is no number (RFC 1123 section 2.1).
fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len()) && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    let top = name.rsplit('.').next().unwrap_or_default();
    name.len() <= LONGEST_BASE && name.split('.').all(is_label) && top.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Returns `true` if the texts differ by one character more, less or other, or by two that are swapped.
fn is_one_edit(one: &str, other: &str) -> bool {
    let same = one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
    let (one, other) = (&one.as_bytes()[same..], &other.as_bytes()[same..]);
    match (one, other) {
        ([a, b, one @ ..], [c, d, other @ ..]) if (a, b) == (d, c) && one == other => true,
        ([_, one_rest @ ..], [_, other_rest @ ..]) => one_rest == other_rest || one_rest == other || one == other_rest,
        (one, other) => one.len() + other.len() == 1,
    }
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
    is_loopback(host) || ASTRO.into_iter().any(|base| is_within(host, base))
}

/// Returns `true` for `base` and for every name below it.
fn is_within(host: &str, base: &str) -> bool {
    host.strip_suffix(base).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
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
mod tests;
