//! Signing in with a token that was made elsewhere: no browser, no listener, no question.
//!
//! What can be checked without the network is checked first, and the token is sent nowhere before everything has been.

use zeroize::Zeroizing;

use super::settle::Reach;
use super::{Attempt, SignedIn, TokenArgument};
use crate::api::ListError;
use crate::commands::grant::Grant;
use crate::commands::place;
use crate::credentials::{Credentials, Kind};
use crate::error::Error;
use crate::jwt::{ExpectedAccess, TokenKind, Unverified, verify_access_token};
use crate::oauth::AuthConfig;
use crate::session::{Keys, bare};
use crate::token::AccessToken;

impl Attempt<'_> {
    pub(super) async fn sign_in_with_token(&self, argument: &TokenArgument) -> Result<SignedIn, Error> {
        let token = self.read_token(argument).await?;
        let unverified = Unverified::parse(token.expose())?;
        if unverified.kind() == TokenKind::Api {
            return self.accept_api_token(&token, &unverified).await;
        }
        unverified.check_offline(self.session.now())?;
        let (auth, storage) = tokio::try_join!(self.auth_config(), self.storage())?;
        let expected =
            ExpectedAccess { issuer: auth.issuer.as_str(), audience: &auth.audience, client_id: &auth.client_id };
        unverified.check_claims(&expected, self.session.now())?;
        let mut keys = Keys::fetch(&self.session.system.http, &auth.issuer).await?;
        let claims = keys.verify(|jwks| verify_access_token(&token, jwks, &expected, self.session.now())).await?;
        let credentials = Credentials {
            kind: Kind::User,
            access: token.clone(),
            refresh: None,
            issuer: claims.issuer,
            client_id: auth.client_id.clone(),
            audience: auth.audience.clone(),
            sub: claims.subject,
            email: claims.email,
            issued_at: claims.issued_at,
            expires_at: Some(claims.expires_at),
        };
        Ok(SignedIn { credentials, storage })
    }

    /// An API token is not signed with the issuer's keys, so what can be checked here is its form and its end; whether
    /// it is good, the API alone knows, and is asked before anything is stored. The issuer has no part in it.
    async fn accept_api_token(&self, token: &AccessToken, claims: &Unverified<'_>) -> Result<SignedIn, Error> {
        claims.check_expiry_if_any(self.session.now())?;
        // The Go CLI takes none without, either.
        if claims.permissions().is_empty() {
            return Err(Error::NothingGranted);
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
        };
        Ok(SignedIn { credentials, storage: self.storage().await? })
    }

    /// What an API token reaches: what its permissions name, as far as the API confirms it. One for a deployment alone
    /// names no organization, and is tried on the list of them.
    pub(super) async fn api_token_reach(&self, signed_in: &SignedIn) -> Result<Reach, Error> {
        let token = &signed_in.credentials.access;
        let api = self.session.api(token);
        let grant = Grant::of(&Unverified::parse(token.expose())?);
        let Some(id) = &grant.organization else {
            return Ok(Reach::All(api.organizations().await.map_err(|failure| self.not_granted(failure))?));
        };
        let organization = api.granted_organization(id).await.map_err(|failure| self.not_granted(failure.into()))?;
        let ui = &self.session.system.ui;
        let wanted = self.login.organization.as_deref();
        let settled = place::settle_organization(ui, vec![organization.clone()], wanted, Some(id), None).await?;
        let organization = settled.unwrap_or(organization);
        let mut workspaces = match api.workspaces(&organization.id).await {
            Ok(workspaces) => workspaces,
            // It is good for something else, a deployment for one.
            Err(ListError::Http(refused)) if matches!(refused.status(), Some(403 | 404)) => {
                ui.warn("the API does not show this API token any workspace");
                return Ok(Reach::Granted(organization, Vec::new()));
            }
            Err(failure) => return Err(failure.into()),
        };
        if let Some(id) = &grant.workspace {
            workspaces.retain(|workspace| workspace.id == *id);
            if workspaces.is_empty() {
                ui.warn("the API does not show the workspace that this API token names");
            }
        }
        Ok(Reach::Granted(organization, workspaces))
    }

    /// The API's refusal of an API token; any other failure as it is.
    fn not_granted(&self, failure: ListError) -> Error {
        match failure {
            ListError::Http(source) if matches!(source.status(), Some(401 | 403 | 404)) => {
                Error::NotGranted { domain: self.session.domain.to_string(), source }
            }
            other => other.into(),
        }
    }

    async fn read_token(&self, argument: &TokenArgument) -> Result<AccessToken, Error> {
        let ui = &self.session.system.ui;
        let text = match argument {
            TokenArgument::Given(text) => {
                if ui.can_ask() {
                    ui.hint(
                        "a token on the command line is seen by other users of this machine, and stays in the shell's \
                         history; `--token-login -` asks for it instead",
                    );
                }
                text.clone()
            }
            TokenArgument::Stdin if ui.can_ask() => Zeroizing::new(
                ui.ask_secret("Paste the token from cloud.astronomer.io/token (it stays hidden)")
                    .await?
                    .expose()
                    .to_owned(),
            ),
            TokenArgument::Stdin => Zeroizing::new(ui.read_input().await?.expose().to_owned()),
        };
        let bare = bare(&text);
        if bare.is_empty() {
            return Err(Error::NoToken);
        }
        Ok(AccessToken::new(bare))
    }

    pub(super) async fn auth_config(&self) -> Result<AuthConfig, Error> {
        Ok(AuthConfig::fetch(&self.session.system.http, &self.session.domain).await?)
    }
}
