//! The keychain entry of one login: a JSON object with a version number.
//!
//! Buffers that hold it are wiped, and no error quotes any of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Credentials, Kind, StoreError};
use crate::token::{AccessToken, RefreshToken};

const VERSION: u32 = 1;
/// The size of the buffer for a record, in bytes: an access token has at most 16 KiB.
const BUFFER: usize = 64 * 1024;

#[derive(Serialize)]
struct Written<'a> {
    v: u32,
    kind: Kind,
    access: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh: Option<&'a str>,
    issuer: &'a str,
    client_id: &'a str,
    audience: &'a str,
    sub: &'a str,
    email: Option<&'a str>,
    issued_at: Option<String>,
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced: Option<&'a str>,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

#[derive(Deserialize)]
struct Stored {
    kind: Kind,
    access: AccessToken,
    refresh: Option<RefreshToken>,
    issuer: String,
    client_id: String,
    audience: String,
    sub: String,
    email: Option<String>,
    issued_at: Option<String>,
    expires_at: Option<String>,
    replaced: Option<String>,
}

pub(super) fn encode(credentials: &Credentials) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let written = Written {
        v: VERSION,
        kind: credentials.kind,
        access: credentials.access.expose(),
        refresh: credentials.refresh.as_ref().map(RefreshToken::expose),
        issuer: &credentials.issuer,
        client_id: &credentials.client_id,
        audience: &credentials.audience,
        sub: &credentials.sub,
        email: credentials.email.as_deref(),
        issued_at: credentials.issued_at.map(|time| time.to_string()),
        expires_at: credentials.expires_at.map(|time| time.to_string()),
        replaced: credentials.replaced.as_deref(),
    };
    // Large enough for every login: a buffer that grows leaves copies of the tokens behind.
    let mut text = Zeroizing::new(Vec::with_capacity(BUFFER));
    serde_json::to_writer(&mut *text, &written).map_err(|_| StoreError::Damaged)?;
    Ok(text)
}

/// Decodes the credentials. Fails with [`StoreError::Damaged`] for anything that is not a record, and with
/// [`StoreError::NewerFormat`] for a record of a later version.
pub(super) fn decode(text: &[u8]) -> Result<Credentials, StoreError> {
    // serde_json's errors quote the input, so they are dropped.
    let Version { v } = serde_json::from_slice(text).map_err(|_| StoreError::Damaged)?;
    if v > VERSION {
        return Err(StoreError::NewerFormat);
    }
    let stored: Stored = serde_json::from_slice(text).map_err(|_| StoreError::Damaged)?;
    Ok(Credentials {
        kind: stored.kind,
        access: stored.access,
        refresh: stored.refresh,
        issuer: stored.issuer,
        client_id: stored.client_id,
        audience: stored.audience,
        sub: stored.sub,
        email: stored.email,
        issued_at: stored.issued_at.as_deref().map(time).transpose()?,
        expires_at: stored.expires_at.as_deref().map(time).transpose()?,
        replaced: stored.replaced,
    })
}

fn time(text: &str) -> Result<Timestamp, StoreError> {
    text.parse().map_err(|_| StoreError::Damaged)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::credentials) fn credentials() -> Credentials {
        Credentials {
            kind: Kind::User,
            access: AccessToken::new("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln"),
            refresh: Some(RefreshToken::new("v1.MRrt")),
            issuer: "https://auth.astronomer.io/".to_owned(),
            client_id: "client".to_owned(),
            audience: "astronomer-ee".to_owned(),
            sub: "google-oauth2|1163".to_owned(),
            email: Some("person@example.com".to_owned()),
            issued_at: Some("2026-11-24T10:00:00Z".parse().unwrap()),
            expires_at: Some("2026-11-25T10:00:00Z".parse().unwrap()),
            replaced: None,
        }
    }

    const TEXT: &str = concat!(
        r#"{"v":1,"kind":"user","access":"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln","refresh":"v1.MRrt","#,
        r#""issuer":"https://auth.astronomer.io/","client_id":"client","audience":"astronomer-ee","#,
        r#""sub":"google-oauth2|1163","email":"person@example.com","#,
        r#""issued_at":"2026-11-24T10:00:00Z","expires_at":"2026-11-25T10:00:00Z"}"#
    );

    #[test]
    fn rf_9_record_names_issuer_client_audience() {
        assert_eq!(std::str::from_utf8(&encode(&credentials()).unwrap()).unwrap(), TEXT);
        assert_eq!(decode(TEXT.as_bytes()).unwrap(), credentials());
    }

    #[test]
    fn optional_members_stay_absent() {
        let bare = Credentials { kind: Kind::ApiToken, refresh: None, email: None, issued_at: None, ..credentials() };
        let text = encode(&bare).unwrap();
        assert!(!std::str::from_utf8(&text).unwrap().contains("refresh"));
        assert_eq!(decode(&text).unwrap(), bare);
        let replacing = Credentials { replaced: Some(bare.access.digest()), ..bare };
        assert_eq!(decode(&encode(&replacing).unwrap()).unwrap(), replacing);
    }

    #[test]
    fn record_buffer_never_grows() {
        let awkward = Credentials { sub: "\"".repeat(2000), ..credentials() };
        let text = encode(&awkward).unwrap();
        assert_eq!(text.capacity(), BUFFER);
    }

    #[test]
    fn invalid_record_is_damaged_and_not_shown() {
        let cut = &TEXT.as_bytes()[..TEXT.len() - 1];
        let twice = TEXT.replacen("\"access\"", "\"access\":\"x\",\"access\"", 1);
        let no_time = TEXT.replacen("2026-11-25T10:00:00Z", "tomorrow", 1);
        let no_issuer = TEXT.replacen("\"issuer\"", "\"other\"", 1);
        let texts =
            [b"".as_slice(), b"\xff", b"{}", b"null", cut, twice.as_bytes(), no_time.as_bytes(), no_issuer.as_bytes()];
        for text in texts {
            assert_eq!(decode(text), Err(StoreError::Damaged), "{:?}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn newer_record_version_is_not_damage() {
        assert_eq!(decode(br#"{"v":2,"sealed":"x"}"#), Err(StoreError::NewerFormat));
        let more = TEXT.replacen("\"kind\"", "\"key\":\"dpop\",\"kind\"", 1);
        assert_eq!(decode(more.as_bytes()).unwrap(), credentials());
    }
}
