//! Where the credentials go, and the first of the two writes: the credentials, and whose they are.

use super::{Attempt, SignedIn};
use crate::api::User;
use crate::aside::aside;
use crate::config::Context;
use crate::credentials::{Credentials, Kind, StoreError};
use crate::error::Error;
use crate::session::{self, Store};

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

/// What a login has taken the place of.
pub(super) struct Replaced {
    /// The account that was signed in here, if it was another one.
    pub(super) account: Option<String>,
    /// Credentials whose refresh tokens nobody will use any more.
    pub(super) unused: Vec<Credentials>,
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
                if self.session.fallback_is_forbidden()? {
                    return Err(Error::FallbackForbidden { reason });
                }
                let path = self.session.config.path().display();
                self.session.system.ui.warn(&format!(
                    "there is no keychain here ({reason}): after the sign-in, the credentials will be stored as plain text in {path}"
                ));
                Ok(Storage::Fallback)
            }
            Err(other) => Err(self.session.keychain_failure(other)),
        }
    }

    /// Writes the credentials and whose they are. Returns what they replace.
    pub(super) async fn remember(&self, signed_in: &SignedIn, user: &User) -> Result<Replaced, Error> {
        let _lock = self.session.lock().await?;
        let mut storing = self.session.system.storing.lock().await;
        tracing::info!("storing the login");
        let in_keychain = self.session.keychain(|store, domain| store.load(domain)).await;
        let (in_config, before, in_keychain) = match signed_in.storage {
            Storage::Keychain => {
                let in_keychain = match in_keychain {
                    Err(StoreError::Damaged) => None,
                    outcome => outcome.map_err(|failure| self.session.keychain_failure(failure))?,
                };
                // Until config.yaml is written, this alone tells whose they are.
                let email = email(signed_in, user).map(str::to_owned);
                let credentials = Credentials { email, ..signed_in.credentials.clone() };
                if let Err(failure) = self.session.keychain(move |store, domain| store.save(domain, &credentials)).await
                {
                    // A write that was given up may still arrive, and must not be what stays.
                    if matches!(failure, StoreError::TimedOut(_) | StoreError::WentAway) {
                        self.restore(in_keychain).await;
                    }
                    return Err(self.session.keychain_failure(failure));
                }
                match self.write_identity(signed_in, user, in_keychain.as_ref()).await {
                    Ok(before) => (session::plaintext(&before), before, in_keychain),
                    Err(failure) => {
                        self.restore(in_keychain).await;
                        return Err(failure);
                    }
                }
            }
            Storage::Chosen | Storage::Fallback => {
                let known = in_keychain.as_ref().ok().and_then(Option::as_ref);
                let before = self.write_identity(signed_in, user, known).await?;
                let in_keychain = self.empty_keychain(in_keychain).await;
                (session::plaintext(&before), before, in_keychain)
            }
        };
        *storing = None;
        // A token in config.yaml is the one that was in use.
        let in_use = in_config.as_ref().or(in_keychain.as_ref());
        let other = in_use.is_some() || before.user_email.is_some();
        let other = other && !is_same_account(in_use, &before, &signed_in.credentials, email(signed_in, user));
        let account =
            in_use.map_or(before.user_email.clone(), |in_use| account_name(in_use, &before)).filter(|_| other);
        let mut unused: Vec<Credentials> = in_config.into_iter().chain(in_keychain).collect();
        unused.retain(|old| old.refresh.is_some() && old.refresh != signed_in.credentials.refresh);
        Ok(Replaced { account, unused })
    }

    /// Writes the domain's context in config.yaml, with the credentials if they belong there, else without any. Returns
    /// the context as it was.
    async fn write_identity(
        &self,
        signed_in: &SignedIn,
        user: &User,
        in_keychain: Option<&Credentials>,
    ) -> Result<Context, Error> {
        let (config, domain) = (self.session.config.clone(), self.session.domain.clone());
        let (credentials, in_use) = (signed_in.credentials.clone(), in_keychain.cloned());
        let email = email(signed_in, user).map(str::to_owned);
        let to_keychain = signed_in.storage == Storage::Keychain;
        let replaced = aside(move || {
            config.edit(|document| {
                let before = document.context(&domain).unwrap_or_default();
                let in_use = session::plaintext(&before).or(in_use);
                let is_same = is_same_account(in_use.as_ref(), &before, &credentials, email.as_deref())
                    && in_use.is_none_or(|in_use| session::is_context_of(&before, &in_use));
                document.update_context(&domain, |context| {
                    if !is_same {
                        context.organization = None;
                        context.organization_product = None;
                        context.workspace = None;
                        context.last_used_workspace = None;
                    }
                    if email.is_some() || !is_same || credentials.kind == Kind::ApiToken {
                        context.user_email = email;
                    }
                    if to_keychain {
                        session::empty(context);
                    } else {
                        session::put(context, credentials);
                    }
                })?;
                document.set_current_context(Some(domain.as_str()))?;
                Ok(before)
            })
        })
        .await??;
        if to_keychain && replaced.token.is_some() {
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

    /// Removes the keychain's copy of a login that from now on is kept in config.yaml, and hands it over.
    async fn empty_keychain(&self, loaded: Result<Option<Credentials>, StoreError>) -> Option<Credentials> {
        let outcome = match loaded {
            Ok(None) | Err(StoreError::Absent { .. }) => return None,
            // One that cannot be read can still be removed.
            Ok(Some(_)) | Err(StoreError::Damaged) => {
                self.session.keychain(|store, domain| store.delete(domain)).await.and(loaded)
            }
            Err(failure) => Err(failure),
        };
        match outcome {
            Ok(removed) => removed,
            Err(StoreError::Damaged) => None,
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

/// The e-mail address of whoever has signed in, for display.
fn email<'a>(signed_in: &'a SignedIn, user: &'a User) -> Option<&'a str> {
    Some(user.email.as_str()).filter(|email| !email.is_empty()).or(signed_in.credentials.email.as_deref())
}

/// Whether those who have signed in are those whose context this is. Issuer and subject tell; where no login is left, the
/// address does, and a context without one could be anybody's, and is taken over with its organization.
fn is_same_account(in_use: Option<&Credentials>, before: &Context, new: &Credentials, email: Option<&str>) -> bool {
    if let Some(in_use) = in_use.filter(|in_use| !in_use.sub.is_empty()) {
        return (in_use.kind, &in_use.issuer, &in_use.sub) == (new.kind, &new.issuer, &new.sub);
    }
    session::is_context_of(before, &Credentials { email: email.map(str::to_owned), ..new.clone() })
}

/// What people call the account of credentials that were kept.
fn account_name(credentials: &Credentials, context: &Context) -> Option<String> {
    match credentials.kind {
        Kind::ApiToken => Some("an API token".to_owned()),
        Kind::User => credentials.email.clone().or_else(|| context.user_email.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::AccessToken;

    fn credentials(kind: Kind, sub: &str) -> Credentials {
        Credentials {
            kind,
            access: AccessToken::new("t"),
            refresh: None,
            issuer: "https://auth.astronomer.io/".to_owned(),
            client_id: String::new(),
            audience: String::new(),
            sub: sub.to_owned(),
            email: None,
            issued_at: None,
            expires_at: None,
        }
    }

    #[test]
    fn cl_15_account_is_issuer_and_subject_else_email() {
        let context = |email: Option<&str>| Context { user_email: email.map(str::to_owned), ..Context::default() };
        let (ada, grace) = (credentials(Kind::User, "ada"), credentials(Kind::User, "grace"));
        let (token, opaque) = (credentials(Kind::ApiToken, "ada"), credentials(Kind::User, ""));
        let elsewhere = Credentials { issuer: "https://auth.astronomer-dev.io/".to_owned(), ..ada.clone() };
        let table = [
            (Some(&ada), Some("ada@old.example"), &ada, Some("ada@example.com"), true),
            (Some(&ada), Some("shared@example.com"), &grace, Some("shared@example.com"), false),
            (Some(&elsewhere), None, &ada, None, false),
            (Some(&ada), None, &token, None, false),
            (Some(&opaque), Some("Ada@example.com"), &ada, Some("ada@example.com "), true),
            (None, Some("ada@example.com"), &grace, Some("grace@example.com"), false),
            (None, Some("ada@example.com"), &ada, None, true),
            (None, Some("ada@example.com"), &token, None, false),
            (None, None, &ada, Some("ada@example.com"), true),
            (None, None, &token, None, true),
        ];
        for (index, (in_use, before, new, email, expected)) in table.into_iter().enumerate() {
            assert_eq!(is_same_account(in_use, &context(before), new, email), expected, "line {index}");
        }
    }
}
