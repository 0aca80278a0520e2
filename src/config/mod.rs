//! `config.yaml`, which the Go CLI owns and in which a few entries are ours.
//!
//! Edits hold the lock that the Go CLI takes, and replace the file in one step, so a reader sees the old or the new
//! settings, never a part. A file that cannot be parsed, or not be edited without a foreign change, is left alone.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use tempfile::NamedTempFile;

mod access;
mod document;
mod dry_run;
mod error;
mod lock;
mod names;
mod own_file;
mod pending;
mod place;
mod replaced;

pub use document::{Context, Document, DocumentError, IgnoredSetting, forbids};
pub use error::ConfigError;
pub use lock::Lock;
pub use names::LoginNames;

use crate::domain::Domain;

/// The time that an edit waits for the lock, as in the Go CLI.
const EDIT_WAIT: Duration = Duration::from_secs(10);
const RETRY_EVERY: Duration = Duration::from_millis(100);
/// The number of attempts to replace the file. Windows refuses while another program reads it.
const ATTEMPTS: u32 = 10;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Prefix and suffix of temporary files. One that is left over may hold tokens.
const TEMPORARY: (&str, &str) = (".config.yaml.", ".tmp");

#[derive(Clone)]
pub struct Config {
    folder: PathBuf,
    path: PathBuf,
}

impl Config {
    pub fn new(home: &Path) -> Self {
        let folder = place::clean(home).join(".astro");
        let path = folder.join("config.yaml");
        Self { folder, path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the file's content as it is now, or `None` if there is no file.
    fn bytes(&self) -> Result<Option<Vec<u8>>, ConfigError> {
        let opened = access::open(&self.path, File::options().read(true), true);
        match opened.and_then(|file| access::read(file, LARGEST)) {
            Ok(bytes) if bytes.len() as u64 > LARGEST => Err(ConfigError::TooLarge(self.path.clone())),
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) => match error.kind() {
                io::ErrorKind::InvalidInput => Err(ConfigError::NotAFile(self.path.clone())),
                io::ErrorKind::NotFound => Ok(None),
                io::ErrorKind::NotADirectory => Err(self.folder_error(error)),
                _ => Err(self.read_error(error)),
            },
        }
    }

    fn read_error(&self, source: io::Error) -> ConfigError {
        self.access_error(&self.path, source, |path, source| ConfigError::Read { path, source })
    }

    fn document(&self, bytes: Vec<u8>) -> Result<Document, ConfigError> {
        Document::from_bytes(bytes).map_err(|source| self.document_error(source))
    }

    /// Reads the settings under the lock, lets `change` edit them, and replaces the file if anything changed. Waits at
    /// most 10 seconds for the lock.
    pub fn edit<T>(&self, change: impl FnOnce(&mut Document) -> Result<T, DocumentError>) -> Result<T, ConfigError> {
        self.edit_and(change, put_in_place)
    }

    /// Does an edit except for its last step. Checks that the settings can be edited so and that the disk has room.
    pub fn dry_run(&self, change: impl FnOnce(&mut Document) -> Result<(), DocumentError>) -> Result<(), ConfigError> {
        self.edit_and(change, |edited, _| edited.close())
    }

    fn edit_and<T>(
        &self,
        change: impl FnOnce(&mut Document) -> Result<T, DocumentError>,
        finish: impl FnOnce(NamedTempFile, &Path) -> io::Result<()>,
    ) -> Result<T, ConfigError> {
        let _lock = self.lock(self.lock_path(), EDIT_WAIT)?;
        let at_target = self.lock_path_at_target().map(|path| self.lock(path, EDIT_WAIT)).transpose();
        let target = self.target();
        self.remove_leftovers(target.as_deref().ok());
        let mut document = self.document(self.bytes()?.unwrap_or_default())?;
        let before = document.as_str().to_owned();
        let result = change(&mut document).map_err(|source| self.document_error(source))?;
        if document.as_str() != before {
            // Needed for a change only: the target may be in a folder that cannot be written.
            let _at_target = at_target?;
            self.write(document.as_str(), &target?, finish)?;
        }
        Ok(result)
    }

    /// Takes the lock for reading, refreshing and storing the tokens of `domain`. Must be taken before an edit, not in one.
    pub fn lock_refresh(&self, domain: &Domain, wait: Duration) -> Result<Lock, ConfigError> {
        self.lock(self.refresh_lock_path(domain), wait)
    }

    /// Takes the lock under which Astro CLI 2 renews a login that it shares. Must be taken after the refresh lock, and before
    /// an edit.
    pub fn lock_renewal(&self, wait: Duration) -> Result<Lock, ConfigError> {
        self.lock(self.real_folder().join("config.yaml.renew.lock"), wait)
    }

    fn lock_path(&self) -> PathBuf {
        self.folder.join("config.yaml.lock")
    }

    fn refresh_lock_path(&self, domain: &Domain) -> PathBuf {
        let key = domain.context_key().replace(':', "_");
        self.real_folder().join(format!("{key}.refresh.lock"))
    }

    /// Removes the cache that an earlier version kept beside the settings; a symbolic link is removed, not followed.
    pub fn remove_login_cache(&self) {
        let _ = fs::remove_file(self.folder.join("login-cache.json"));
    }

    /// Removes temporary files of killed processes. Under the lock no such file is in use.
    fn remove_leftovers(&self, target: Option<&Path>) {
        let folders = [Some(self.folder.as_path()), target.and_then(Path::parent)];
        for entry in folders.into_iter().flatten().flat_map(fs::read_dir).flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(TEMPORARY.0) && name.ends_with(TEMPORARY.1) {
                // A file that cannot be removed does not stop the edit.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn target(&self) -> Result<PathBuf, ConfigError> {
        if !self.path.is_symlink() {
            return Ok(self.path.clone());
        }
        self.path.canonicalize().map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ConfigError::DanglingLink(self.path.clone()),
            _ => self.read_error(source),
        })
    }

    /// Writes a new file beside `target`, and lets `finish` replace `target` with it.
    fn write(
        &self,
        text: &str,
        target: &Path,
        finish: impl FnOnce(NamedTempFile, &Path) -> io::Result<()>,
    ) -> Result<(), ConfigError> {
        let folder = target.parent().unwrap_or(&self.folder);
        let failed = |source| self.write_error(target, source);
        let mut file = temporary_in(folder).map_err(failed)?;
        if let Some(owner) = access::other_owner(file.as_file(), target).map_err(failed)? {
            return Err(self.foreign(target, owner).into());
        }
        file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        finish(file, target).map_err(failed)?;
        // The file is replaced already, and some file systems cannot sync a folder.
        #[cfg(unix)]
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
        Ok(())
    }

    /// Converts an error of creating the folder, in whose path may be a file.
    fn folder_error(&self, source: io::Error) -> ConfigError {
        match self.folder.ancestors().find(|path| path.is_file()) {
            Some(file) => ConfigError::NotAFolder(file.to_owned()),
            None => self.write_error(&self.folder, source),
        }
    }

    fn document_error(&self, source: DocumentError) -> ConfigError {
        ConfigError::Document { path: self.path.clone(), source }
    }
}

/// Creates a temporary file exclusively, with mode 0600. It is removed when dropped.
fn temporary_in(folder: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(TEMPORARY.0).suffix(TEMPORARY.1).tempfile_in(folder)
}

fn put_in_place(mut file: NamedTempFile, target: &Path) -> io::Result<()> {
    for attempt in 1.. {
        match file.persist(target) {
            Ok(_) => break,
            Err(refused) if attempt < ATTEMPTS && may_pass(&refused.error, cfg!(windows)) => file = refused.file,
            Err(refused) => return Err(refused.error),
        }
        sleep(RETRY_EVERY);
    }
    Ok(())
}

/// True if replacing a file may succeed later. Windows refuses it (`ERROR_ACCESS_DENIED`, `ERROR_SHARING_VIOLATION`)
/// while another process reads the file.
fn may_pass(error: &io::Error, windows: bool) -> bool {
    windows && matches!(error.raw_os_error(), Some(5 | 32))
}

#[cfg(test)]
mod tests;
