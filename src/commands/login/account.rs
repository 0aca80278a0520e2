//! The account that a login is for: asks for it, and compares it with the one that logged in.

use super::LoginFlow;
use crate::api::User;
use crate::config::Context;
use crate::credentials::{Credentials, Kind};
use crate::email::{EmailAddress, is_same_email};
use crate::error::{Error, Warning};
use crate::session;
use crate::text::clean;

pub(super) struct ExpectedAccount {
    pub(super) email: Option<EmailAddress>,
    on_mismatch: OnMismatch,
}

/// The reaction to an account that is not the expected one, or to any account if none is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnMismatch {
    /// Name it: there is no terminal to ask on, and a remembered email is a guess.
    Name,
    Ask,
    Reject,
    /// Reject it, although no `--email` named the expected one: the second of two steps has no terminal to ask on.
    RejectUnasked,
}

impl ExpectedAccount {
    /// Returns the expected account of a login that another process began. `is_named` is for the one of `--email`.
    pub(super) fn of_begun(email: Option<EmailAddress>, is_named: bool, can_ask: bool) -> Self {
        let on_mismatch = match (is_named, can_ask, &email) {
            (true, _, _) => OnMismatch::Reject,
            (false, true, _) => OnMismatch::Ask,
            (false, false, Some(_)) => OnMismatch::RejectUnasked,
            (false, false, None) => OnMismatch::Name,
        };
        Self { email, on_mismatch }
    }

    /// Compares the account in the browser with the expected one. Returns `true` if it is another or none was expected, and
    /// an error if it is rejected.
    pub(super) fn is_unlike(&self, found: Option<&str>) -> Result<bool, Error> {
        let Some(email) = &self.email else { return Ok(true) };
        if found.is_some_and(|found| email.is_same_as(found)) {
            return Ok(false);
        }
        match self.on_mismatch {
            OnMismatch::Name | OnMismatch::Ask => Ok(true),
            OnMismatch::Reject | OnMismatch::RejectUnasked => {
                let is_named = self.on_mismatch == OnMismatch::Reject;
                Err(Error::AccountMismatch { expected: email.to_string(), found: found.map(str::to_owned), is_named })
            }
        }
    }
}

impl LoginFlow<'_> {
    /// Returns the expected account: the one of `--email`, the user's answer, or the remembered one.
    pub(super) async fn ask_account(&self) -> Result<ExpectedAccount, Error> {
        if let Some(email) = &self.login.email {
            let email = Some(email.clone());
            return Ok(ExpectedAccount { email, on_mismatch: OnMismatch::Reject });
        }
        let remembered: Option<EmailAddress> = self.before.user_email.as_deref().and_then(|it| it.parse().ok());
        if !self.ui().can_ask() {
            return Ok(ExpectedAccount { email: remembered, on_mismatch: OnMismatch::Name });
        }
        let default = remembered.as_ref().map(EmailAddress::as_str);
        let help = if default.is_none() { Some("press Enter to choose an account in the browser") } else { None };
        let check = |typed: &str| match typed.parse::<EmailAddress>() {
            Err(error) if !typed.trim().is_empty() => Err(error.to_string()),
            Ok(_) | Err(_) => Ok(()),
        };
        let typed = self.ui().ask_text("Email:", default, help, check).await?;
        Ok(ExpectedAccount { email: typed.and_then(|typed| typed.parse().ok()), on_mismatch: OnMismatch::Ask })
    }

    /// Names an account that was not expected, and asks for a confirmation if there is a terminal.
    ///
    /// Another user of this machine can read the link in the browser's arguments, log in as themselves and deliver their code.
    pub(super) async fn confirm_account(&self, account: &str, expected: &ExpectedAccount) -> Result<(), Error> {
        if let Some(email) = &expected.email {
            let (expected_email, found) = (email.to_string(), account.to_owned());
            let asks = expected.on_mismatch == OnMismatch::Ask;
            Warning::OtherAccount { expected: expected_email, found, asks }.show(self.ui());
        }
        match expected.on_mismatch {
            OnMismatch::Ask if self.ui().confirm(&format!("Continue as {account}?"), false).await? => Ok(()),
            OnMismatch::Ask => Err(Error::Canceled),
            _ if expected.email.is_some() => Ok(()),
            OnMismatch::Name | OnMismatch::Reject | OnMismatch::RejectUnasked => {
                self.ui().say(&format!("Authenticated as {account}"));
                Ok(())
            }
        }
    }

    /// Says if the API knows the account under another address than the issuer confirmed.
    pub(super) fn warn_of_other_address(&self, credentials: &Credentials, user: &User) {
        if let Some(confirmed) = credentials.email.as_deref().filter(|it| !is_same_email(it, &user.email))
            && !user.email.is_empty()
        {
            let (confirmed, known) = (clean(confirmed, 254), user.email.clone());
            Warning::KnownAs { confirmed, known }.show(self.ui());
        }
    }

    /// Rejects a token whose user is not the one of `--email`. A browser login was compared before.
    pub(super) fn check_token_account(&self, user: &User) -> Result<(), Error> {
        match (&self.login.token_login, &self.login.email) {
            (Some(_), Some(email)) if !email.is_same_as(&user.email) => {
                let found = Some(user.email.clone()).filter(|email| !email.is_empty());
                Err(Error::TokenAccountMismatch { expected: email.to_string(), found })
            }
            _ => Ok(()),
        }
    }
}

/// Returns `true` if `new` logs in to the account of the context. Issuer and subject decide; without a login, the email
/// does. A context without an email may be anyone's, and is taken over with its organization.
pub(super) fn is_same_account(
    in_use: Option<&Credentials>,
    before: &Context,
    new: &Credentials,
    email: Option<&str>,
) -> bool {
    if let Some(in_use) = in_use.filter(|in_use| !in_use.sub.is_empty()) {
        return (in_use.kind, &in_use.issuer, &in_use.sub) == (new.kind, &new.issuer, &new.sub);
    }
    session::belongs_to(before, &Credentials { email: email.map(str::to_owned), ..new.clone() })
}

pub(super) fn account_name(credentials: &Credentials, context: &Context) -> Option<String> {
    match credentials.kind {
        Kind::ApiToken => Some("an API token".to_owned()),
        Kind::PrivateCloud => None,
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
            replaced: None,
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
