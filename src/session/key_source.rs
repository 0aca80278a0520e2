//! The issuer's keys, fetched once, and once more if a token names an unknown key.

use crate::error::Error;
use crate::http::Http;
use crate::jwt::{Claims, Jwks, JwtError};
use crate::oauth::{Issuer, IssuerError};

pub struct KeySource<'a> {
    http: &'a Http,
    issuer: Issuer,
    jwks: Jwks,
    fetched_again: bool,
}

impl<'a> KeySource<'a> {
    pub async fn fetch(http: &'a Http, issuer: &Issuer) -> Result<Self, Error> {
        let jwks = fetch(http, issuer).await?;
        Ok(Self { http, issuer: issuer.clone(), jwks, fetched_again: false })
    }

    /// Runs one check. Fetches the keys again, once, if the token names an unknown key: the issuer may have rotated them.
    pub async fn verify(&mut self, check: impl Fn(&Jwks) -> Result<Claims, JwtError>) -> Result<Claims, Error> {
        match check(&self.jwks) {
            Err(JwtError::UnknownKey) if !self.fetched_again => {
                tracing::info!("the token names an unknown key; fetching the keys again");
                self.fetched_again = true;
                self.jwks = fetch(self.http, &self.issuer).await?;
                Ok(check(&self.jwks)?)
            }
            outcome => Ok(outcome?),
        }
    }

    /// Like [`verify`](Self::verify), for a token that was issued just now: if its times do not fit, this machine's clock is
    /// wrong.
    pub async fn verify_fresh(
        &mut self,
        token: &str,
        check: impl Fn(&Jwks) -> Result<Claims, JwtError>,
    ) -> Result<Claims, Error> {
        self.verify(|jwks| check(jwks).map_err(|error| error.of_fresh_token(token))).await
    }
}

/// Fetches the keys. A failure is reported as the issuer's: the request carries no credentials, so even a 401 is not about
/// the user.
async fn fetch(http: &Http, issuer: &Issuer) -> Result<Jwks, Error> {
    let response = issuer.fetch_keys(http).await.map_err(IssuerError::from)?;
    Ok(Jwks::parse(response.body())?)
}
