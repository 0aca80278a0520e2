//! The Astro API: the user, their organizations and their workspaces.
//!
//! Lists are read to the end, and a server that contradicts itself about their length gets an error instead of a loop.
//! Names are cleaned for printing; identifiers are safe in a URL and in config.yaml.

mod list;

use jiff::Timestamp;
use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};
use url::Url;

use crate::http::{Http, HttpError, Request};
use crate::text::clean;
use crate::token::AccessToken;

pub use list::{ListError, MAX_PAGES};

/// The largest page of a list, in bytes.
const PAGE_BYTES: usize = 10 * 1024 * 1024;

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct User {
    #[serde(default, rename = "username", deserialize_with = "cleaned::<254, _>")]
    pub email: String,
    #[serde(default, rename = "fullName", deserialize_with = "cleaned::<200, _>")]
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "OrganizationWire")]
pub struct Organization {
    pub id: String,
    pub name: String,
    /// `HOSTED` or `HYBRID`.
    pub product: String,
    /// The verified email domains, in lower case.
    #[serde(skip_serializing)]
    pub email_domains: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Workspace {
    #[serde(deserialize_with = "identified")]
    pub id: String,
    /// Astro Private Cloud calls it a label.
    #[serde(default, alias = "label", deserialize_with = "cleaned::<200, _>")]
    pub name: String,
}

pub struct ApiClient<'a> {
    http: &'a Http,
    base: &'a Url,
    token: &'a AccessToken,
}

impl<'a> ApiClient<'a> {
    pub fn new(http: &'a Http, base: &'a Url, token: &'a AccessToken) -> Self {
        Self { http, base, token }
    }

    /// Reads the user. The API creates the user on the first login.
    pub async fn user(&self) -> Result<User, HttpError> {
        let mut url = self.url(&["users", "self"]);
        url.set_query(Some("createIfNotExist=true"));
        self.get("read your Astro user", &url)?.send().await?.success_json()
    }

    /// Checks that the API accepts the token, by reading `path`. Returns the time of the API's clock.
    pub async fn check(&self, path: &[&str]) -> Result<Option<Timestamp>, HttpError> {
        let response = self.get("check the login", &self.url(path))?.at_most(PAGE_BYTES).send().await?;
        // The HTML page of a captive portal is not the API's consent.
        let _: IgnoredAny = response.success_json()?;
        Ok(response.date())
    }

    /// Reads one organization. Returns `None` if the user is not a member of it.
    pub async fn organization(&self, id: &str) -> Result<Option<Organization>, HttpError> {
        match self.granted_organization(id).await {
            Ok(organization) => Ok(Some(organization)),
            Err(failure) if matches!(failure.status(), Some(403 | 404)) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Reads one organization, to which the token must give access.
    pub async fn granted_organization(&self, id: &str) -> Result<Organization, HttpError> {
        self.get("read the organization", &self.url(&["organizations", id]))?.send().await?.success_json()
    }

    pub async fn organizations(&self) -> Result<Vec<Organization>, ListError> {
        self.list("list your organizations", self.url(&["organizations"]), 100).await
    }

    /// Lists the workspaces of an organization that the user can read, sorted by name.
    pub async fn workspaces(&self, organization: &str) -> Result<Vec<Workspace>, ListError> {
        let mut url = self.url(&["organizations", organization, "workspaces"]);
        url.query_pairs_mut().append_pair("sorts", "name:asc");
        self.list("list the workspaces", url, 1000).await
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

/// Looks up the issuer's organization for an email address. Returns it if there is exactly one.
///
/// Only a hint: after any failure, or after 1.5 seconds, the login page asks instead.
pub async fn lookup_organization(http: &Http, base: &Url, email: &str) -> Option<String> {
    #[derive(serde::Serialize)]
    struct Query<'a> {
        email: &'a str,
    }
    #[derive(Deserialize)]
    struct Found {
        #[serde(rename = "OrganizationIds", alias = "organizationIds", default)]
        ids: Vec<String>,
    }
    let url = base.join("hub/organization-lookup").ok()?;
    let request = identify(http.post("look up your organization", &url).ok()?);
    let response = request.json(&Query { email }).within(http.limits().lookup).send().await.ok()?;
    match response.success_json::<Found>().ok()?.ids.as_slice() {
        [only] => identifier(only.clone()).ok(),
        _ => None,
    }
}

fn identify(request: Request) -> Request {
    request
        .header("x-astro-client-identifier", "cli")
        .header("x-astro-client-version", env!("CARGO_PKG_VERSION"))
        .header("x-client-os-identifier", os_identifier())
}

/// Returns Go's name of this platform, which the API expects.
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

/// Rejects identifiers that are unsafe in a URL or in config.yaml. The API's consist of letters and digits.
fn identifier(text: String) -> Result<String, &'static str> {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let valid = !text.is_empty() && text.len() <= 128 && text.bytes().all(is_safe);
    if valid { Ok(text) } else { Err("invalid identifier") }
}

fn identified<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    identifier(String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// Reads a text of at most `MOST` characters, safe to print.
fn cleaned<'de, const MOST: usize, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::deserialize(deserializer).map(|text| clean(&text, MOST))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OrganizationWire {
    #[serde(deserialize_with = "identified")]
    id: String,
    #[serde(default, deserialize_with = "cleaned::<200, _>")]
    name: String,
    product: Option<String>,
    managed_domains: Option<Vec<ManagedDomainWire>>,
}

#[derive(Deserialize)]
struct ManagedDomainWire {
    name: String,
    status: Option<String>,
}

impl From<OrganizationWire> for Organization {
    fn from(wire: OrganizationWire) -> Self {
        // A pending domain is claimed but not verified.
        let verified =
            |domain: &ManagedDomainWire| !domain.status.as_ref().is_some_and(|it| it.eq_ignore_ascii_case("pending"));
        let domains = wire.managed_domains.unwrap_or_default();
        Self {
            id: wire.id,
            name: wire.name,
            // The Go CLI's default, for organizations older than the field.
            product: wire.product.map_or_else(|| "HYBRID".to_owned(), |product| clean(&product, 40)),
            email_domains: domains.iter().filter(|it| verified(it)).map(|it| it.name.to_ascii_lowercase()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_product_is_hybrid_pending_domains_do_not_count() {
        let json = r#"{"id": "clk1", "name": "Ac\u001bme", "managedDomains": [
            {"name": "Acme.com", "status": "VERIFIED"}, {"name": "other.com", "status": "PENDING"}, {"name": "x.io"}]}"#;
        let expected = Organization {
            id: "clk1".to_owned(),
            name: "Acme".to_owned(),
            product: "HYBRID".to_owned(),
            email_domains: vec!["acme.com".to_owned(), "x.io".to_owned()],
        };
        assert_eq!(serde_json::from_str::<Organization>(json).unwrap(), expected);
    }

    #[test]
    fn identifiers_that_could_do_harm_are_refused() {
        for bad in ["", "a b", "a\nb", "..", "a/b", "\u{202e}", &"x".repeat(129)] {
            assert!(identifier(bad.to_owned()).is_err(), "{bad:?}");
            let json = serde_json::json!({ "id": bad });
            assert!(Organization::deserialize(&json).is_err(), "{bad:?}");
            assert!(Workspace::deserialize(&json).is_err(), "{bad:?}");
        }
        assert_eq!(identifier("org_clk-1".to_owned()).as_deref(), Ok("org_clk-1"));
    }

    #[test]
    fn identifiers_from_the_config_file_stay_one_path_segment() {
        let http = Http::default();
        let base = Url::parse("https://api.astronomer.io/").unwrap();
        let token = AccessToken::new("t");
        let url = ApiClient::new(&http, &base, &token).url(&["organizations", "a/../b?c#d"]);
        assert_eq!(url.as_str(), "https://api.astronomer.io/v1/organizations/a%2F..%2Fb%3Fc%23d");
    }
}
