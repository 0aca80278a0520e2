//! Checks whether config.yaml could be edited, without changing the file system.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::lock::check_locks;
use super::{Config, ConfigError, Document, DocumentError};
use crate::domain::Domain;

impl Config {
    /// Checks that `change` could store a login of `domain`. [`ConfigError::Locked`] means only that another process holds
    /// a lock now. A nearly full disk is not detected; a login detects it by a dry run.
    pub fn check_editable(
        &self,
        domain: &Domain,
        change: impl FnOnce(&mut Document) -> Result<(), DocumentError>,
    ) -> Result<(), ConfigError> {
        self.check_owner()?;
        let mut document = self.read()?;
        change(&mut document).map_err(|source| self.document_error(source))?;
        let target = self.target()?;
        let folder = target.parent().unwrap_or(&self.folder);
        may_write_in(existing(&self.folder)).map_err(|source| self.folder_error(source))?;
        may_write_in(existing(folder)).map_err(|source| self.write_error(&target, source))?;
        for folder in [&self.folder, folder] {
            check_locks(existing(folder))?;
        }
        let locks = [Some(self.lock_path()), self.lock_path_at_target(), Some(self.refresh_lock_path(domain))];
        for lock in locks.into_iter().flatten() {
            if fs::symlink_metadata(&lock).is_ok() {
                drop(self.lock(lock, Duration::ZERO)?);
            }
        }
        Ok(())
    }

    pub fn link_target(&self) -> Option<PathBuf> {
        self.path.is_symlink().then(|| self.path.canonicalize().ok()).flatten()
    }
}

/// Returns the nearest existing folder, in which the missing ones would be created.
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

/// Checks only that it is a folder: without an attempt, Windows shows no more.
#[cfg(not(unix))]
fn may_write_in(folder: &Path) -> io::Result<()> {
    if fs::metadata(folder)?.is_dir() { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) }
}
