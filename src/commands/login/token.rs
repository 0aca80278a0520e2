//! Signing in with a token that was made elsewhere: no browser, no listener, no question.
//!
//! What can be checked without the network is checked first, and the token is sent nowhere before everything has been.

use zeroize::Zeroizing;

use super::keys::Keys;
use super::{Attempt, SignedIn, TokenArgument};
use crate::credentials::{Credentials, Kind};
use crate::error::Error;
use crate::jwt::{ExpectedAccess, Unverified, verify_access_token};
use crate::oauth::AuthConfig;
use crate::token::AccessToken;

impl Attempt<'_> {
    pub(super) async fn sign_in_with_token(&self, argument: &TokenArgument) -> Result<SignedIn, Error> {
        let token = self.read_token(argument).await?;
        Unverified::parse(token.expose())?.check_alone(self.now())?;
        let (auth, storage) = tokio::try_join!(self.auth_config(), self.storage())?;
        let expected =
            ExpectedAccess { issuer: auth.issuer.as_str(), audience: &auth.audience, client_id: &auth.client_id };
        Unverified::parse(token.expose())?.check_claims(&expected, self.now())?;
        let mut keys = Keys::fetch(&self.system.http, &auth.issuer).await?;
        let claims = keys.verify(|jwks| verify_access_token(&token, jwks, &expected, self.now())).await?;
        let credentials = Credentials {
            kind: Kind::User,
            access: token,
            refresh: None,
            issuer: claims.issuer,
            client_id: auth.client_id.clone(),
            audience: auth.audience.clone(),
            sub: claims.subject,
            email: claims.email,
            issued_at: claims.issued_at,
            expires_at: claims.expires_at,
        };
        Ok(SignedIn { auth, credentials, storage })
    }

    async fn read_token(&self, argument: &TokenArgument) -> Result<AccessToken, Error> {
        let ui = &self.system.ui;
        let text = match argument {
            TokenArgument::Given(text) => {
                if ui.can_ask() {
                    ui.hint("a token on the command line stays in the shell's history; `--token-login -` asks for it instead");
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
        let text = text.trim();
        let bare = match text.split_once(char::is_whitespace) {
            Some((word, rest)) if word.eq_ignore_ascii_case("bearer") => rest.trim_start(),
            None if text.eq_ignore_ascii_case("bearer") => "",
            _ => text,
        };
        if bare.is_empty() {
            return Err(Error::NoToken);
        }
        Ok(AccessToken::new(bare))
    }

    pub(super) async fn auth_config(&self) -> Result<AuthConfig, Error> {
        Ok(AuthConfig::fetch(&self.system.http, &self.domain).await?)
    }
}
