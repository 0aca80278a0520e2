//! The destination of the credentials, and the first of the two writes: the credentials and the account.

use super::account::{account_name, is_same_account};
use super::{LoginFlow, NewLogin};
use crate::api::User;
use crate::blocking::run_blocking;
use crate::config::{Context, Document};
use crate::credentials::vault::Vault;
use crate::credentials::{Credentials, Kind, StoreError};
use crate::error::{Error, Warning};
use crate::session::{self, Location, Storage, StoragePlan, edit_config};
use crate::token::AccessToken;

/// The length of the placeholder with which a disk is tried: more than an access and a refresh token.
const LONG_TOKEN: usize = 8 * 1024;

/// The store of this login, after every question is answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Destination {
    pub(super) location: Location,
    /// The user's answer, which becomes the setting.
    answer: Option<Storage>,
}

impl Destination {
    /// Writes the credentials into the context, or what says that they are elsewhere.
    fn fill(self, context: &mut Context, credentials: Credentials) {
        match self.location {
            Location::Keychain => session::clear_tokens(context),
            Location::Vault => session::set_pointer(context, credentials.expires_at),
            Location::Config => session::set_tokens(context, credentials),
        }
    }
}

pub(super) struct PreviousLogin {
    pub(super) account: Option<String>,
    pub(super) unused: Vec<Credentials>,
}

/// The logins that are stored before the new one is saved.
#[derive(Clone, Default)]
pub(super) struct Before {
    context: Context,
    in_keychain: Option<Credentials>,
    pub(super) in_vault: Option<Credentials>,
}

/// A login that is being saved.
pub(super) struct Saving<'a> {
    pub(super) new: &'a NewLogin,
    email: Option<&'a str>,
    /// Whether the account has no access to the selected organization.
    is_out_of_reach: bool,
    pub(super) before: Before,
}

impl Before {
    fn in_use(&self) -> Option<Credentials> {
        let in_use = session::login_in_use(&self.context, self.in_vault.clone(), self.in_keychain.clone());
        in_use.map(|(_, credentials)| credentials)
    }
}

impl LoginFlow<'_> {
    /// Plans the store and checks that the login can be saved, before the user is sent to the browser. Asks nothing.
    pub(super) async fn prepare_to_save(&self) -> Result<StoragePlan, Error> {
        let plan = self.plan().await?;
        let (encrypted, may_ask) = match &plan {
            StoragePlan::Encrypted(location) => (Some(*location), false),
            StoragePlan::AskToShare { encrypted } => (encrypted.as_ref().ok().copied(), true),
            StoragePlan::Plain | StoragePlan::Fallback { .. } | StoragePlan::Shared => (None, false),
        };
        let (config, domain) = (self.session.config.clone(), self.session.domain.clone());
        let edit = move |document: &mut Document| {
            document.update_context(&domain, |context| {
                context.user_email = Some("user@example.com".to_owned());
                match encrypted.filter(|_| !may_ask) {
                    Some(Location::Keychain) => session::clear_tokens(context),
                    Some(Location::Vault) => session::set_pointer(context, None),
                    Some(Location::Config) | None => context.token = Some(AccessToken::new("x".repeat(LONG_TOKEN))),
                }
            })?;
            if may_ask {
                document.set_credentials_setting(Storage::Plain.as_str())?;
            }
            document.set_current_context(Some(domain.as_str()))
        };
        run_blocking(move || config.dry_run(edit)).await??;
        if encrypted == Some(Location::Vault) {
            let checked = self.session.vault(|vault, name| vault.dry_run(name, 2 * LONG_TOKEN)).await;
            checked.map_err(|failure| self.session.vault_error(failure))?;
        }
        drop(self.session.lock().await?);
        Ok(plan)
    }

    async fn plan(&self) -> Result<StoragePlan, Error> {
        let (session, wanted) = (&self.session, self.choice.storage);
        let vault = match wanted {
            Storage::Auto if session.has_vault() => session.vault(Vault::ready).await,
            _ => Ok(None),
        };
        let keychain = match (&vault, wanted) {
            (Ok(Some(_)), _) | (_, Storage::Plain) => Ok(None),
            _ => session.ready_keychain().await,
        };
        session.plan_storage(&self.choice, &self.before, &vault, &keychain)
    }

    /// Asks what the plan leaves to the user.
    pub(super) async fn destination(&self, plan: StoragePlan) -> Result<Destination, Error> {
        let (ui, path) = (self.ui(), self.session.config.path().to_owned());
        let (location, answer) = match plan {
            StoragePlan::Encrypted(location) => (location, None),
            StoragePlan::Plain => (Location::Config, None),
            StoragePlan::Shared => {
                Warning::StaysUnencrypted { path }.show(ui);
                (Location::Config, None)
            }
            StoragePlan::Fallback { reason, asks } => {
                Warning::WillBeUnencrypted { reason, path }.show(ui);
                if asks && !ui.confirm("Continue, although the last login was in a keychain?", false).await? {
                    return Err(Error::Canceled);
                }
                (Location::Config, None)
            }
            StoragePlan::AskToShare { encrypted } => {
                let question = "The Go CLI shares the login in config.yaml. Save the new one";
                let options = ["in config.yaml, unencrypted", "in the keychain, which logs the Go CLI out"];
                match ui.choose(question, options.map(str::to_owned).into(), 0).await? {
                    0 => (Location::Config, Some(Storage::Plain)),
                    _ => (encrypted.map_err(|failure| self.session.keychain_error(failure))?, Some(Storage::Auto)),
                }
            }
        };
        Ok(Destination { location, answer })
    }

    /// Saves the login.
    pub(super) async fn save(
        &self,
        new: &NewLogin,
        user: &User,
        is_out_of_reach: bool,
    ) -> Result<PreviousLogin, Error> {
        let _locks = self.session.lock_to_replace().await?;
        let storing = self.session.system.pending_grant.start_storing().await;
        tracing::info!("saving the login");
        let in_keychain = self.session.keychain(|store, domain| store.load(domain)).await;
        if let Err(damaged @ StoreError::Damaged) = &in_keychain {
            Warning::RemovedUnread { cause: damaged.to_string() }.show(self.ui());
        }
        let keychain_works = in_keychain.is_ok();
        let in_vault = self.session.load_from_vault(&self.before).await;
        let before = Before {
            in_keychain: in_keychain.as_ref().ok().cloned().flatten(),
            in_vault: in_vault.as_ref().ok().cloned().flatten(),
            ..Before::default()
        };
        let mut saving = Saving { new, email: email(new, user), is_out_of_reach, before };
        match new.destination.location {
            Location::Keychain => self.save_in_keychain(&mut saving, in_keychain).await?,
            Location::Vault => {
                self.save_in_vault(&mut saving).await?;
                self.remove_from_keychain(in_keychain).await;
            }
            Location::Config => {
                self.set_marker().await;
                self.write_account(&mut saving).await?;
                saving.before.in_keychain = self.remove_from_keychain(in_keychain).await;
            }
        }
        storing.stored();
        self.session.discard_pending(keychain_works).await;
        if new.destination.location != Location::Vault {
            self.remove_from_vault(new.destination.location, in_vault).await;
        }
        self.session.config.edit_names(|names| {
            names.set_unencrypted_by_choice(&self.session.domain, self.login.insecure_storage);
            names.set_in_keychain(&self.session.domain, new.destination.location == Location::Keychain);
        });
        let mut previous = previous_login(saving.before, &new.credentials, saving.email);
        previous.unused = self.without_shared(previous.unused, new).await;
        Ok(previous)
    }

    /// Writes the keychain entry, then config.yaml. Restores the entry if config.yaml cannot be written.
    async fn save_in_keychain(
        &self,
        saving: &mut Saving<'_>,
        loaded: Result<Option<Credentials>, StoreError>,
    ) -> Result<(), Error> {
        let in_keychain = match loaded {
            Err(StoreError::Damaged) => None,
            outcome => outcome.map_err(|failure| self.session.keychain_error(failure))?,
        };
        // Until config.yaml is written, only this email says whose credentials they are.
        let email = saving.email.map(str::to_owned);
        let older = in_keychain.as_ref().and_then(|it| it.replaced.clone());
        let replaced = self.session.context()?.token.map(|token| token.digest()).or(older);
        let mut credentials = Credentials { email, replaced, ..saving.new.credentials.clone() };
        if let Err(failure) = self.put_in_keychain(credentials.clone()).await {
            // A write that timed out may still take effect later.
            if matches!(failure, StoreError::TimedOut(_) | StoreError::Disconnected) {
                self.restore(in_keychain).await;
            }
            return Err(self.session.keychain_error(failure));
        }
        if let Err(failure) = self.write_account(saving).await {
            self.restore(in_keychain).await;
            return Err(failure);
        }
        // The Go CLI may have written another token before the edit.
        let crossing = saving.before.context.token.as_ref().map(AccessToken::digest);
        if crossing.is_some() && crossing != credentials.replaced {
            credentials.replaced = crossing;
            self.put_in_keychain(credentials).await.map_err(|failure| self.session.keychain_error(failure))?;
        }
        Ok(())
    }

    async fn put_in_keychain(&self, credentials: Credentials) -> Result<(), StoreError> {
        self.session.keychain(move |store, domain| store.save(domain, &credentials)).await
    }

    /// Writes the domain's context in config.yaml: the account, and the credentials if they belong there. Sets
    /// `before.context` to the context as it was.
    pub(super) async fn write_account(&self, saving: &mut Saving<'_>) -> Result<(), Error> {
        let domain = self.session.domain.clone();
        let NewLogin { credentials, destination } = saving.new.clone();
        let (mut before, is_out_of_reach) = (saving.before.clone(), saving.is_out_of_reach);
        let email = saving.email.map(str::to_owned);
        let (config, Destination { location, answer }) = (self.session.config.clone(), destination);
        let before = edit_config(&self.session.config, move |document| {
            before.context = document.context(&domain).unwrap_or_default();
            if let Some(token) = before.context.token.as_ref().filter(|_| location == Location::Keychain) {
                config.note_replaced(&domain, &token.digest());
            }
            let in_use = before.in_use();
            let is_unknown = in_use.is_none() && before.context.user_email.is_none();
            let is_same = is_same_account(in_use.as_ref(), &before.context, &credentials, email.as_deref())
                && in_use.is_none_or(|in_use| session::belongs_to(&before.context, &in_use));
            document.update_context(&domain, |context| {
                // A logout leaves the organization of an account that is not known any more.
                if !is_same || (is_unknown && is_out_of_reach) {
                    context.organization = None;
                    context.organization_product = None;
                    context.workspace = None;
                    context.last_used_workspace = None;
                }
                if email.is_some() || !is_same || credentials.kind == Kind::ApiToken {
                    context.user_email = email;
                }
                if !credentials.client_id.is_empty() {
                    context.auth_domain = Some(credentials.issuer.clone());
                    context.auth_client_id = Some(credentials.client_id.clone());
                }
                destination.fill(context, credentials);
            })?;
            if let Some(answer) = answer {
                document.set_credentials_setting(answer.as_str())?;
            }
            document.set_current_context(Some(domain.as_str()))?;
            Ok(before)
        })
        .await?;
        saving.before = before;
        if let Some(answer) = answer {
            self.ui().say(&format!("Saved your choice as `credentials: {}` in config.yaml.", answer.as_str()));
        }
        if location != Location::Config && saving.before.context.token.is_some() {
            let go_cli = if location == Location::Vault { "Astro CLI 1.x" } else { "the Go CLI" };
            self.ui().say(&format!(
                "Replaced the login that {go_cli} kept in config.yaml, so {go_cli} is now logged out; \
                 `--insecure-storage` shares the login with it.",
            ));
        }
        Ok(())
    }

    async fn restore(&self, previous: Option<Credentials>) {
        let restored = self
            .session
            .keychain(move |store, domain| match &previous {
                Some(credentials) => store.save(domain, credentials),
                None => store.delete(domain).map(drop),
            })
            .await;
        if let Err(failure) = restored {
            let keychain = self.session.location_name(Location::Keychain);
            Warning::MayRemain { what: "the new credentials", keychain, cause: failure.to_string() }.show(self.ui());
        }
    }

    /// Removes the keychain entry of a login that config.yaml holds from now on, and returns it.
    async fn remove_from_keychain(&self, loaded: Result<Option<Credentials>, StoreError>) -> Option<Credentials> {
        let outcome = match loaded {
            Ok(None) | Err(StoreError::Absent { .. }) => return None,
            // A damaged entry can still be removed.
            Ok(Some(_)) | Err(StoreError::Damaged) => {
                self.session.keychain(|store, domain| store.delete(domain)).await.and(loaded)
            }
            Err(failure) => Err(failure),
        };
        match outcome {
            Ok(removed) => removed,
            Err(StoreError::Damaged) => None,
            Err(failure) => {
                let keychain = self.session.location_name(Location::Keychain);
                Warning::MayRemain { what: "an older login", keychain, cause: failure.to_string() }.show(self.ui());
                None
            }
        }
    }
}

pub(super) fn email<'a>(new: &'a NewLogin, user: &'a User) -> Option<&'a str> {
    Some(user.email.as_str()).filter(|email| !email.is_empty()).or(new.credentials.email.as_deref())
}

fn previous_login(before: Before, new: &Credentials, email: Option<&str>) -> PreviousLogin {
    let in_use = before.in_use();
    let in_use = in_use.as_ref();
    let Before { context, in_keychain, in_vault } = before;
    let existed = in_use.is_some() || context.user_email.is_some();
    let account = if existed && !is_same_account(in_use, &context, new, email) {
        in_use.map_or(context.user_email.clone(), |in_use| account_name(in_use, &context))
    } else {
        None
    };
    let mut unused: Vec<Credentials> =
        session::tokens_of_context(&context).into_iter().chain(in_keychain).chain(in_vault).collect();
    unused.retain(|old| old.refresh.is_some() && old.refresh != new.refresh);
    unused.dedup_by(|one, other| one.refresh == other.refresh);
    PreviousLogin { account, unused }
}
