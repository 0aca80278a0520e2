//! A context of the settings: the fields of one domain.

use jiff::Timestamp;
use jiff::civil::DateTime;

use super::node::Node;
use crate::domain::{Domain, Product};
use crate::token::{AccessToken, RefreshToken};

const BEARER: &str = "Bearer ";
pub(super) const EXPIRES_AT: &str = "expiresin";
/// The fields of the login itself, which a logout removes.
pub(super) const LOGIN_FIELDS: [&str; 4] = [EXPIRES_AT, "refreshtoken", "token", "user_email"];

/// The settings of one domain. An empty or blank text counts as none, and so does null.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Context {
    /// The product of the domain, which decides about the form of the tokens.
    pub product: Product,
    /// The domain. If the file does not name it, the context's key with dots for underscores.
    pub domain: String,
    pub organization: Option<String>,
    /// `HOSTED` or `HYBRID`.
    pub organization_product: Option<String>,
    /// The workspace's ID. Setting it sets `last_used_workspace` with it.
    pub workspace: Option<String>,
    pub last_used_workspace: Option<String>,
    pub user_email: Option<String>,
    /// The plaintext access token. The Go CLI is logged in if there is one. Empty for `Bearer ` beside a refresh token, which
    /// Astro CLI 2 takes for a login that it has to renew.
    pub token: Option<AccessToken>,
    pub refresh_token: Option<RefreshToken>,
    /// Whether the fields of the two tokens are the pointer to the vault of Astro CLI 2: `Bearer ` and nothing. Setting a
    /// token overrides it.
    pub in_vault: bool,
    /// The issuer and the client of the login. In Astro CLI 2, contexts with the same ones share their login.
    pub auth_domain: Option<String>,
    pub auth_client_id: Option<String>,
    pub expires_at: Option<Timestamp>,
}

impl Context {
    pub(super) fn read(key: &str, node: &Node) -> Self {
        let written = |name| node.find(name).and_then(Node::text);
        let text = |name| written(name).map(str::to_owned);
        let domain = domain_of(key, node);
        let product = domain.parse().map_or(Product::PrivateCloud, |domain: Domain| domain.product());
        // Astro CLI 2 takes a token that is no string for an empty one.
        let string = |name| node.find(name).filter(|it| it.is_string()).and_then(Node::text);
        let refresh = string("refreshtoken").filter(|_| product == Product::Astro);
        let token = string("token").map(|token| token.strip_prefix(BEARER).unwrap_or(token).trim());
        let token = token.map(|token| if token.eq_ignore_ascii_case(BEARER.trim()) { "" } else { token });
        Self {
            product,
            domain,
            organization: text("organization"),
            organization_product: text("organization_product"),
            workspace: text("workspace"),
            last_used_workspace: text("last_used_workspace"),
            user_email: text("user_email"),
            token: token.filter(|token| !token.is_empty() || refresh.is_some()).map(AccessToken::new),
            refresh_token: refresh.map(RefreshToken::new),
            in_vault: product == Product::Astro && string("token") == Some(BEARER) && refresh.is_none(),
            auth_domain: text("auth_domain"),
            auth_client_id: text("auth_client_id"),
            expires_at: text(EXPIRES_AT).and_then(|time| timestamp(&time)),
        }
    }

    /// Returns `true` if Astro CLI 2 takes the logins of both contexts for one.
    pub fn shares_login_with(&self, other: &Self) -> bool {
        let of = |context: &Self| context.auth_domain.clone().zip(context.auth_client_id.clone());
        of(self).is_some() && of(self) == of(other)
    }

    /// Returns the fields as the Go CLI writes them. For Astro Private Cloud it writes the token alone, and without `Bearer`.
    pub(super) fn fields(&self) -> [(&'static str, Option<String>); 11] {
        let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let is_astro = self.product == Product::Astro;
        let bearer = |token: &str| if is_astro { format!("{BEARER}{token}") } else { token.to_owned() };
        [
            ("domain", Some(self.domain.clone())),
            (EXPIRES_AT, self.expires_at.filter(|_| is_astro).map(|time| time.to_string())),
            ("last_used_workspace", filled(&self.last_used_workspace)),
            ("organization", filled(&self.organization)),
            ("organization_product", filled(&self.organization_product)),
            ("refreshtoken", filled(&self.refresh_token.as_ref().map(|token| token.expose().to_owned()))),
            ("token", self.token.as_ref().map(AccessToken::expose).or(self.in_vault.then_some("")).map(bearer)),
            ("user_email", filled(&self.user_email)),
            ("workspace", filled(&self.workspace)),
            ("auth_domain", filled(&self.auth_domain)),
            ("auth_client_id", filled(&self.auth_client_id)),
        ]
    }
}

/// Returns the domain that the context names, else the one in its key.
pub(super) fn domain_of(key: &str, context: &Node) -> String {
    context.find("domain").and_then(Node::text).map_or_else(|| key.replace('_', "."), str::to_owned)
}

/// Reads RFC 3339 with an offset, or a form without one, which YAML allows and Go reads as UTC.
pub(super) fn timestamp(text: &str) -> Option<Timestamp> {
    let in_utc = || jiff::tz::TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok();
    text.parse().ok().or_else(in_utc)
}
