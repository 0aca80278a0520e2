//! Where the credentials go, and the first of the two writes: the credentials, and whose they are.

use super::{Attempt, SignedIn};
use crate::api::User;
use crate::config::{Context, is_yes};
use crate::credentials::{Credentials, Kind, StoreError};
use crate::error::Error;
use crate::session::{self, Store};
use crate::system::aside;

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
        match self.session.keychain(|store, domain| store.load(domain).and_then(|_| store.ready())).await {
            // An entry that cannot be read will be replaced.
            Ok(()) | Err(StoreError::Damaged) => Ok(Storage::Keychain),
            Err(StoreError::Absent { reason }) => {
                if self.fallback_is_forbidden()? {
                    return Err(Error::FallbackForbidden { reason });
                }
                let path = self.session.config.path().display();
                self.session.system.ui.warn(&format!(
                    "there is no keychain here ({reason}); the credentials will be stored as plain text in {path}"
                ));
                Ok(Storage::Fallback)
            }
            Err(other) => Err(other.into()),
        }
    }

    fn fallback_is_forbidden(&self) -> Result<bool, Error> {
        let by_environment = self.session.system.environment.get("ASTRO_NO_INSECURE_FALLBACK").is_some_and(is_yes);
        Ok(by_environment || self.session.config.read()?.no_insecure_fallback())
    }

    /// Writes the credentials and whose they are. Returns those that they replace and whose refresh tokens nobody will
    /// use any more.
    pub(super) async fn remember(&self, signed_in: &SignedIn, user: &User) -> Result<Vec<Credentials>, Error> {
        let _lock = self.session.lock().await?;
        let _storing = self.session.system.storing.lock().await;
        tracing::info!("storing the login");
        let mut superseded = Vec::new();
        match signed_in.storage {
            Storage::Keychain => {
                let previous = match self.session.keychain(|store, domain| store.load(domain)).await {
                    Err(StoreError::Damaged) => None,
                    outcome => outcome?,
                };
                let credentials = signed_in.credentials.clone();
                self.session.keychain(move |store, domain| store.save(domain, &credentials)).await?;
                match self.write_identity(signed_in, user, None).await {
                    Ok(replaced) => superseded.extend(session::plaintext(&replaced)),
                    Err(failure) => {
                        self.restore(previous).await;
                        return Err(failure);
                    }
                }
                superseded.extend(previous);
            }
            Storage::Chosen | Storage::Fallback => {
                let replaced = self.write_identity(signed_in, user, Some(signed_in.credentials.clone())).await?;
                superseded.extend(session::plaintext(&replaced));
                if signed_in.storage == Storage::Chosen {
                    superseded.extend(self.empty_keychain().await);
                }
            }
        }
        superseded.retain(|old| old.refresh.is_some() && old.refresh != signed_in.credentials.refresh);
        Ok(superseded)
    }

    /// Writes the domain's context in config.yaml, with the credentials if they belong there, else without any.
    async fn write_identity(
        &self,
        signed_in: &SignedIn,
        user: &User,
        plaintext: Option<Credentials>,
    ) -> Result<Context, Error> {
        let (config, domain) = (self.session.config.clone(), self.session.domain.clone());
        let email = if user.email.is_empty() { signed_in.credentials.email.clone() } else { Some(user.email.clone()) };
        let in_keychain = plaintext.is_none();
        let is_api_token = signed_in.credentials.kind == Kind::ApiToken;
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
                    if email.is_some() || is_api_token {
                        context.user_email = email;
                    }
                    match plaintext {
                        Some(credentials) => session::put(context, credentials),
                        None => session::empty(context),
                    }
                })?;
                document.set_current_context(Some(domain.as_str()))?;
                Ok(before)
            })
        })
        .await??;
        if in_keychain && replaced.token.is_some() {
            self.session.system.ui.say(
                "The login that the Go CLI kept in config.yaml has been replaced, so the Go CLI is now signed out here; \
                 `--insecure-storage` shares the login with it.",
            );
        }
        Ok(replaced)
    }

    /// Puts back what the keychain held before a login that could not be completed.
    async fn restore(&self, previous: Option<Credentials>) {
        let restored = self
            .session
            .keychain(move |store, domain| match &previous {
                Some(credentials) => store.save(domain, credentials),
                None => store.delete(domain).map(drop),
            })
            .await;
        if let Err(failure) = restored {
            let name = self.session.store_name(Store::Keychain);
            self.session.system.ui.warn(&format!("the new credentials may remain in {name}: {failure}"));
        }
    }

    /// Removes the keychain's copy of a login that from now on is kept in config.yaml.
    async fn empty_keychain(&self) -> Option<Credentials> {
        let removed = self
            .session
            .keychain(|store, domain| {
                let previous = store.load(domain).unwrap_or_default();
                store.delete(domain).map(|_| previous)
            })
            .await;
        match removed {
            Ok(previous) => previous,
            Err(StoreError::Absent { .. }) => None,
            Err(failure) => {
                self.session.system.ui.warn(&format!(
                    "an older login may remain in {}: {failure}",
                    self.session.store_name(Store::Keychain)
                ));
                None
            }
        }
    }
}

/// A context without an address could be anybody's, and is taken over with its organization.
fn is_same_person(before: &Context, email: Option<&str>) -> bool {
    match (&before.user_email, email) {
        (Some(before), Some(email)) => before.trim().to_lowercase() == email.trim().to_lowercase(),
        _ => true,
    }
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
