//! The accounts and options of the test service.

use std::time::Duration;

/// The options of the service. [`Service::set`] changes them while it runs.
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
#[derive(Debug, Clone)]
pub struct Options {
    /// The port to listen on; 0 takes any free one. Only looked at when the service starts.
    pub port: u16,
    /// The issuer's name, with its slash, where it is reached by another name than `http://localhost:PORT/`.
    pub issuer: Option<String>,
    pub now: Option<i64>,
    pub delay: Duration,
    /// The lifetime of access tokens, in seconds.
    pub token_lifetime: i64,
    /// Whether a refresh token is single-use. A replay then revokes its whole family.
    pub rotation: bool,
    /// The seconds after a rotation in which the previous refresh token may be spent again, because the response may be
    /// lost.
    pub overlap: i64,
    /// Whether the callback carries `iss` and the metadata announce it (RFC 9207).
    pub iss_in_callback: bool,
    /// The index of the signing key: 0 or 1.
    pub signing_key: usize,
    /// Key 1 is in the key set once this many fetches have been answered without it.
    pub second_key_after: usize,
    /// Whether the API refuses requests without the headers of the Astro CLI, as those of curl.
    pub demands_client: bool,
    /// A cookie that every answer sets.
    pub cookie: Option<String>,
    /// Whether every page of a list is full, at any offset.
    pub endless_pages: bool,
    pub people: Vec<Person>,
    pub organizations: Vec<Organization>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub sub: String,
    pub email: String,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    pub id: String,
    pub auth0_id: String,
    pub name: String,
    /// `HOSTED`, `HYBRID`, or not told.
    pub product: Option<&'static str>,
    pub managed_domains: Vec<String>,
    pub workspaces: Vec<Workspace>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    pub id: String,
    pub name: String,
}

impl Person {
    pub fn new(email: &str) -> Self {
        let mut name = email.split('@').next().unwrap_or_default().to_owned();
        if let Some(first) = name.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        Self { sub: format!("auth0|{}", email.to_lowercase()), email: email.to_owned(), name }
    }
}

impl Organization {
    /// The `number`th organization, called `name`, with one workspace for each of `workspaces`.
    pub fn new(number: usize, name: &str, workspaces: &[&str]) -> Self {
        let workspace = |(index, name): (usize, &&str)| {
            let id = format!("clws{number:05}{:016}", index + 1);
            Workspace { id, name: (*name).to_owned() }
        };
        Self {
            id: format!("clorg{number:020}"),
            auth0_id: format!("org_{number:016}"),
            name: name.to_owned(),
            product: Some("HOSTED"),
            managed_domains: Vec::new(),
            workspaces: workspaces.iter().enumerate().map(workspace).collect(),
        }
    }
}

impl Default for Options {
    /// Ada and Grace, two organizations, three workspaces. The first organization owns Ada's email domain.
    fn default() -> Self {
        let mut engines = Organization::new(1, "Analytical Engines", &["Difference Engine", "Punched Cards"]);
        engines.managed_domains = vec!["example.com".to_owned()];
        Self {
            port: 0,
            issuer: None,
            now: None,
            delay: Duration::ZERO,
            token_lifetime: 86_400,
            rotation: true,
            overlap: 0,
            iss_in_callback: false,
            signing_key: 0,
            second_key_after: usize::MAX,
            demands_client: true,
            cookie: None,
            endless_pages: false,
            people: vec![
                Person { name: "Ada Lovelace".to_owned(), ..Person::new("ada@example.com") },
                Person { name: "Grace Hopper".to_owned(), ..Person::new("grace@example.org") },
            ],
            organizations: vec![engines, Organization::new(2, "Compilers", &["Flow-Matic"])],
        }
    }
}

impl Options {
    /// `count` organizations without an email domain, each with `workspaces` workspaces.
    pub fn organizations(mut self, count: usize, workspaces: usize) -> Self {
        let names: Vec<String> = (1..=workspaces).map(|n| format!("Workspace {n:05}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let organization = |n| Organization::new(n, &format!("Organization {n:05}"), &names);
        self.organizations = (1..=count).map(organization).collect();
        self
    }
}
