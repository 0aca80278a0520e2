//! What an edit would meet, found out without making one: nothing is written, created or removed, not even for a moment.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Config, ConfigError, Document, DocumentError};
use crate::domain::Domain;

impl Config {
    /// Why a login of `domain` could not be stored by `change`, as far as that can be seen. [`ConfigError::Locked`] says
    /// only that somebody is at work there now. A disk that is nearly full is not seen: a login tries it.
    pub fn foresee(
        &self,
        domain: &Domain,
        change: impl FnOnce(&mut Document) -> Result<(), DocumentError>,
    ) -> Result<(), ConfigError> {
        let mut document = self.read()?;
        change(&mut document).map_err(|source| self.document_error(source))?;
        let target = self.target()?;
        let folder = target.parent().unwrap_or(&self.folder);
        may_write_in(existing(&self.folder)).map_err(|source| self.folder_error(source))?;
        may_write_in(existing(folder)).map_err(|source| ConfigError::Write { path: target.clone(), source })?;
        if is_anothers(&target) {
            return Err(ConfigError::ForeignOwner(target));
        }
        for lock in [self.lock_path(), self.refresh_lock_path(domain)] {
            if fs::symlink_metadata(&lock).is_ok() {
                drop(self.lock(lock, Duration::ZERO)?);
            }
        }
        Ok(())
    }

    /// The file that is a link's target, where the settings' path is a symbolic link.
    pub fn link_target(&self) -> Option<PathBuf> {
        self.path.is_symlink().then(|| self.path.canonicalize().ok()).flatten()
    }
}

/// The folder, or the nearest one above it that is there; what is missing would be created in it.
fn existing(folder: &Path) -> &Path {
    folder.ancestors().find(|it| it.exists()).unwrap_or(Path::new("."))
}

#[cfg(unix)]
fn may_write_in(folder: &Path) -> io::Result<()> {
    use rustix::fs::Access;
    use rustix::io::Errno;
    if !fs::metadata(folder)?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK)?;
    let left = rustix::fs::statvfs(folder)?;
    // Some file systems count no files.
    let is_full = left.f_bavail == 0 || (left.f_files > 0 && left.f_favail == 0);
    if is_full { Err(Errno::NOSPC.into()) } else { Ok(()) }
}

/// Only whether it is a folder: here nothing but the attempt tells more.
#[cfg(not(unix))]
fn may_write_in(folder: &Path) -> io::Result<()> {
    if fs::metadata(folder)?.is_dir() { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

#[cfg(unix)]
fn is_anothers(file: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(file).is_ok_and(|file| file.uid() != rustix::process::geteuid().as_raw())
}

/// The profile's inherited rules decide, so its owner is no obstacle.
#[cfg(not(unix))]
fn is_anothers(_file: &Path) -> bool {
    false
}
