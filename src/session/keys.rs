//! The issuer's keys, fetched once, and once more if a token names a key that is not among them.

use crate::error::Error;
use crate::http::Http;
use crate::jwt::{Claims, Jwks, JwtError};
use crate::oauth::{Issuer, IssuerError};

/// The key set of this login's issuer.
pub struct Keys<'a> {
    http: &'a Http,
    issuer: Issuer,
    jwks: Jwks,
    fetched_again: bool,
}

impl<'a> Keys<'a> {
    /// Fetches the key set.
    pub async fn fetch(http: &'a Http, issuer: &Issuer) -> Result<Self, Error> {
        let jwks = fetch(http, issuer).await?;
        Ok(Self { http, issuer: issuer.clone(), jwks, fetched_again: false })
    }

    /// Runs one check. An issuer that has just begun to use a new key publishes it by now.
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
}

/// What goes wrong here is the issuer's: no credentials are shown, so even a 401 refuses nobody.
async fn fetch(http: &Http, issuer: &Issuer) -> Result<Jwks, Error> {
    let response = issuer.fetch_keys(http).await.map_err(IssuerError::from)?;
    Ok(Jwks::parse(response.body())?)
}
