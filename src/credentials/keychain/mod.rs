//! The operating system's keychain: macOS Keychain, Windows Credential Manager, or the Secret Service of a Linux
//! desktop.
//!
//! One login is one entry: service `astro-login`, the domain as account (`chunked` has the exception). In any other than
//! the user's ordinary home, the account is `DOMAIN@HOME`: the homes of a user share the keychain, but no login. Failures
//! are classified by the platform's own error types and codes, never by their text.

use std::collections::HashMap;
use std::error::Error as StdError;

use keyring::{Entry, Error};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::chunked::{self, Entries};
use super::{CredentialStore, Credentials, StoreError, record};
use crate::domain::Domain;
use crate::text::hex;

const SERVICE: &str = "astro-login";

/// The account of a login that waits for its second step. No domain has this name.
const PENDING: &str = "pending";

/// The size limit of a Windows credential in bytes (`CRED_MAX_CREDENTIAL_BLOB_SIZE`). The other platforms have none.
const LIMIT: Option<usize> = if cfg!(windows) { Some(2560) } else { None };

#[derive(Debug)]
pub struct Keychain {
    random: SystemRandom,
    home: Option<String>,
}

impl Keychain {
    /// Does not connect; the first call does. `random` names the chunks of a value that is too long for one entry. `home`
    /// is `None` for the user's ordinary home.
    pub fn new(random: SystemRandom, home: Option<String>) -> Self {
        Self { random, home }
    }

    fn account(&self, name: &str) -> String {
        self.home.as_ref().map_or_else(|| name.to_owned(), |home| format!("{name}@{home}"))
    }

    fn write(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        let mut generation = [0; 8];
        self.random.fill(&mut generation).map_err(|error| StoreError::other(&error))?;
        chunked::write(&Keyring, &self.account(name), value, &hex(&generation))
    }

    /// Returns the domain of an account of this home. `None` for other homes' accounts and for chunks.
    fn domain_of(&self, account: &str) -> Option<Domain> {
        let name = match &self.home {
            Some(home) => account.strip_suffix(home.as_str())?.strip_suffix('@')?,
            None => account,
        };
        name.parse().ok().filter(|domain: &Domain| self.account(domain.as_str()) == account)
    }
}

impl CredentialStore for Keychain {
    fn load(&self, domain: &Domain) -> Result<Option<Credentials>, StoreError> {
        chunked::read(&Keyring, &self.account(domain.as_str()))?.map(|text| record::decode(&text)).transpose()
    }

    fn save(&self, domain: &Domain, credentials: &Credentials) -> Result<(), StoreError> {
        self.write(domain.as_str(), &record::encode(credentials)?)
    }

    fn delete(&self, domain: &Domain) -> Result<bool, StoreError> {
        chunked::erase(&Keyring, &self.account(domain.as_str()))
    }

    fn load_pending(&self) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        chunked::read(&Keyring, &self.account(PENDING))
    }

    fn save_pending(&self, login: &[u8]) -> Result<(), StoreError> {
        self.write(PENDING, login)
    }

    fn delete_pending(&self) -> Result<bool, StoreError> {
        chunked::erase(&Keyring, &self.account(PENDING))
    }

    fn domains(&self) -> Result<Vec<Domain>, StoreError> {
        Ok(accounts()?.iter().filter_map(|account| self.domain_of(account)).collect())
    }

    fn ready(&self) -> Result<(), StoreError> {
        status()?;
        platform::ready()
    }

    fn describe(&self) -> String {
        platform::NAME.to_owned()
    }
}

struct Keyring;

impl Entries for Keyring {
    fn limit(&self) -> Option<usize> {
        LIMIT
    }

    fn get(&self, account: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        found(entry(account)?.get_secret().map(Zeroizing::new))
    }

    /// Stores the bytes as a secret, not as a password: Windows would convert that to UTF-16, which doubles its size.
    fn set(&self, account: &str, value: &[u8]) -> Result<(), StoreError> {
        let entry = entry(account)?;
        match entry.set_secret(value) {
            Err(Error::Ambiguous(_)) => remove(&entry).and_then(|()| entry.set_secret(value)),
            result => result,
        }
        .map_err(|error| classify(&error))
    }

    fn delete(&self, account: &str) -> Result<bool, StoreError> {
        found(remove(&entry(account)?)).map(|removed| removed.is_some())
    }
}

/// Removes an entry, and entries of the same name: each collection of a keychain may hold one.
fn remove(entry: &Entry) -> Result<(), Error> {
    match entry.delete_credential() {
        Err(Error::Ambiguous(copies)) => {
            for copy in copies {
                copy.delete_credential()?;
            }
            Ok(())
        }
        result => result,
    }
}

fn entry(account: &str) -> Result<Entry, StoreError> {
    status()?;
    Entry::new(SERVICE, account).map_err(|error| classify(&error))
}

/// Returns the accounts of all entries of this program.
fn accounts() -> Result<Vec<String>, StoreError> {
    status()?;
    // Windows searches by a regular expression over its own name of an entry, `ACCOUNT.SERVICE`.
    let pattern = format!(r"\.{SERVICE}$");
    let spec = if cfg!(windows) { ("pattern", pattern.as_str()) } else { ("service", SERVICE) };
    let found = keyring_core::Entry::search(&HashMap::from([spec])).map_err(|error| classify(&error))?;
    let named = found.iter().filter_map(keyring_core::Entry::get_specifiers);
    Ok(named.filter_map(|(service, account)| (service == SERVICE).then_some(account)).collect())
}

/// Connects, once per process. A failed connection stays failed, and only this result names its cause.
fn status() -> Result<(), StoreError> {
    Entry::store_status().as_ref().map(drop).map_err(classify)
}

fn found<T>(result: Result<T, Error>) -> Result<Option<T>, StoreError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::NoEntry) => Ok(None),
        Err(error) => Err(classify(&error)),
    }
}

fn classify(error: &Error) -> StoreError {
    match error {
        Error::PlatformFailure(cause) | Error::NoStorageAccess(cause) => {
            let cause: &(dyn StdError + 'static) = cause.as_ref();
            platform::classify(cause).unwrap_or_else(|| StoreError::other(&cause))
        }
        // The text of the first two may contain the secret. Of several entries for one account, none can be trusted.
        Error::BadEncoding(_) | Error::BadDataFormat(..) | Error::Ambiguous(_) => StoreError::Damaged,
        other => StoreError::other(other),
    }
}

#[cfg(all(unix, not(target_os = "macos")))]
mod secret_service;
#[cfg(all(unix, not(target_os = "macos")))]
use self::secret_service as platform;

pub(super) use platform::find_as_go;

#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "macos")]
use self::macos as platform;

/// Classifies a status code of macOS's Security framework.
#[cfg(any(target_os = "macos", test))]
fn by_os_status(code: i32) -> Option<StoreError> {
    match code {
        // errSecNoSuchKeychain
        -25294 => Some(StoreError::Absent { reason: "no login keychain" }),
        // errSecInteractionNotAllowed
        -25308 => Some(StoreError::Locked),
        // errSecUserCanceled, errSecAuthFailed
        -128 | -25293 => Some(StoreError::Refused),
        _ => None,
    }
}

/// Classifies the exit code of `security`: the last eight bits of a status.
#[cfg(any(target_os = "macos", test))]
fn by_exit_code<T>(code: i32) -> Result<Option<T>, StoreError> {
    // errSecItemNotFound
    const NOT_FOUND: i32 = -25300;
    let is = |status: i32| status & 0xff == code;
    if is(NOT_FOUND) {
        return Ok(None);
    }
    let known = [-25294, -25308, -128, -25293].into_iter().find(|status| is(*status)).and_then(by_os_status);
    Err(known.unwrap_or_else(|| StoreError::Other(format!("`security` ended with {code}"))))
}

/// Decodes a secret as Go's keyring package stores it on macOS.
#[cfg(any(target_os = "macos", test))]
fn decode_as_go(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    use base64::Engine as _;
    let text = text.trim_ascii();
    match text.strip_prefix(b"go-keyring-base64:") {
        Some(encoded) => base64::engine::general_purpose::STANDARD.decode(encoded).map_err(|_| StoreError::Damaged),
        None => Ok(text.to_owned()),
    }
    .map(Zeroizing::new)
}

#[cfg(windows)]
mod windows;
#[cfg(windows)]
use self::windows as platform;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_of_go_is_decoded_and_its_absence_known() {
        let decoded = |text: &[u8]| decode_as_go(text).map(|it| String::from_utf8(it.to_vec()).unwrap());
        assert_eq!(decoded(b"go-keyring-base64:a2V5\n"), Ok("key".to_owned()));
        assert_eq!(decoded(b"key\n"), Ok("key".to_owned()));
        assert_eq!(decoded(b"go-keyring-base64:?"), Err(StoreError::Damaged));
        assert_eq!(by_exit_code::<()>(44), Ok(None));
        assert_eq!(by_exit_code::<()>(36), Err(StoreError::Locked));
        assert!(matches!(by_exit_code::<()>(1), Err(StoreError::Other(_))));
    }

    /// Classifies a platform error, wrapped as keyring wraps it.
    pub(super) fn failure(cause: impl StdError + Send + Sync + 'static) -> StoreError {
        classify(&Error::PlatformFailure(Box::new(cause)))
    }

    #[test]
    fn rf_10_error_with_secret_shows_none() {
        let secret = || b"eyJhbGciOi".to_vec();
        assert_eq!(classify(&Error::BadEncoding(secret())), StoreError::Damaged);
        assert_eq!(classify(&Error::BadDataFormat(secret(), "eyJhbGciOi".into())), StoreError::Damaged);
    }

    #[test]
    fn unknown_error_text_is_cleaned() {
        let unknown = std::io::Error::other("out of\u{1b}[31m order");
        assert_eq!(failure(unknown), StoreError::Other("out of[31m order".to_owned()));
    }

    #[test]
    fn macos_statuses_map_by_number() {
        let table = [
            (-25294, Some(StoreError::Absent { reason: "no login keychain" })),
            (-25308, Some(StoreError::Locked)),
            (-128, Some(StoreError::Refused)),
            (-25293, Some(StoreError::Refused)),
            // Not available, no entry, success.
            (-25291, None),
            (-25300, None),
            (0, None),
        ];
        for (code, expected) in table {
            assert_eq!(by_os_status(code), expected, "{code}");
        }
    }

    #[test]
    fn account_belongs_to_one_home() {
        let keychain = |home: Option<&str>| Keychain::new(SystemRandom::new(), home.map(str::to_owned));
        let (ordinary, work) = (keychain(None), keychain(Some("0a1b2c3d")));
        let domain: Domain = "localhost:8123".parse().unwrap();
        let private: Domain = "base.example.com".parse().unwrap();
        assert_eq!(ordinary.account(domain.as_str()), "localhost:8123");
        assert_eq!(work.account(domain.as_str()), "localhost:8123@0a1b2c3d");
        assert_eq!([&ordinary, &work].map(|it| it.account(PENDING)), ["pending", "pending@0a1b2c3d"]);
        let table = [
            ("localhost:8123", Some(&domain), None),
            ("localhost:8123@0a1b2c3d", None, Some(&domain)),
            ("localhost:8123@ffffffff", None, None),
            ("localhost:81230a1b2c3d", None, None),
            ("LOCALHOST:8123", None, None),
            ("localhost:8123#pending", None, None),
            ("localhost:8123@0a1b2c3d#00ff/1", None, None),
            ("pending", None, None),
            ("pending@0a1b2c3d", None, None),
            ("base.example.com", Some(&private), None),
            ("base.example.com@0a1b2c3d", None, Some(&private)),
            ("houston", None, None),
            ("@0a1b2c3d", None, None),
            ("", None, None),
        ];
        for (account, in_ordinary, in_work) in table {
            assert_eq!(ordinary.domain_of(account).as_ref(), in_ordinary, "{account}");
            assert_eq!(work.domain_of(account).as_ref(), in_work, "{account}");
        }
    }

    #[test]
    fn missing_entry_is_no_error() {
        assert_eq!(found::<()>(Err(Error::NoEntry)), Ok(None));
        assert_eq!(found(Ok(1)), Ok(Some(1)));
    }
}
