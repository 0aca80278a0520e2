//! The plaintext fields of config.yaml, which are the Go CLI's, as [`Credentials`] and back.

use jiff::Timestamp;

use super::Location;
use crate::config::Context;
use crate::credentials::{Credentials, Kind};
use crate::domain::Product;
use crate::email::is_same_email;
use crate::jwt::{TokenKind, Unverified};
use crate::token::AccessToken;

/// Returns the credentials in the Go CLI's fields. The fields name no issuer, client or audience; the token's own claims do.
pub fn credentials_from_context(context: &Context) -> Option<Credentials> {
    Some(credentials(context, context.token.as_ref()?))
}

/// Returns what a removal of the tokens must revoke. Unlike a login, that may be a refresh token alone: the Go CLI's logout
/// empties only the access token.
pub fn tokens_of_context(context: &Context) -> Option<Credentials> {
    let refresh_alone = || context.refresh_token.is_some().then(|| credentials(context, &AccessToken::new("")));
    credentials_from_context(context).or_else(refresh_alone)
}

fn credentials(context: &Context, access: &AccessToken) -> Credentials {
    if context.product == Product::PrivateCloud {
        return private_cloud_credentials(access.clone());
    }
    let claims = Unverified::parse(access.expose()).ok();
    let claims = claims.as_ref();
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    // Auth0 adds its own userinfo endpoint to the audience of the API.
    let audience = claims.and_then(|it| it.audience().into_iter().find(|one| !one.ends_with("/userinfo")));
    Credentials {
        kind: if claims.is_some_and(|it| it.kind() == TokenKind::Api) { Kind::ApiToken } else { Kind::User },
        refresh: context.refresh_token.clone(),
        issuer: text(claims.and_then(Unverified::issuer)),
        client_id: text(claims.and_then(Unverified::authorized_party)),
        audience: text(audience),
        sub: text(claims.and_then(Unverified::subject)),
        email: context.user_email.clone(),
        issued_at: claims.and_then(Unverified::issued_at),
        expires_at: claims.and_then(Unverified::expires_at).or(context.expires_at.filter(|_| !access.is_empty())),
        access: access.clone(),
        replaced: None,
    }
}

/// Returns the credentials of a token of Astro Private Cloud. Its times are claims that nothing verifies: the platform publishes
/// no keys. It may also be the opaque key of a service account.
pub fn private_cloud_credentials(access: AccessToken) -> Credentials {
    let claims = Unverified::parse(access.expose()).ok();
    Credentials {
        kind: Kind::PrivateCloud,
        issued_at: claims.as_ref().and_then(Unverified::issued_at),
        expires_at: claims.as_ref().and_then(Unverified::expires_at),
        refresh: None,
        issuer: String::new(),
        client_id: String::new(),
        audience: String::new(),
        sub: String::new(),
        email: None,
        replaced: None,
        access,
    }
}

/// Returns the login in use, if several stores may hold one. The pointer in config.yaml names the vault, even if that holds
/// nothing. A token in config.yaml is newer than the others, or was chosen: a login elsewhere empties it. Two are neither,
/// because the Go CLI writes them by itself: the token that the login in the keychain replaced, and the API token of its
/// environment.
pub fn login_in_use(
    context: &Context,
    in_vault: Option<Credentials>,
    in_keychain: Option<Credentials>,
) -> Option<(Location, Credentials)> {
    if context.in_vault {
        return in_vault.map(|it| (Location::Vault, it));
    }
    let in_config = credentials_from_context(context);
    let is_ignored = |in_config: &Credentials| in_keychain.as_ref().is_some_and(|it| ignores(it, in_config));
    let in_config = in_config.filter(|it| !is_ignored(it)).map(|it| (Location::Config, it));
    in_config.or(in_keychain.map(|it| (Location::Keychain, it)))
}

fn ignores(in_keychain: &Credentials, in_config: &Credentials) -> bool {
    in_config.kind == Kind::ApiToken || is_replaced(in_keychain, &in_config.access)
}

/// Returns `true` if the login in the keychain replaced this token.
pub fn is_replaced(in_keychain: &Credentials, token: &AccessToken) -> bool {
    in_keychain.replaced.as_ref().is_some_and(|digest| *digest == token.digest())
}

/// Compares the accounts of two logins: issuer and subject.
pub fn is_same_user(one: &Credentials, other: &Credentials) -> bool {
    (one.kind, &one.issuer, &one.sub) == (other.kind, &other.issuer, &other.sub)
}

/// Compares the email of `context` with the login's. They differ if another account's login was being replaced in the
/// keychain, and the program was killed before it wrote config.yaml.
pub fn belongs_to(context: &Context, login: &Credentials) -> bool {
    match (&context.user_email, &login.email) {
        (Some(context), Some(login)) => is_same_email(context, login),
        // An API token belongs to no user, so not to this one.
        (Some(_), None) => login.kind != Kind::ApiToken,
        (None, _) => true,
    }
}

/// Writes credentials into the Go CLI's fields; the other fields keep their values.
pub fn set_tokens(context: &mut Context, credentials: Credentials) {
    context.token = Some(credentials.access);
    context.refresh_token = credentials.refresh;
    context.expires_at = credentials.expires_at;
    context.in_vault = false;
}

/// Writes the pointer to the vault in place of tokens; the other fields keep their values.
pub fn set_pointer(context: &mut Context, expires_at: Option<Timestamp>) {
    clear_tokens(context);
    context.expires_at = expires_at;
    context.in_vault = true;
}

/// Removes the credentials, or the pointer, from the Go CLI's fields; the other fields keep their values.
pub fn clear_tokens(context: &mut Context) {
    context.token = None;
    context.refresh_token = None;
    context.expires_at = None;
    context.in_vault = false;
}
