//! The plaintext fields of config.yaml, which are the Go CLI's, as [`Credentials`] and back.

use crate::config::Context;
use crate::credentials::{Credentials, Kind};
use crate::email::is_same_email;
use crate::jwt::{TokenKind, Unverified};

/// Returns the credentials in the Go CLI's fields. The fields name no issuer, client or audience; the token's own claims do.
pub fn credentials_from_context(context: &Context) -> Option<Credentials> {
    let access = context.token.clone()?;
    let claims = Unverified::parse(access.expose()).ok();
    let claims = claims.as_ref();
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    // Auth0 adds its own userinfo endpoint to the audience of the API.
    let audience = claims.and_then(|it| it.audience().into_iter().find(|one| !one.ends_with("/userinfo")));
    Some(Credentials {
        kind: if claims.is_some_and(|it| it.kind() == TokenKind::Api) { Kind::ApiToken } else { Kind::User },
        refresh: context.refresh_token.clone(),
        issuer: text(claims.and_then(Unverified::issuer)),
        client_id: text(claims.and_then(Unverified::authorized_party)),
        audience: text(audience),
        sub: text(claims.and_then(Unverified::subject)),
        email: context.user_email.clone(),
        issued_at: claims.and_then(Unverified::issued_at),
        expires_at: claims.and_then(Unverified::expires_at).or(context.expires_at),
        access: access.clone(),
    })
}

/// Compares the email of `context` with the login's. They differ if another account's login was being replaced in the
/// keychain, and the program was killed before it wrote config.yaml.
pub fn belongs_to(context: &Context, login: &Credentials) -> bool {
    match (&context.user_email, &login.email) {
        (Some(context), Some(login)) => is_same_email(context, login),
        // An API token belongs to no user, so not to this one.
        (Some(_), None) => login.kind == Kind::User,
        (None, _) => true,
    }
}

/// Writes credentials into the Go CLI's fields; the other fields keep their values.
pub fn set_tokens(context: &mut Context, credentials: Credentials) {
    context.token = Some(credentials.access);
    context.refresh_token = credentials.refresh;
    context.expires_at = credentials.expires_at;
}

/// Removes the credentials from the Go CLI's fields; the other fields keep their values.
pub fn clear_tokens(context: &mut Context) {
    context.token = None;
    context.refresh_token = None;
    context.expires_at = None;
}
