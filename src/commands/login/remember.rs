//! Where the credentials go, and the first of the two writes: the credentials, and whose they are.

use std::sync::Arc;
use std::time::Duration;

use super::{Attempt, SignedIn};
use crate::api::User;
use crate::config::{Context, is_yes};
use crate::credentials::{self, CredentialStore, Credentials, StoreError};
use crate::domain::Domain;
use crate::error::Error;
use crate::jwt::Unverified;
use crate::oauth::AuthConfig;
use crate::system::aside;
use crate::token::RefreshToken;

const LOCK_BOUND: Duration = Duration::from_secs(30);
/// A keychain that answers within this time needs no announcement.
const SILENT_BOUND: Duration = Duration::from_millis(500);

/// Which store takes the credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Storage {
    /// The operating system's.
    Keychain,
    /// The plaintext fields of config.yaml, because the person chose them.
    Chosen,
    /// The plaintext fields of config.yaml, because there is no keychain.
    Fallback,
}

impl Attempt<'_> {
    /// Finds out, before anyone is bothered, where the credentials will go.
    pub(super) async fn storage(&self) -> Result<Storage, Error> {
        if self.login.insecure_storage {
            return Ok(Storage::Chosen);
        }
        match self.keychain(|store, domain| store.load(domain).and_then(|_| store.ready())).await {
            // An entry that cannot be read will be replaced.
            Ok(()) | Err(StoreError::Damaged) => Ok(Storage::Keychain),
            Err(StoreError::Absent { reason }) => {
                if self.fallback_is_forbidden()? {
                    return Err(Error::FallbackForbidden { reason });
                }
                let path = self.config.path().display();
                self.system.ui.warn(&format!(
                    "there is no keychain here ({reason}); the credentials will be stored as plain text in {path}"
                ));
                Ok(Storage::Fallback)
            }
            Err(other) => Err(other.into()),
        }
    }

    fn fallback_is_forbidden(&self) -> Result<bool, Error> {
        let by_environment = self.system.environment.get("ASTRO_NO_INSECURE_FALLBACK").is_some_and(is_yes);
        Ok(by_environment || self.config.read()?.no_insecure_fallback())
    }

    /// Writes the credentials and whose they are. Returns the refresh tokens of the login that this one replaces.
    pub(super) async fn remember(&self, signed_in: &SignedIn, user: &User) -> Result<Vec<RefreshToken>, Error> {
        let (config, domain) = (self.config.clone(), self.domain.clone());
        let _lock = aside(move || config.lock_refresh(&domain, LOCK_BOUND)).await??;
        let mut superseded = Vec::new();
        match signed_in.storage {
            Storage::Keychain => {
                let previous = match self.keychain(|store, domain| store.load(domain)).await {
                    Err(StoreError::Damaged) => None,
                    outcome => outcome?,
                };
                let credentials = signed_in.credentials.clone();
                self.keychain(move |store, domain| store.save(domain, &credentials)).await?;
                match self.write_identity(signed_in, user, None).await {
                    Ok(replaced) => superseded.extend(refresh_token_of(&replaced, &signed_in.auth)),
                    Err(failure) => {
                        self.restore(previous).await?;
                        return Err(failure);
                    }
                }
                superseded.extend(previous.and_then(|it| issued_by(it, &signed_in.auth)));
            }
            Storage::Chosen | Storage::Fallback => {
                let replaced = self.write_identity(signed_in, user, Some(signed_in.credentials.clone())).await?;
                superseded.extend(refresh_token_of(&replaced, &signed_in.auth));
                if signed_in.storage == Storage::Chosen {
                    superseded.extend(self.empty_keychain().await.and_then(|it| issued_by(it, &signed_in.auth)));
                }
            }
        }
        superseded.retain(|token| signed_in.credentials.refresh.as_ref() != Some(token));
        Ok(superseded)
    }

    /// Writes the domain's context in config.yaml, with the credentials if they belong there, else without any.
    async fn write_identity(
        &self,
        signed_in: &SignedIn,
        user: &User,
        plaintext: Option<Credentials>,
    ) -> Result<Context, Error> {
        let (config, domain) = (self.config.clone(), self.domain.clone());
        let email = if user.email.is_empty() { signed_in.credentials.email.clone() } else { Some(user.email.clone()) };
        let in_keychain = plaintext.is_none();
        let replaced = aside(move || {
            config.edit(|document| {
                let before = document.context(&domain).unwrap_or_default();
                document.update_context(&domain, |context| {
                    if !is_same_person(context, email.as_deref()) {
                        context.organization = None;
                        context.organization_product = None;
                        context.workspace = None;
                        context.last_used_workspace = None;
                    }
                    if email.is_some() {
                        context.user_email = email;
                    }
                    context.token = plaintext.as_ref().map(|it| it.access.clone());
                    context.refresh_token = plaintext.as_ref().and_then(|it| it.refresh.clone());
                    context.expires_at = plaintext.as_ref().map(|it| it.expires_at);
                })?;
                document.set_current_context(Some(&domain))?;
                Ok(before)
            })
        })
        .await??;
        if in_keychain && replaced.token.is_some() {
            self.system.ui.say(
                "The login that the Go CLI kept in config.yaml has been replaced, so the Go CLI is now signed out here; \
                 `--insecure-storage` shares the login with it.",
            );
        }
        Ok(replaced)
    }

    /// Puts back what the keychain held before a login that could not be completed.
    async fn restore(&self, previous: Option<Credentials>) -> Result<(), Error> {
        self.keychain(move |store, domain| match &previous {
            Some(credentials) => store.save(domain, credentials),
            None => store.delete(domain).map(drop),
        })
        .await?;
        Ok(())
    }

    /// Removes the keychain's copy of a login that from now on is kept in config.yaml.
    async fn empty_keychain(&self) -> Option<Credentials> {
        let removed = self
            .keychain(|store, domain| {
                let previous = store.load(domain).unwrap_or_default();
                store.delete(domain).map(|_| previous)
            })
            .await;
        match removed {
            Ok(previous) => previous,
            Err(StoreError::Absent { .. }) => None,
            Err(failure) => {
                self.system.ui.warn(&format!("an older login may remain in {}: {failure}", self.store_name()));
                None
            }
        }
    }

    /// Tells the issuer that these refresh tokens are no longer in use. They lose their worth in time even if it fails.
    pub(super) async fn revoke(&self, auth: &AuthConfig, tokens: &[RefreshToken]) {
        for token in tokens {
            if let Err(failure) = auth.revoke(&self.system.http, token).await {
                tracing::info!(%failure, "a refresh token could not be revoked");
            }
        }
    }

    /// One call of the keychain, bounded, with a word to the person when it takes its time.
    async fn keychain<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn CredentialStore, &Domain) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (store, domain) = (Arc::clone(&self.system.keychain), self.domain.clone());
        let bound = if self.system.ui.can_ask() { credentials::WITH_PERSON } else { credentials::WITHOUT_PERSON };
        let mut running = std::pin::pin!(credentials::bounded(bound, move || call(&*store, &domain)));
        if let Ok(outcome) = tokio::time::timeout(SILENT_BOUND, &mut running).await {
            return outcome;
        }
        let _spinner = self.system.ui.spinner("waiting for the keychain…");
        running.await
    }

    /// The keychain as the person knows it.
    pub(super) fn store_name(&self) -> String {
        self.system.keychain.describe()
    }
}

/// A context without an address could be anybody's, and is taken over with its organization.
fn is_same_person(before: &Context, email: Option<&str>) -> bool {
    match (&before.user_email, email) {
        (Some(before), Some(email)) => before.trim().to_lowercase() == email.trim().to_lowercase(),
        _ => true,
    }
}

/// The refresh token of credentials that this issuer gave; another's is none of its business.
fn issued_by(credentials: Credentials, auth: &AuthConfig) -> Option<RefreshToken> {
    credentials
        .refresh
        .filter(|_| credentials.issuer == auth.issuer.as_str() && credentials.client_id == auth.client_id)
}

/// The same for a login that was kept in config.yaml, whose token names its issuer and client.
fn refresh_token_of(context: &Context, auth: &AuthConfig) -> Option<RefreshToken> {
    let token = context.token.as_ref()?;
    let claims = Unverified::parse(token.expose()).ok()?;
    let ours = claims.issuer() == Some(auth.issuer.as_str()) && claims.authorized_party() == Some(&auth.client_id);
    context.refresh_token.clone().filter(|_| ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_person_does_not_inherit_the_context() {
        let context = |email: Option<&str>| Context { user_email: email.map(str::to_owned), ..Context::default() };
        assert!(is_same_person(&context(Some("Ada@example.com")), Some("ada@example.com ")));
        assert!(!is_same_person(&context(Some("ada@example.com")), Some("grace@example.com")));
        assert!(is_same_person(&context(None), Some("ada@example.com")));
        assert!(is_same_person(&context(Some("ada@example.com")), None));
    }
}
