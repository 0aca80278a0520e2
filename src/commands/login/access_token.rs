//! Logs in with an existing token: no browser, no listener, no prompt but the one for the token.
//!
//! The checks that need no network come first, and the token is sent nowhere before all checks have passed.

use zeroize::Zeroizing;

use super::select::Accessible;
use super::{LoginFlow, NewLogin, TokenArgument, user_credentials};
use crate::api::ListError;
use crate::commands::api_token_scope::ApiTokenScope;
use crate::commands::selection;
use crate::credentials::{Credentials, Kind};
use crate::error::{Error, TokenPlace, Warning};
use crate::jwt::{TokenKind, Unverified};
use crate::token::AccessToken;

impl LoginFlow<'_> {
    pub(super) async fn authenticate_with_token(&self, argument: &TokenArgument) -> Result<NewLogin, Error> {
        let token = self.read_token(argument).await?;
        let unverified = Unverified::parse(token.expose())?;
        if unverified.kind() == TokenKind::Api {
            return self.accept_api_token(&token, &unverified).await;
        }
        unverified.check_offline(self.session.now())?;
        let (auth, plan) = tokio::try_join!(self.auth_config(), self.prepare_to_save())?;
        let destination = self.destination(plan).await?;
        let claims = self.session.verify_user_token(&auth, &token).await?;
        Ok(NewLogin { credentials: user_credentials(&auth, token, claims), destination })
    }

    /// Checks the form and the expiry of an API token. It is not signed with the issuer's keys, so only the API can verify
    /// it, and does so before anything is stored.
    async fn accept_api_token(&self, token: &AccessToken, claims: &Unverified<'_>) -> Result<NewLogin, Error> {
        claims.check_expiry_if_any(self.session.now())?;
        // The Go CLI rejects a token without permissions, too.
        if claims.permissions().is_empty() {
            return Err(Error::NoPermissions);
        }
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        let credentials = Credentials {
            kind: Kind::ApiToken,
            access: token.clone(),
            refresh: None,
            issuer: text(claims.issuer()),
            client_id: String::new(),
            audience: String::new(),
            sub: text(claims.subject()),
            email: None,
            issued_at: claims.issued_at(),
            expires_at: claims.expires_at(),
            replaced: None,
        };
        let plan = self.prepare_to_save().await?;
        Ok(NewLogin { credentials, destination: self.destination(plan).await? })
    }

    /// Asks the API to confirm the organization and the workspaces that an API token names. A token of a single deployment
    /// names no organization; for it, the API lists them.
    pub(super) async fn accessible_with_api_token(&self, new: &NewLogin) -> Result<Accessible, Error> {
        let token = &new.credentials.access;
        let api = self.session.api(token);
        let scope = ApiTokenScope::of(&Unverified::parse(token.expose())?);
        let Some(id) = &scope.organization else {
            return Ok(Accessible::All(api.organizations().await.map_err(|failure| self.api_token_error(failure))?));
        };
        let organization =
            api.granted_organization(id).await.map_err(|failure| self.api_token_error(failure.into()))?;
        let wanted = self.login.organization.as_deref();
        // Rejects a `--organization` that is not this one.
        let organization =
            selection::select_organization(self.ui(), vec![organization], wanted, Some(id), None).await?;
        let mut workspaces = match api.workspaces(&organization.id).await {
            Ok(workspaces) => workspaces,
            // The token may be for something else, such as a deployment.
            Err(ListError::Http(refused)) if matches!(refused.status(), Some(403 | 404)) => {
                Warning::NoWorkspacesOfToken.show(self.ui());
                return Ok(Accessible::OfApiToken(organization, Vec::new()));
            }
            Err(failure) => return Err(failure.into()),
        };
        if let Some(id) = &scope.workspace {
            workspaces.retain(|workspace| workspace.id == *id);
            if workspaces.is_empty() {
                Warning::WorkspaceOfTokenUnlisted.show(self.ui());
            }
        }
        Ok(Accessible::OfApiToken(organization, workspaces))
    }

    /// Turns the API's refusal of an API token into its own error. Other failures stay as they are.
    fn api_token_error(&self, failure: ListError) -> Error {
        match failure {
            ListError::Http(source) if matches!(source.status(), Some(401 | 403 | 404)) => {
                Error::ApiTokenNotAccepted { domain: self.session.domain.to_string(), source }
            }
            other => other.into(),
        }
    }

    pub(super) async fn read_token(&self, argument: &TokenArgument) -> Result<AccessToken, Error> {
        let question = format!("Paste your token from {} (input hidden):", self.session.domain.token_page());
        let warning = Warning::SecretInArguments { what: "token", flag: "--token-login" };
        let (place, text) = self.read_argument(argument, &question, &warning).await?;
        AccessToken::from_text(&text).map_err(|source| Error::TokenText { place, source })
    }

    /// Returns the text of an argument, or what `-` stands for: a hidden prompt on a terminal, else standard input.
    pub(super) async fn read_argument(
        &self,
        argument: &TokenArgument,
        question: &str,
        warning: &Warning,
    ) -> Result<(TokenPlace, Zeroizing<String>), Error> {
        let ui = self.ui();
        let (place, line) = match argument {
            TokenArgument::Given(text) => {
                if ui.is_terminal() {
                    warning.show(ui);
                }
                return Ok((TokenPlace::Argument, text.clone()));
            }
            TokenArgument::Stdin if ui.is_terminal() => (TokenPlace::Prompt, ui.ask_secret(question).await?),
            TokenArgument::Stdin => (TokenPlace::Stdin, ui.read_input().await?),
        };
        Ok((place, Zeroizing::new(line.expose().to_owned())))
    }
}
