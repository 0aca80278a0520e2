//! The API of an Astro Private Cloud, named Houston: GraphQL, with the bare token in the `Authorization` header.
//!
//! Answers are typed, and so are refusals. Houston tells most of them apart by their message alone, so this is the one module
//! that compares messages: those that the Go CLI gives a meaning.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::timeout;
use url::Url;

use crate::api::{ListError, MAX_PAGES, Workspace};
use crate::http::{Fault, Http, HttpError, host_of};
use crate::text::{NOT_SHOWN, clean};
use crate::time_format::format_relative;
use crate::token::{AccessToken, Password};

const PAGE_SIZE: usize = 100;
/// The largest response, in bytes: all workspaces of an older platform are one.
const BODY_LIMIT: usize = 10 * 1024 * 1024;

/// A query of one field. The step completes the sentence "could not …".
struct Query {
    step: &'static str,
    field: &'static str,
    text: &'static str,
}

const LOGIN_SETTINGS: Query = Query {
    step: "ask for the ways to log in",
    field: "authConfig",
    text: "query authConfig($redirect: String) { authConfig(redirect: $redirect) { localEnabled providers { name } } }",
};
const CREATE_TOKEN: Query = Query {
    step: "log in with the password",
    field: "createToken",
    text: "mutation createToken($identity: String, $password: String!) \
           { createToken(identity: $identity, password: $password) { token { value } } }",
};
const VERSION: Query =
    Query { step: "ask for the version", field: "appConfig", text: "query AppConfig { appConfig { version } }" };
const WORKSPACES: Query =
    Query { step: "list the workspaces", field: "workspaces", text: "query GetWorkspaces { workspaces { id label } }" };
const PAGE: Query = Query {
    step: "list the workspaces",
    field: "paginatedWorkspaces",
    text: "query paginatedWorkspaces($pageSize: Int, $pageNumber: Int) \
           { paginatedWorkspaces(take: $pageSize, pageNumber: $pageNumber) { id label } }",
};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HoustonError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    List(#[from] ListError),
    /// The first request of a login failed in a way that another kind of server would explain.
    #[error("no Astro Private Cloud responds at {}: {}", .0.host, .0.fault)]
    NoPlatform(HttpError),
    #[error("could not {step}: {host} sent a web page")]
    WebPage { step: &'static str, host: String },
    #[error("{host} refused the token, which may have expired or been revoked")]
    TokenRefused { host: String },
    #[error("could not {step}: {host} has another schema ({message})")]
    Schema { step: &'static str, host: String, message: String },
    #[error("could not {step}: {host}: {message}")]
    Failed { step: &'static str, host: String, message: String },
    #[error("{host} refused the user name or the password ({message})")]
    PasswordRefused { host: String, message: String },
    #[error("the password is empty")]
    EmptyPassword,
    #[error("the platform has no logins with a user name and a password")]
    NoPasswords,
    #[error("the platform has no logins in the browser")]
    NoProviders,
    #[error("this is a token of Astro, not of Astro Private Cloud")]
    AstroToken,
    #[error("the token expired {}", format_relative(*.at, *.now))]
    Expired { at: Timestamp, now: Timestamp },
    #[error("cannot log in interactively: no terminal")]
    NoTerminal,
}

/// The ways to log in to a platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginSettings {
    pub has_passwords: bool,
    /// Whether the platform has a page that shows a token after a login in the browser.
    pub has_providers: bool,
}

/// A platform that accepted a token, and the workspaces that the token can see.
#[derive(Debug, PartialEq, Eq)]
pub struct Platform {
    version: Option<Version>,
    pub workspaces: Vec<Workspace>,
}

/// The version without its patch level and suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32);

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.trim().trim_start_matches('v').split(['.', '-', '+']).map(|it| it.parse().ok());
        Some(Self(numbers.next()??, numbers.next()??))
    }
}

impl Platform {
    /// Returns `true` for a platform whose registry wants a login of its own.
    pub fn has_registry(&self) -> bool {
        self.version.is_some_and(|version| version < Version(1, 0))
    }
}

pub struct Houston<'a> {
    http: &'a Http,
    api: Url,
}

#[derive(Deserialize)]
struct Answer<T> {
    data: Option<HashMap<String, T>>,
    errors: Option<Vec<Refusal>>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    message: String,
}

impl<'a> Houston<'a> {
    pub fn new(http: &'a Http, api: Url) -> Self {
        Self { http, api }
    }

    /// Asks for the ways to log in. Carries no token: an expired one would be refused here as well.
    pub async fn login_settings(&self) -> Result<LoginSettings, HoustonError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct AuthConfig {
            local_enabled: Option<bool>,
            providers: Option<Vec<IgnoredAny>>,
        }
        let asked = self.ask::<AuthConfig>(&LOGIN_SETTINGS, None, ()).await;
        let AuthConfig { local_enabled, providers } = asked.map_err(HoustonError::or_no_platform)?;
        Ok(LoginSettings {
            has_passwords: local_enabled.unwrap_or_default(),
            has_providers: providers.is_some_and(|providers| !providers.is_empty()),
        })
    }

    pub async fn create_token(&self, identity: &str, password: &Password) -> Result<AccessToken, HoustonError> {
        #[derive(Serialize)]
        struct Variables<'a> {
            identity: &'a str,
            password: &'a str,
        }
        #[derive(Deserialize)]
        struct Created {
            token: Token,
        }
        #[derive(Deserialize)]
        struct Token {
            value: AccessToken,
        }
        let variables = Variables { identity, password: password.expose() };
        match self.ask::<Created>(&CREATE_TOKEN, None, variables).await {
            Ok(created) => Ok(created.token.value),
            Err(HoustonError::Failed { host, message, .. }) => {
                let repeats_password = message.contains(password.expose().trim());
                let message = if repeats_password { "reason not shown".to_owned() } else { message };
                Err(HoustonError::PasswordRefused { host, message })
            }
            Err(HoustonError::Http(HttpError {
                host, fault: fault @ Fault::Status { status: 401 | 403, .. }, ..
            })) => Err(HoustonError::PasswordRefused { host, message: fault.to_string() }),
            Err(failure) => Err(failure),
        }
    }

    /// Asks for the version and the workspaces. The platform accepts the token if it answers.
    pub async fn platform(&self, token: &AccessToken) -> Result<Platform, HoustonError> {
        let version = self.version(token).await?;
        // An unknown version counts as the newest.
        let is_paged = version.is_none_or(|version| version >= Version(0, 30));
        let page = async |number: usize| {
            self.ask(&PAGE, Some(token), json!({ "pageSize": PAGE_SIZE, "pageNumber": number })).await
        };
        let workspaces = if is_paged {
            let bound = self.http.limits().list;
            let late = ListError::Late { step: PAGE.step, host: self.host(), bound };
            timeout(bound, all_pages(page)).await.unwrap_or_else(|_| Err(late.into()))?
        } else {
            self.ask(&WORKSPACES, Some(token), ()).await?
        };
        Ok(Platform { version, workspaces })
    }

    async fn version(&self, token: &AccessToken) -> Result<Option<Version>, HoustonError> {
        #[derive(Deserialize)]
        struct AppConfig {
            version: String,
        }
        match self.ask::<AppConfig>(&VERSION, Some(token), ()).await {
            Ok(config) => Ok(Version::parse(&config.version)),
            Err(HoustonError::Schema { .. } | HoustonError::Failed { .. }) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        query: &Query,
        token: Option<&AccessToken>,
        variables: impl Serialize,
    ) -> Result<T, HoustonError> {
        #[derive(Serialize)]
        struct Question<V> {
            query: &'static str,
            variables: V,
        }
        let (step, host) = (query.step, self.host());
        let request = self.http.post(step, &self.api)?.json(&Question { query: query.text, variables });
        let request = request.header("accept", "application/json").at_most(BODY_LIMIT);
        let request = if let Some(token) = token { request.bare_token(token) } else { request };
        let response = request.send().await?;
        // A refused query has status 400 in some versions, so its message counts before the status.
        if let Ok(Answer { errors: Some(errors), .. }) = response.json::<Answer<IgnoredAny>>()
            && let Some(Refusal { message }) = errors.first()
        {
            return Err(HoustonError::of_message(step, host, message, token));
        }
        match response.success_json::<Answer<T>>() {
            Ok(Answer { data, .. }) => {
                let data = data.and_then(|mut data| data.remove(query.field));
                data.ok_or_else(|| response.invalid_body().into())
            }
            Err(refused) if refused.status() == Some(401) && token.is_some() => {
                Err(HoustonError::TokenRefused { host })
            }
            Err(HttpError { fault: Fault::InvalidBody, .. })
                if response.header("content-type").is_some_and(|it| it.starts_with("text/html")) =>
            {
                Err(HoustonError::WebPage { step, host })
            }
            Err(failure) => Err(failure.into()),
        }
    }

    fn host(&self) -> String {
        host_of(&self.api)
    }
}

/// Lists the workspaces page by page, up to a page that is short or brings nothing new.
async fn all_pages(
    page: impl AsyncFn(usize) -> Result<Vec<Workspace>, HoustonError>,
) -> Result<Vec<Workspace>, HoustonError> {
    let (mut all, mut known) = (Vec::new(), HashSet::new());
    for number in 0..MAX_PAGES {
        let page = page(number).await?;
        let (is_full, before) = (page.len() >= PAGE_SIZE, all.len());
        all.extend(page.into_iter().filter(|it| known.insert(it.id.clone())));
        if !is_full || all.len() == before {
            return Ok(all);
        }
    }
    Err(ListError::Endless { step: PAGE.step }.into())
}

impl HoustonError {
    fn of_message(step: &'static str, host: String, message: &str, token: Option<&AccessToken>) -> Self {
        let is = |known: &str| message.contains(known);
        let is_refused = is("You do not have the appropriate permissions for that") || is("AUTH_TOKEN_REFRESH_FAILED");
        if is_refused && token.is_some() {
            return Self::TokenRefused { host };
        }
        let known_schema = !is("Cannot query field");
        let repeats_token = token.is_some_and(|token| is(token.expose()));
        let message = if repeats_token { NOT_SHOWN.to_owned() } else { clean(message, 200) };
        if known_schema { Self::Failed { step, host, message } } else { Self::Schema { step, host, message } }
    }

    fn or_no_platform(self) -> Self {
        match self {
            Self::Http(error)
                if matches!(
                    error.fault,
                    Fault::Dns
                        | Fault::Connect(_)
                        | Fault::Timeout(_)
                        | Fault::Interrupted
                        | Fault::Redirect { .. }
                        | Fault::InvalidBody
                        | Fault::Status { status: 400..=428 | 430..=499, .. }
                ) =>
            {
                Self::NoPlatform(error)
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests;
