//! The format of an entry: a JSON object whose value is encrypted, and in that another one with the two tokens.
//!
//! Read as Astro CLI 2 reads it, which is as Go reads JSON: names in any case, null and a missing member are empty. Anything
//! else that this program does not know is a newer format.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde::Serialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{VaultError, VaultName, VaultTokens};
use crate::credentials::StoreError;
use crate::text::hex;
use crate::token::{AccessToken, RefreshToken};

const V1: &str = "enc:v1:";
const V2: &str = "enc:v2:";
const NONCE: usize = 12;
const BEARER: &str = "Bearer ";

/// The master key of the vault.
#[derive(Clone)]
pub(super) struct Key(Zeroizing<[u8; 32]>);

impl Key {
    /// Parses 32 bytes in base64.
    pub(super) fn parse(text: &[u8]) -> Result<Self, VaultError> {
        let mut key = Zeroizing::new([0; 32]);
        // The buffer must have room for what 44 characters could be.
        let mut decoded = Zeroizing::new([0; 33]);
        match STANDARD.decode_slice(text.trim_ascii(), &mut *decoded) {
            Ok(32) => key.copy_from_slice(&decoded[..32]),
            Ok(_) | Err(_) => return Err(VaultError::InvalidKey),
        }
        Ok(Self(key))
    }

    /// Returns the name of the key, which each entry carries.
    pub(super) fn id(&self) -> String {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &*self.0), b"astro-vault-kid");
        hex(&tag.as_ref()[..8])
    }

    fn cipher(&self) -> Result<LessSafeKey, VaultError> {
        UnboundKey::new(&AES_256_GCM, &*self.0).map(LessSafeKey::new).map_err(|_| VaultError::InvalidKey)
    }
}

/// Rejects a file that this program does not know how to read.
pub(super) fn check_format(bytes: &[u8], path: &Path) -> Result<(), VaultError> {
    let (_, value, is_plain) = members(bytes, path)?;
    let is_known = is_plain || value.is_empty() || [V1, V2].iter().any(|known| value.starts_with(known));
    match is_known {
        true => Ok(()),
        false if value.starts_with("enc:") => Err(VaultError::Newer(path.to_owned())),
        false => Err(VaultError::Damaged(path.to_owned())),
    }
}

pub(super) fn open(
    bytes: &[u8],
    name: &VaultName,
    path: &Path,
    key: impl FnOnce() -> Result<Key, VaultError>,
) -> Result<VaultTokens, VaultError> {
    let damaged = || VaultError::Damaged(path.to_owned());
    let (written_for, value, is_plain) = members(bytes, path)?;
    if written_for != name.0 {
        return Err(damaged());
    }
    if is_plain {
        return tokens(value.as_bytes()).ok_or_else(damaged);
    }
    check_format(bytes, path)?;
    let (key, envelope) = (key()?, value.strip_prefix(V1));
    let (sealed, aad) = if let Some(sealed) = envelope {
        (sealed, Vec::new())
    } else {
        let (id, sealed) = value.strip_prefix(V2).and_then(|it| it.split_once(':')).ok_or_else(damaged)?;
        if id != key.id() {
            return Err(VaultError::OtherKey);
        }
        (sealed, aad(name))
    };
    let mut sealed = Zeroizing::new(STANDARD.decode(sealed).map_err(|_| damaged())?);
    let (nonce, sealed) = sealed.split_at_mut_checked(NONCE).ok_or_else(damaged)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| damaged())?;
    let opened = key.cipher()?.open_in_place(nonce, Aad::from(aad), sealed).map_err(|_| damaged())?;
    tokens(opened).ok_or_else(damaged)
}

/// Returns the content of the entry of a login.
pub(super) fn seal(
    name: &VaultName,
    tokens: &VaultTokens,
    key: &Key,
    random: &SystemRandom,
) -> Result<String, VaultError> {
    #[derive(Serialize)]
    struct Tokens<'a> {
        token: &'a str,
        refreshtoken: &'a str,
    }
    let access = Zeroizing::new(tokens.access.as_ref().map_or_else(String::new, |it| BEARER.to_owned() + it.expose()));
    let refreshtoken = tokens.refresh.as_ref().map_or("", RefreshToken::expose);
    // Large enough: a buffer that grows leaves copies of the tokens behind.
    let mut text = Zeroizing::new(Vec::with_capacity(2 * (access.len() + refreshtoken.len()) + 64));
    let failed = |_| VaultError::Keychain(StoreError::Other("could not encode the tokens".to_owned()));
    serde_json::to_writer(&mut *text, &Tokens { token: &access, refreshtoken }).map_err(failed)?;
    let mut nonce = [0; NONCE];
    random.fill(&mut nonce).map_err(|error| StoreError::other(&error))?;
    sealed(name, text, key, nonce)
}

pub(super) fn sealed(
    name: &VaultName,
    mut text: Zeroizing<Vec<u8>>,
    key: &Key,
    nonce: [u8; NONCE],
) -> Result<String, VaultError> {
    #[derive(Serialize)]
    struct Entry<'a> {
        key: &'a str,
        value: String,
    }
    let cipher = key.cipher()?;
    let tag = cipher
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad(name)), &mut text)
        .map_err(|error| StoreError::other(&error))?;
    let envelope = [&nonce, text.as_slice(), tag.as_ref()].concat();
    let value = format!("{V2}{}:{}", key.id(), STANDARD.encode(envelope));
    Ok(serde_json::to_string(&Entry { key: &name.0, value }).map_err(|error| StoreError::other(&error))?)
}

fn aad(name: &VaultName) -> Vec<u8> {
    [b"astro-vault/v2\0", name.0.as_bytes()].concat()
}

/// Returns the name, the value, and whether the value is not encrypted.
fn members(bytes: &[u8], path: &Path) -> Result<(String, String, bool), VaultError> {
    let damaged = || VaultError::Damaged(path.to_owned());
    let mut members: Map<String, Value> = serde_json::from_slice(bytes).map_err(|_| damaged())?;
    let is_known = |it: &String| ["key", "value", "plain"].iter().any(|known| it.eq_ignore_ascii_case(known));
    if !members.keys().all(is_known) {
        return Err(VaultError::Newer(path.to_owned()));
    }
    let name = text(&mut members, "key").ok_or_else(damaged)?;
    let value = text(&mut members, "value").ok_or_else(damaged)?;
    let plain = members.iter().find(|(member, _)| member.eq_ignore_ascii_case("plain")).map(|(_, value)| value);
    match plain {
        None | Some(Value::Null) => Ok((name, value, false)),
        Some(Value::Bool(plain)) => Ok((name, value, *plain)),
        Some(_) => Err(damaged()),
    }
}

fn tokens(text_of_login: &[u8]) -> Option<VaultTokens> {
    let mut members: Map<String, Value> = serde_json::from_slice::<Option<_>>(text_of_login).ok()?.unwrap_or_default();
    let access = Zeroizing::new(text(&mut members, "token")?);
    let refresh = text(&mut members, "refreshtoken")?;
    let access = Some(access.strip_prefix(BEARER).unwrap_or(&access).trim()).filter(|it| !it.is_empty());
    Some(VaultTokens {
        access: access.map(AccessToken::new),
        refresh: Some(refresh).filter(|it| !it.is_empty()).map(RefreshToken::new),
    })
}

/// Takes a text out of an object. `None` if it is of another type.
fn text(members: &mut Map<String, Value>, name: &str) -> Option<String> {
    let mut text = String::new();
    for (_, value) in members.iter_mut().filter(|(member, _)| member.eq_ignore_ascii_case(name)) {
        match value.take() {
            Value::String(found) => text = found,
            Value::Null => {}
            _ => return None,
        }
    }
    Some(text)
}
