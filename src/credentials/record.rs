//! The keychain entry of one login: a JSON object with a version number.
//!
//! Buffers that hold it are wiped, and no error quotes any of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

use super::{Credentials, Kind, StoreError};
use crate::token::{AccessToken, RefreshToken};

const VERSION: u32 = 1;
/// The size of the buffer for a record, in bytes: an access token has at most 16 KiB.
const BUFFER: usize = 64 * 1024;

#[derive(Serialize)]
struct Versioned<'a> {
    v: u32,
    #[serde(flatten, serialize_with = "Record::serialize")]
    credentials: &'a Credentials,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

/// The members of a record. Only this module can write credentials as text.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Credentials")]
struct Record {
    kind: Kind,
    #[serde(serialize_with = "exposed")]
    access: AccessToken,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exposed_if_any")]
    refresh: Option<RefreshToken>,
    issuer: String,
    client_id: String,
    audience: String,
    sub: String,
    email: Option<String>,
    issued_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced: Option<String>,
}

fn exposed<S: Serializer>(token: &AccessToken, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(token.expose())
}

#[expect(clippy::ref_option, reason = "serde passes a reference to the member")]
fn exposed_if_any<S: Serializer>(token: &Option<RefreshToken>, serializer: S) -> Result<S::Ok, S::Error> {
    token.as_ref().map(RefreshToken::expose).serialize(serializer)
}

pub(super) fn encode(credentials: &Credentials) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    // Large enough for every login: a buffer that grows leaves copies of the tokens behind.
    let mut text = Zeroizing::new(Vec::with_capacity(BUFFER));
    serde_json::to_writer(&mut *text, &Versioned { v: VERSION, credentials }).map_err(|_| StoreError::Damaged)?;
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
    let mut reader = serde_json::Deserializer::from_slice(text);
    Record::deserialize(&mut reader).map_err(|_| StoreError::Damaged)
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
