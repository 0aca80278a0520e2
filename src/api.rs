//! The Astro API: who the person is, and which organizations and workspaces are theirs.
//!
//! Lists are read to their end, whatever their length, and a server that contradicts itself about that length gets an
//! error instead of a loop. Names come out safe to print, identifiers fit for a URL and for config.yaml.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use tokio::task::JoinSet;
use tokio::time::timeout;
use url::Url;

use crate::http::{Http, HttpError, Request, host_of};
use crate::text::clean;
use crate::token::AccessToken;

/// The largest page of a list that is read, in bytes.
const PAGE_BYTES: usize = 10 * 1024 * 1024;
const MOST_PAGES: usize = 1000;
/// How many pages of one list are asked for at the same time.
const PAGES_AT_ONCE: usize = 8;

/// The person whom the API knows by the access token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// The e-mail address; may be empty.
    pub email: String,
    /// The name that the person goes by; may be empty.
    pub name: String,
}

/// An organization that the person belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// The API's identifier, which is not the identity provider's.
    pub id: String,
    /// The name that people know.
    pub name: String,
    /// `HOSTED` or `HYBRID`.
    pub product: String,
    /// The e-mail domains that the organization has proved to own, in lower case.
    pub email_domains: Vec<String>,
}

/// A workspace of an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// The API's identifier.
    pub id: String,
    /// The name that people know.
    pub name: String,
}

/// The API of one domain, called as one person.
pub struct ApiClient<'a> {
    http: &'a Http,
    base: &'a Url,
    token: &'a AccessToken,
}

impl<'a> ApiClient<'a> {
    /// An API client that presents `token` to the API at `base`.
    pub fn new(http: &'a Http, base: &'a Url, token: &'a AccessToken) -> Self {
        Self { http, base, token }
    }

    /// The person behind the token; the service creates the user on the first login.
    pub async fn user(&self) -> Result<User, HttpError> {
        let mut url = self.url(&["users", "self"]);
        url.set_query(Some("createIfNotExist=true"));
        let wire: UserWire = self.get("read your Astro user", &url)?.send().await?.success_json()?;
        Ok(User { email: clean(&wire.username, 254), name: clean(&wire.full_name, 200) })
    }

    /// Whether the API takes the token: asks for something that its bearer may read, and changes nothing. Returns the time
    /// by the API's clock, where it told it.
    pub async fn check(&self, path: &[&str]) -> Result<Option<Timestamp>, HttpError> {
        let answer = self.get("check the login", &self.url(path))?.at_most(PAGE_BYTES).send().await?;
        // The page of some portal is not the API's consent.
        let _: IgnoredAny = answer.success_json()?;
        Ok(answer.date())
    }

    /// One organization, or nothing if the person is not (or no longer) a member of it.
    pub async fn organization(&self, id: &str) -> Result<Option<Organization>, HttpError> {
        match self.granted_organization(id).await {
            Ok(organization) => Ok(Some(organization)),
            Err(failure) if matches!(failure.status(), Some(403 | 404)) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// One organization that must be there for the bearer of this token.
    pub async fn granted_organization(&self, id: &str) -> Result<Organization, HttpError> {
        let answer = self.get("read the organization", &self.url(&["organizations", id]))?.send().await?;
        let wire: OrganizationWire = answer.success_json()?;
        Organization::try_from(wire).map_err(|Unusable| answer.not_understood())
    }

    /// Every organization of the person.
    pub async fn organizations(&self) -> Result<Vec<Organization>, ListError> {
        let url = self.url(&["organizations"]);
        self.list::<OrganizationsWire, _>("list your organizations", url, 100).await
    }

    /// Every workspace of an organization that the person may see, by name.
    pub async fn workspaces(&self, organization: &str) -> Result<Vec<Workspace>, ListError> {
        let mut url = self.url(&["organizations", organization, "workspaces"]);
        url.query_pairs_mut().append_pair("sorts", "name:asc");
        self.list::<WorkspacesWire, _>("list the workspaces", url, 1000).await
    }

    async fn list<P, T>(&self, step: &'static str, url: Url, limit: usize) -> Result<Vec<T>, ListError>
    where
        P: Page + DeserializeOwned + Send + 'static,
        T: TryFrom<P::Item, Error = Unusable>,
    {
        let bound = self.http.limits().list;
        let late = || ListError::Late { step, host: host_of(&url), bound };
        timeout(bound, self.every_page::<P, T>(step, &url, limit)).await.unwrap_or_else(|_| Err(late()))
    }

    async fn every_page<P, T>(&self, step: &'static str, url: &Url, limit: usize) -> Result<Vec<T>, ListError>
    where
        P: Page + DeserializeOwned + Send + 'static,
        T: TryFrom<P::Item, Error = Unusable>,
    {
        let ask = |limit: usize, offset: usize| {
            let mut url = url.clone();
            url.query_pairs_mut().append_pair("limit", &limit.to_string()).append_pair("offset", &offset.to_string());
            Ok::<_, HttpError>(read_page::<P>(self.get(step, &url)?.at_most(PAGE_BYTES)))
        };
        let first = ask(limit, 0)?.await?;
        let total = first.total();
        // A server may serve smaller pages than it is asked for, and says so.
        let size = first.limit().filter(|&served| served > 0).map_or(limit, |served| served.min(limit));
        let mut items = first.items();
        let mut page_was_full = items.len() >= size;
        let mut pages = 1;
        while page_was_full {
            // Where the total is known the remaining pages don't wait for each other.
            let left = total.map_or(1, |total| total.saturating_sub(items.len()).div_ceil(size).max(1));
            if pages + left > MOST_PAGES {
                return Err(ListError::Endless { step, pages: MOST_PAGES });
            }
            let mut running = JoinSet::new();
            let now = left.min(PAGES_AT_ONCE);
            for index in 0..now {
                let page = ask(size, items.len() + index * size)?;
                running.spawn(async move { (index, page.await) });
            }
            let mut batch = running.join_all().await;
            batch.sort_by_key(|(index, _)| *index);
            for (_, page) in batch {
                let more = page?.items();
                // A page behind a short one may only be empty; what it holds otherwise is caught by the total.
                page_was_full = more.len() >= size;
                items.extend(more);
            }
            pages += now;
        }
        if let Some(total) = total.filter(|&total| total != items.len()) {
            return Err(ListError::Total { step, said: total, listed: items.len() });
        }
        let understood: Result<Vec<T>, Unusable> = items.into_iter().map(T::try_from).collect();
        understood.map_err(|Unusable| ListError::Unusable { step })
    }

    fn get(&self, step: &'static str, url: &Url) -> Result<Request, HttpError> {
        Ok(identify(self.http.get(step, url)?).bearer(self.token))
    }

    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear().push("v1").extend(segments);
        }
        url
    }
}

/// The identity provider's organization for an e-mail address, if there is exactly one.
///
/// A hint and nothing more: a service that has retired this call, fails or dawdles only means that the identity
/// provider will ask.
pub async fn lookup_organization(http: &Http, base: &Url, email: &str) -> Option<String> {
    #[derive(serde::Serialize)]
    struct Question<'a> {
        email: &'a str,
    }
    #[derive(Deserialize)]
    struct Answer {
        #[serde(rename = "OrganizationIds", alias = "organizationIds", default)]
        ids: Vec<String>,
    }
    let url = base.join("hub/organization-lookup").ok()?;
    let request = identify(http.post("look up your organization", &url).ok()?);
    let answer = request.json(&Question { email }).within(http.limits().lookup).send().await.ok()?;
    match answer.success_json::<Answer>().ok()?.ids.as_slice() {
        [only] => identifier(only.clone()),
        _ => None,
    }
}

/// The headers by which the service knows its command-line clients.
fn identify(request: Request) -> Request {
    request
        .header("x-astro-client-identifier", "cli")
        .header("x-astro-client-version", env!("CARGO_PKG_VERSION"))
        .header("x-client-os-identifier", os_identifier())
}

/// The platform in Go's words, which the service knows.
fn os_identifier() -> &'static str {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "aarch64") => "linux-arm64",
        ("linux", _) => "linux-amd64",
        ("macos", "aarch64") => "darwin-arm64",
        ("macos", _) => "darwin-amd64",
        ("windows", "aarch64") => "windows-arm64",
        ("windows", _) => "windows-amd64",
        _ => "unknown",
    }
}

async fn read_page<P: DeserializeOwned>(request: Request) -> Result<P, HttpError> {
    request.send().await?.success_json()
}

/// A list that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// A request failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The server announced another number of entries than it listed.
    #[error("could not {step}: the API announced {said} entries and listed {listed}")]
    Total {
        /// What was attempted.
        step: &'static str,
        /// The announced number.
        said: usize,
        /// The number that came.
        listed: usize,
    },
    /// The list takes too long as a whole, though each of its pages came in time.
    #[error("could not {step}: {host}: the list was not complete after {} seconds", .bound.as_secs_f32())]
    Late {
        /// What was attempted.
        step: &'static str,
        /// The host, with its port where that is not the usual one.
        host: String,
        /// The bound.
        bound: Duration,
    },
    /// The list does not come to an end.
    #[error("could not {step}: the list does not end within {pages} pages")]
    Endless {
        /// What was attempted.
        step: &'static str,
        /// The bound.
        pages: usize,
    },
    /// An entry has an identifier that cannot be one.
    #[error("could not {step}: the API listed an entry without a usable identifier")]
    Unusable {
        /// What was attempted.
        step: &'static str,
    },
}

#[derive(Debug)]
struct Unusable;

/// Identifiers go into URLs and into config.yaml; the service's are letters and digits.
fn identifier(text: String) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let fits = !text.is_empty() && text.len() <= 128 && text.bytes().all(plain);
    fits.then_some(text)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UserWire {
    #[serde(default)]
    username: String,
    #[serde(default)]
    full_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OrganizationWire {
    id: String,
    #[serde(default)]
    name: String,
    product: Option<String>,
    managed_domains: Option<Vec<ManagedDomainWire>>,
}

#[derive(Deserialize)]
struct ManagedDomainWire {
    name: String,
    status: Option<String>,
}

#[derive(Deserialize)]
struct WorkspaceWire {
    id: String,
    #[serde(default)]
    name: String,
}

impl TryFrom<OrganizationWire> for Organization {
    type Error = Unusable;

    fn try_from(wire: OrganizationWire) -> Result<Self, Unusable> {
        // A domain that somebody has merely claimed says nothing about who belongs there.
        let proved =
            |domain: &ManagedDomainWire| !domain.status.as_ref().is_some_and(|it| it.eq_ignore_ascii_case("pending"));
        let domains = wire.managed_domains.unwrap_or_default();
        Ok(Self {
            id: identifier(wire.id).ok_or(Unusable)?,
            name: clean(&wire.name, 200),
            // The Go CLI's reading of an organization from before there were products.
            product: wire.product.map_or_else(|| "HYBRID".to_owned(), |product| clean(&product, 40)),
            email_domains: domains.iter().filter(|it| proved(it)).map(|it| it.name.to_ascii_lowercase()).collect(),
        })
    }
}

impl TryFrom<WorkspaceWire> for Workspace {
    type Error = Unusable;

    fn try_from(wire: WorkspaceWire) -> Result<Self, Unusable> {
        Ok(Self { id: identifier(wire.id).ok_or(Unusable)?, name: clean(&wire.name, 200) })
    }
}

trait Page {
    type Item;
    fn limit(&self) -> Option<usize>;
    fn total(&self) -> Option<usize>;
    fn items(self) -> Vec<Self::Item>;
}

macro_rules! page {
    ($name:ident, $field:ident, $item:ident) => {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct $name {
            $field: Vec<$item>,
            limit: Option<usize>,
            total_count: Option<usize>,
        }

        impl Page for $name {
            type Item = $item;
            fn limit(&self) -> Option<usize> {
                self.limit
            }
            fn total(&self) -> Option<usize> {
                self.total_count
            }
            fn items(self) -> Vec<$item> {
                self.$field
            }
        }
    };
}

page!(OrganizationsWire, organizations, OrganizationWire);
page!(WorkspacesWire, workspaces, WorkspaceWire);

#[cfg(test)]
mod tests {
    use super::*;

    fn organization(json: &str) -> Organization {
        serde_json::from_str::<OrganizationWire>(json).unwrap().try_into().unwrap()
    }

    #[test]
    fn organization_defaults_to_hybrid_without_pending_domains() {
        let json = r#"{"id": "clk1", "name": "Ac\u001bme", "managedDomains": [
            {"name": "Acme.com", "status": "VERIFIED"}, {"name": "other.com", "status": "PENDING"}, {"name": "x.io"}]}"#;
        let expected = Organization {
            id: "clk1".to_owned(),
            name: "Acme".to_owned(),
            product: "HYBRID".to_owned(),
            email_domains: vec!["acme.com".to_owned(), "x.io".to_owned()],
        };
        assert_eq!(organization(json), expected);
    }

    #[test]
    fn cl_16_unsafe_identifiers_rejected() {
        for bad in ["", "a b", "a\nb", "..", "a/b", "\u{202e}", &"x".repeat(129)] {
            assert_eq!(identifier(bad.to_owned()), None, "{bad:?}");
        }
        assert_eq!(identifier("org_clk-1".to_owned()), Some("org_clk-1".to_owned()));
    }

    #[test]
    fn config_identifier_is_one_path_segment() {
        let http = Http::default();
        let base = Url::parse("https://api.astronomer.io/").unwrap();
        let token = AccessToken::new("t");
        let url = ApiClient::new(&http, &base, &token).url(&["organizations", "a/../b?c#d"]);
        assert_eq!(url.as_str(), "https://api.astronomer.io/v1/organizations/a%2F..%2Fb%3Fc%23d");
    }
}
