//! The vault in which Astro CLI 2 and Astro Desktop keep their logins.
//!
//! A folder with a file per login, encrypted with a key that is in the keychain of the operating system. It is theirs: this
//! program writes and removes only the entries and the markers of its own contexts, and creates neither the folder nor the
//! key. An entry in a format that it does not know is never replaced. Calls block, like those of the keychain.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;

use self::entry::Key;
use super::StoreError;
use crate::token::{AccessToken, RefreshToken};

mod entry;
mod keyring;

pub use keyring::Keyring;

/// The vault, for people.
pub const NAME: &str = "Astro CLI 2's vault (~/.astro/secrets)";

/// The largest entry that is read, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// A source of the vault's master key.
pub trait MasterKeySource: Send + Sync {
    /// Reads the key as it is stored, as base64. Returns `None` if there is none. May show the keychain's own prompt.
    fn master_key(&self) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>, VaultError>;
}

pub struct Vault {
    /// `None` without a home.
    folder: Option<PathBuf>,
    keys: Arc<dyn MasterKeySource>,
    random: SystemRandom,
}

/// The name of a login in the vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultName(String);

/// The two tokens of a login, as an entry holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultTokens {
    pub access: Option<AccessToken>,
    pub refresh: Option<RefreshToken>,
}

#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    #[error("{} is a link, not a folder, or belongs to another user", .0.display())]
    Folder(PathBuf),
    /// Such a folder is only read.
    #[error("others have access to {}", .0.display())]
    OpenToOthers(PathBuf),
    #[error(transparent)]
    Keychain(#[from] StoreError),
    #[error("its key is not in the keychain")]
    NoKey,
    #[error("its key in the keychain is damaged")]
    InvalidKey,
    #[error("it was encrypted with another key than the one in the keychain")]
    OtherKey,
    #[error("{} is damaged", .0.display())]
    Damaged(PathBuf),
    #[error("a newer version of Astro CLI 2 wrote {}", .0.display())]
    Newer(PathBuf),
    #[error("could not access {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// Not on macOS and Windows.
    #[error("this program cannot read it on this system")]
    Unsupported,
}

impl VaultError {
    /// Returns the folder that others have access to, if that is the failure.
    pub fn open_folder(&self) -> Option<PathBuf> {
        if let Self::OpenToOthers(folder) = self { Some(folder.clone()) } else { None }
    }
}

impl VaultName {
    /// Names the login of a context: `config` is the canonical path of config.yaml.
    pub fn new(config: &[u8], context_key: &str) -> Self {
        Self(format!("login:{}:{}", &sha256(config)[..32], context_key.to_lowercase()))
    }

    /// Returns the name of the file with the tokens.
    pub fn entry(&self) -> String {
        format!("{}.json", sha256(self.0.as_bytes()))
    }

    /// Returns the name of the file that makes every program leave the login in config.yaml.
    pub fn marker(&self) -> String {
        format!("login-in-config-{}", sha256(self.0.as_bytes()))
    }
}

impl Vault {
    pub fn new(home: Option<&Path>, keys: Arc<dyn MasterKeySource>, random: SystemRandom) -> Self {
        Self { folder: home.map(|home| home.join(".astro").join("secrets")), keys, random }
    }

    /// Returns `true` if there is a vault, usable or not.
    pub fn exists(&self) -> bool {
        self.folder.as_deref().is_some_and(|folder| fs::symlink_metadata(folder).is_ok())
    }

    /// Checks that a login can be written: the vault can be read, holds nothing of a later format, and the entry that would
    /// be replaced can be read. Returns the name of the key, or `None` if there is no vault. May show the keychain's prompt.
    pub fn ready(&self, name: &VaultName) -> Result<Option<String>, VaultError> {
        let Some(folder) = self.folder_to_write()? else { return Ok(None) };
        for entry in fs::read_dir(folder).map_err(|source| io_error(folder, source))?.flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|it| it == "json")
                && let Some(bytes) = read(&path)?
            {
                entry::check_format(&bytes, &path)?;
            }
        }
        let key = self.key()?;
        self.open(folder, name, &mut Some(key.clone()))?;
        Ok(Some(key.id()))
    }

    /// Reads the tokens of a login. `None` if there is no entry.
    pub fn load(&self, name: &VaultName) -> Result<Option<VaultTokens>, VaultError> {
        self.folder()?.map_or(Ok(None), |folder| self.open(folder, name, &mut None))
    }

    /// Writes the tokens of a login, over the content of the entry.
    pub fn save(&self, name: &VaultName, tokens: &VaultTokens) -> Result<(), VaultError> {
        self.write(name, tokens, None).map(drop)
    }

    /// Replaces the tokens of a login, or removes them. Returns `false` if the entry has another refresh token than `old` by
    /// now: another program wrote it, and it stays.
    pub fn replace(&self, name: &VaultName, old: &VaultTokens, new: Option<&VaultTokens>) -> Result<bool, VaultError> {
        match new {
            Some(new) => self.write(name, new, Some(old)),
            None if self.load(name)?.is_some_and(|it| it.refresh == old.refresh) => self.remove(&name.entry()),
            None => Ok(false),
        }
    }

    fn write(&self, name: &VaultName, tokens: &VaultTokens, old: Option<&VaultTokens>) -> Result<bool, VaultError> {
        let Some(folder) = self.folder_to_write()? else { return Err(VaultError::NoKey) };
        let path = folder.join(name.entry());
        let failed = |source| io_error(&path, source);
        let key = self.key()?;
        let content = entry::seal(name, tokens, &key, &self.random)?;
        let mut file = temporary(folder, name).map_err(failed)?;
        file.write_all(content.as_bytes()).map_err(failed)?;
        let mut key = Some(key);
        // As late as possible: Astro CLI 2 has no lock for its vault.
        if let Some(old) = old
            && self.open(folder, name, &mut key)?.is_none_or(|it| it.refresh != old.refresh)
        {
            return Ok(false);
        }
        file.persist(&path).map_err(|refused| failed(refused.error))?;
        match self.open(folder, name, &mut key)? {
            Some(written) if written == *tokens => Ok(true),
            Some(_) | None => Err(VaultError::Damaged(path)),
        }
    }

    /// Checks that an entry with this number of bytes can be written.
    pub fn dry_run(&self, name: &VaultName, length: usize) -> Result<(), VaultError> {
        let Some(folder) = self.folder_to_write()? else { return Err(VaultError::NoKey) };
        let write = || temporary(folder, name)?.write_all(&vec![b'x'; length]);
        write().map_err(|source| io_error(folder, source))
    }

    /// Returns `true` if there is this file, readable or not.
    pub fn has(&self, file: &str) -> bool {
        self.folder.as_deref().is_some_and(|folder| fs::symlink_metadata(folder.join(file)).is_ok())
    }

    /// Removes an entry or a marker, readable or not. Returns `false` if there was none.
    pub fn remove(&self, file: &str) -> Result<bool, VaultError> {
        if !self.has(file) {
            return Ok(false);
        }
        let Some(folder) = self.folder_to_write()? else { return Ok(false) };
        let path = folder.join(file);
        fs::remove_file(&path).map(|()| true).map_err(|source| io_error(&path, source))
    }

    /// Creates a marker. Does nothing without a vault.
    pub fn mark(&self, name: &VaultName) -> Result<(), VaultError> {
        let Some(folder) = self.folder_to_write()? else { return Ok(()) };
        let path = folder.join(name.marker());
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(io_error(&path, error)),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Returns the folder, or `None` if there is none. Rejects one in whose place another user may have put something else.
    fn folder(&self) -> Result<Option<&Path>, VaultError> {
        let Some(folder) = self.folder.as_deref() else { return Ok(None) };
        match fs::symlink_metadata(folder) {
            Ok(it) if it.is_dir() && is_ours(&it) => Ok(Some(folder)),
            Ok(_) => Err(VaultError::Folder(folder.to_owned())),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(source) => Err(io_error(folder, source)),
        }
    }

    /// Like [`folder`](Self::folder). Rejects one that others have access to: Astro CLI 2 has to close it first.
    fn folder_to_write(&self) -> Result<Option<&Path>, VaultError> {
        match self.open_to_others() {
            Some(folder) => Err(VaultError::OpenToOthers(folder.to_owned())),
            None => self.folder(),
        }
    }

    /// Returns the folder if it is ours, but others have access to it.
    pub fn open_to_others(&self) -> Option<&Path> {
        self.folder().ok()?.filter(|folder| fs::metadata(folder).is_ok_and(|it| is_open(&it)))
    }

    /// Reads and opens an entry. Asks for the key only if there is one that needs it, and only if it is not known yet.
    fn open(&self, folder: &Path, name: &VaultName, key: &mut Option<Key>) -> Result<Option<VaultTokens>, VaultError> {
        let path = folder.join(name.entry());
        let Some(bytes) = read(&path)? else { return Ok(None) };
        let opened = entry::open(&bytes, name, &path, || match key {
            Some(key) => Ok(key.clone()),
            None => Ok(key.insert(self.key()?).clone()),
        });
        match opened {
            // Astro CLI 2 removes the logins of a vault whose key was lost.
            Err(_) if fs::symlink_metadata(&path).is_err() => Ok(None),
            opened => opened.map(Some),
        }
    }

    fn key(&self) -> Result<Key, VaultError> {
        Key::parse(&self.keys.master_key()?.ok_or(VaultError::NoKey)?)
    }
}

/// Reads a file that is no larger than an entry. `None` if there is none.
fn read(path: &Path) -> Result<Option<Vec<u8>>, VaultError> {
    let content = fs::symlink_metadata(path).and_then(|it| {
        let is_entry = it.is_file() && it.len() <= LARGEST;
        if is_entry { fs::read(path) } else { Err(io::ErrorKind::InvalidData.into()) }
    });
    match content {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(VaultError::Damaged(path.to_owned())),
        Err(source) => Err(io_error(path, source)),
    }
}

/// Creates a temporary file as Astro CLI 2 names it, with mode 0600. It is removed when dropped.
fn temporary(folder: &Path, name: &VaultName) -> io::Result<tempfile::NamedTempFile> {
    tempfile::Builder::new().prefix(&format!(".{}.", name.entry())).tempfile_in(folder)
}

#[cfg(unix)]
fn is_ours(folder: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::uid(folder) == rustix::process::getuid().as_raw()
}

#[cfg(unix)]
fn is_open(folder: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::mode(folder) & 0o077 != 0
}

/// Returns `true`: the profile's inherited access rules decide.
#[cfg(not(unix))]
fn is_ours(_: &fs::Metadata) -> bool {
    true
}

#[cfg(not(unix))]
fn is_open(_: &fs::Metadata) -> bool {
    false
}

fn io_error(path: &Path, source: io::Error) -> VaultError {
    VaultError::Io { path: path.to_owned(), source }
}

fn sha256(bytes: &[u8]) -> String {
    crate::text::hex(digest(&SHA256, bytes).as_ref())
}

#[cfg(test)]
mod tests;
